package tagconsolidationprocessor

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// pollInterval is how often control is asked for new rules: an atomic load.
const pollInterval = 250 * time.Millisecond

// listen asks control for new rules until stop. It is apart from loop, so that
// rules come also while a flush goes out.
func (c *consolidator) listen() {
	if c.source == nil {
		return
	}
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-poll.C:
			c.poll(context.Background())
		}
	}
}

// loop does what is due at the edges of intervals until stop.
func (c *consolidator) loop() {
	checkpoint := c.clock()
	timer := time.NewTimer(c.untilEdge())
	defer timer.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-c.early:
			c.turn(context.Background(), nanos(c.clock()))
		case <-timer.C:
			now := c.clock()
			c.turn(context.Background(), c.edgeBefore(nanos(now)))
			if now.Sub(checkpoint) >= c.config.Checkpoint || now.Before(checkpoint) {
				checkpoint = now
				c.turning.Lock()
				c.writeCheckpoint(context.Background())
				c.turning.Unlock()
			}
			timer.Reset(c.untilEdge())
		}
	}
}

// edgeBefore is the latest whole multiple of the interval in Unix time.
func (c *consolidator) edgeBefore(now uint64) uint64 {
	return now - now%uint64(c.config.Interval) //nolint:gosec // positive
}

// untilEdge is how long it is until the next one.
func (c *consolidator) untilEdge() time.Duration {
	now := nanos(c.clock())
	return c.config.Interval - time.Duration(now-c.edgeBefore(now)) //nolint:gosec // less than the interval
}

// turn ends the interval at an edge and puts pending rules in force.
func (c *consolidator) turn(ctx context.Context, edge uint64) {
	c.turning.Lock()
	defer c.turning.Unlock()
	c.flush(ctx, edge)
	c.swap(ctx, edge)
	c.giveUp(ctx, edge)
	set := c.rules.Load()
	for _, r := range set.rules {
		if r.governors != nil {
			r.governors.advance(edge)
		}
		r.shapes.advance()
		if r.measured != nil {
			r.measured.advance(c.clock(), c.config.Staleness)
		}
	}
}

// flush emits what is due. An edge that is not later than the latest one, say
// because the clock was set back, is left out.
func (c *consolidator) flush(ctx context.Context, edge uint64) {
	if edge <= c.edge {
		if behind := time.Duration(c.edge - edge); behind >= c.config.Interval { //nolint:gosec // not negative
			c.log.Warn("The clock was set back: nothing is emitted until it has caught up, because no database takes points of one stream in that order. "+
				"What comes meanwhile is counted", zap.Duration("behind", behind))
		}
		return
	}
	c.edge = edge
	began := c.clock()
	out := c.emission(ctx, edge)
	// Base lines go with the first points that count from them; those that come
	// during the flush, with its end.
	c.engine.Bases(out.journal.AddBase)
	report := c.engine.Flush(edge, out.add)
	c.engine.Bases(out.journal.AddBase)
	out.end()
	c.exemplars.drop()
	stats := c.engine.Stats()
	c.stats.Store(&stats)
	if report.Lost > 0 {
		c.telemetry.ProcessorTagConsolidationLostInputs.Add(ctx, int64(report.Lost))
		c.log.Warn("Inputs did not come back after the restart; what they counted after the last checkpoint is lost",
			zap.Int("inputs", report.Lost))
	}
	c.telemetry.ProcessorTagConsolidationFlushDuration.Record(ctx, c.clock().Sub(began).Seconds())
}

// emission hands on, in batches, what the engine emits at an edge. What each
// batch shows is in the journal before the batch is sent: after a crash no
// output shows less than it did.
type emission struct {
	c       *consolidator
	ctx     context.Context //nolint:containedctx // lives for one call of flush
	journal journal
	failed  int
	err     error
}

func (c *consolidator) emission(ctx context.Context, edge uint64) *emission {
	return &emission{c: c, ctx: ctx, journal: c.state.journal(edge)}
}

func (e *emission) add(m *consolidation.Emission) {
	e.journal.Add(m)
	slice, has := e.c.batch.Add(m)
	if has && !m.Stale {
		e.c.exemplars.take(m.Output, slice)
	}
	if e.c.batch.Len() >= e.c.config.MaxBatchPoints {
		e.send()
	}
}

func (e *emission) send() {
	n := e.c.batch.Len()
	if n == 0 {
		return
	}
	if err := e.journal.Write(e.ctx); err != nil {
		e.c.stateFailed(e.ctx, "write the journal", err)
	}
	e.c.telemetry.ProcessorTagConsolidationEmittedPoints.Add(e.ctx, int64(n))
	if err := e.c.next.ConsumeMetrics(e.ctx, e.c.batch.Take()); err != nil {
		e.failed += n
		e.err = err
	}
}

func (e *emission) end() {
	e.send()
	if err := e.journal.End(e.ctx); err != nil {
		e.c.stateFailed(e.ctx, "end the journal", err)
	}
	if e.failed == 0 {
		return
	}
	e.c.telemetry.ProcessorTagConsolidationEmitFailedPoints.Add(e.ctx, int64(e.failed))
	e.c.log.Error("The next component refused points. Cumulative outputs show the same with their next point; deltas are lost. "+
		"An exporter with a sending_queue and retry_on_failure does not refuse", zap.Int("points", e.failed), zap.Error(e.err))
}
