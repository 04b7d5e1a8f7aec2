package conductor

import (
	"context"
	"reflect"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/report"
)

// What works at once, and on how many experiments each.
const (
	workers, chunk = 4, 128
	// gatherers is how many experiments ask slow sources at once.
	gatherers = 8
)

// Open takes over the experiments that the store has and publishes them. If
// another control plane conducts, or the store does not answer, Run tries again.
// Call it before Run, after the publisher is open.
func (c *Conductor) Open(ctx context.Context) error {
	conducts, err := c.seat.take(ctx)
	if err != nil || !conducts {
		return err
	}
	return c.load(ctx)
}

// Run looks at the experiments until ctx ends. Then it stores what is not stored
// yet and leaves the seat to others.
func (c *Conductor) Run(ctx context.Context) {
	c.tellers.Go(func() { c.save(ctx) })
	c.tellers.Go(func() { c.seat.keep(ctx) })
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for ctx.Err() == nil {
		next := time.Now().Add(poll)
		c.round(ctx, next)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-c.wake:
		}
	}
	c.tellers.Wait()
	c.leave(context.WithoutCancel(ctx))
}

// leave is the end of Run.
func (c *Conductor) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	c.store(ctx, true)
	c.mu.Lock()
	for _, r := range c.runs {
		c.deafen(r)
	}
	c.mu.Unlock()
	c.tellers.Wait()
	c.seat.free(ctx)
}

// nudge makes the loop go round at once.
func (c *Conductor) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// round does what is due, and goes on with the next round at the latest at a
// time: what is left is due then, too.
func (c *Conductor) round(ctx context.Context, until time.Time) {
	if !c.seat.held() {
		c.standDown(ctx)
		return
	}
	loaded, reload := c.isLoaded()
	if !loaded || reload {
		c.loadAgain(ctx)
	}
	if !loaded {
		return
	}
	ask, cancel := context.WithTimeout(ctx, askTime)
	routes := c.askRouters(ask)
	cancel()
	c.confirmRules(ctx)
	urgent, due, gather := c.dueNow(routes)
	for _, r := range gather {
		c.gather(ctx, r)
	}
	c.dispatch(ctx, urgent, until.Add(poll)) // what was breached does not wait for looks
	c.dispatch(ctx, due, until)
	c.trimTails()
	err := c.publish(ctx)
	c.publishTrouble.note(err != nil && ctx.Err() == nil, func() {
		c.logger.Warn("The experiments cannot be published; it is tried again", zap.Error(err))
	})
}

// dueNow lists what is to be done: what takes weight away apart from the rest.
func (c *Conductor) dueNow(routes map[string][]report.RouteReport) (urgent, due []task, gather []*run) {
	kill := c.settings.Publisher.Status().Kill
	now := c.settings.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.runs {
		t := task{run: r, routes: routes[r.spec.ID]}
		said := routerReport(t.routes, r.state.Lease.Epoch)
		running := r.state.Phase == experiment.PhaseRunning
		look := running && !now.Before(r.due.look)
		switch {
		case r.state.Phase.Final() || r.unsure:
		case kill.Engaged && r.state.Phase == experiment.PhaseScheduled:
		case kill.Engaged && running:
			t.kill, t.killedBy = "the kill switch is engaged", kill.By
			if kill.Reason != "" {
				t.kill += ": " + kill.Reason
			}
			urgent = append(urgent, t)
		case said.Breach != "", running && (said.Lease == experiment.LeaseExpired || r.fails() != ""):
			urgent = append(urgent, t)
		case look && r.slowSources() && !r.gathered.done:
			if !r.gathered.running {
				gather = append(gather, r)
			}
			if !now.Before(r.due.step) {
				due = append(due, t)
			}
		case look || !now.Before(r.due.step):
			t.look = look
			due = append(due, t)
		case running && r.spec.Fidelity != nil && !r.listening && !r.gathered.running:
			gather = append(gather, r) // so that it sees the stream from the beginning
		}
	}
	return urgent, due, gather
}

// dispatch has tasks worked on, as many at once as there are workers.
func (c *Conductor) dispatch(ctx context.Context, tasks []task, until time.Time) {
	for len(tasks) > 0 && c.slot(ctx, until) {
		n := min(chunk, len(tasks))
		mine := c.claimTasks(tasks[:n])
		tasks = tasks[n:]
		c.tellers.Go(func() {
			defer func() { <-c.slots }()
			if len(mine) > 0 {
				c.work(ctx, mine)
			}
		})
	}
	if len(tasks) > 0 {
		c.nudge()
	}
}

func (c *Conductor) slot(ctx context.Context, until time.Time) bool {
	select {
	case c.slots <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case c.slots <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// claimTasks claims those that nobody else decides on, and that are there still.
func (c *Conductor) claimTasks(tasks []task) []task {
	c.mu.Lock()
	defer c.mu.Unlock()
	var mine []task
	for _, t := range tasks {
		if c.runs[t.run.key] == t.run && !t.run.state.Phase.Final() && c.tryClaim(t.run.key) {
			mine = append(mine, t)
		}
	}
	return mine
}

// same says whether two sources are one. Comparing values of a type that has no
// equality, such as a func, panics.
func same(a, b any) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}
