package conductor

import (
	"context"
	"sync"
	"time"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/report"
)

// gatherTime bounds what slow sources may take for one look.
const gatherTime = 30 * time.Second

// gathered is what slow sources said for the next look.
type gathered struct {
	running, done bool
	fidelity      *experiment.FidelityVerdict
	answers       []experiment.Answer
}

// gather asks slow sources apart from everything else, so that neither the lease
// nor a breach waits for them. If too many ask already it is tried again.
func (c *Conductor) gather(ctx context.Context, r *run) {
	select {
	case c.gatherers <- struct{}{}:
	default:
		return
	}
	c.mu.Lock()
	r.gathered = gathered{running: true}
	listen := r.spec.Fidelity != nil && !r.listening
	look := !c.settings.Now().Before(r.due.look)
	queries, epoch := r.queries, r.state.Lease.Epoch
	c.mu.Unlock()
	c.tellers.Go(func() {
		defer func() { <-c.gatherers }()
		ctx, cancel := context.WithTimeout(ctx, gatherTime)
		defer cancel()
		if listen {
			queries = c.listen(r, epoch)
		}
		var g gathered
		if look {
			g = c.ask(ctx, r, queries)
		}
		c.mu.Lock()
		if r.gathered.running = false; r.state.Lease.Epoch == epoch {
			r.gathered = g
		}
		if r.state.Phase != experiment.PhaseRunning {
			c.deafen(r) // it could not be while queries were judged
		}
		c.mu.Unlock()
		c.nudge()
	})
}

// ask asks the queries on both arms, and the metric source.
func (c *Conductor) ask(ctx context.Context, r *run, queries Queries) gathered {
	now := c.settings.Now()
	g := gathered{done: true}
	var asking sync.WaitGroup
	if queries != nil {
		asking.Go(func() { g.fidelity = queries.Look(ctx, now) })
	}
	g.answers = c.answers(ctx, r, now)
	asking.Wait()
	return g
}

// answers are those of the metric source, asked side by side.
func (c *Conductor) answers(ctx context.Context, r *run, now time.Time) []experiment.Answer {
	if c.settings.Ask == nil {
		return nil
	}
	var rails []experiment.Guardrail
	for _, g := range r.spec.Guardrails {
		if g.Query != "" {
			rails = append(rails, g)
		}
	}
	answers := make([]experiment.Answer, len(rails))
	var asking sync.WaitGroup
	for i, g := range rails {
		asking.Go(func() { answers[i] = c.settings.Ask(ctx, r.spec.ID, g, now) })
	}
	asking.Wait()
	return answers
}

// takeGathered is what slow sources said since the last look.
func (c *Conductor) takeGathered(r *run) gathered {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := r.gathered
	if g.done {
		r.gathered = gathered{}
	}
	return g
}

// listen begins to judge queries: from now on both arms are kept for them. If
// that cannot be, the next look tries again.
func (c *Conductor) listen(r *run, epoch uint64) Queries {
	queries, problem := c.open(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	r.queryProblem = problem
	if queries == nil {
		return nil
	}
	if r.state.Phase != experiment.PhaseRunning || r.state.Lease.Epoch != epoch {
		c.tellers.Go(queries.Close)
		return nil
	}
	r.queries, r.listening = queries, true
	return queries
}

func (c *Conductor) open(r *run) (queries Queries, problem string) {
	if c.settings.Queries == nil {
		return nil, "no query is judged: this control plane cannot"
	}
	var points [arms]string
	for i, arm := range armNames {
		points[i] = firstPoint(c.settings.Sources.Arms(), string(arm))
		if points[i] == "" {
			return nil, "" // Warnings says so, whether it was tried already or not
		}
	}
	queries, err := c.settings.Queries(r.spec, points[baseline], points[candidate])
	if err != nil {
		return nil, "no query is judged: " + err.Error()
	}
	return queries, ""
}

// firstPoint is the measuring point at the end of an arm; of several the first by
// name.
func firstPoint(ends []report.ArmRegistration, arm string) string {
	first := ""
	for _, e := range ends {
		if e.Arm == arm && (first == "" || e.Point < first) {
			first = e.Point
		}
	}
	return first
}

// deafen ends judging queries, unless they are being judged: then whoever does
// ends it. The caller has mu.
func (c *Conductor) deafen(r *run) {
	if r.queries == nil || r.gathered.running {
		return
	}
	c.tellers.Go(r.queries.Close)
	r.queries, r.listening = nil, false
}
