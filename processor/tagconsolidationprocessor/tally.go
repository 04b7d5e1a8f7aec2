package tagconsolidationprocessor

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor/internal/metadata"
)

// passReason says why a point passed on untouched.
type passReason int

const (
	noRule passReason = iota
	neverTouched
	gaugeWithoutPolicy
	summaryPasses
	unspecifiedTemporality
	handedOverPasses

	passReasons
)

// String is the value of the attribute reason.
func (r passReason) String() string {
	return [passReasons]string{"no_rule", "never_touch", "gauge_without_policy", "summary", "unspecified_temporality", "handed_over"}[r]
}

// dropReason says why a point was dropped, beside the verdicts that refuse one.
type dropReason int

const (
	futureTime dropReason = iota
	noValue
	noRoom
	handedOver

	dropReasons
)

// String is the value of the attribute reason.
func (r dropReason) String() string {
	return [dropReasons]string{"future_time", "no_value", "max_streams", "handed_over"}[r]
}

// tally counts what happened to the points of a batch that no rule has to
// answer for.
type tally struct {
	in     int
	passed [passReasons]int
}

// maxVerdicts is above every verdict.
const maxVerdicts = 80

// laneTally counts what happened to the points of a rule.
type laneTally struct {
	verdicts                   [maxVerdicts]int
	staleMarkers               int
	passed                     [passReasons]int
	dropped                    [dropReasons]int
	overflow, late             int
	boundsForeign, boundsApart int
	typeConflicts              int
	observed                   int // by a rule in preview
	forwarded                  int // to the processor that took the rule over
	ended                      int // series that passed before
}

func (t *laneTally) count(stale bool, out consolidation.Outcome) {
	if stale && !out.Verdict.Refused() {
		t.staleMarkers++
		return
	}
	if out.Happened&consolidation.Dropped != 0 {
		t.dropped[noRoom]++
		return
	}
	t.verdicts[out.Verdict]++
	if out.Happened != 0 {
		t.happened(out.Happened)
	}
	if out.Verdict == spatial.Late {
		t.late++
	}
}

// matched counts the points that the rule matched.
func (t *laneTally) matched() (n uint64) {
	sum := t.observed + t.staleMarkers + t.forwarded
	for _, count := range &t.verdicts {
		sum += count
	}
	for _, count := range &t.passed {
		sum += count
	}
	for _, count := range &t.dropped {
		sum += count
	}
	return uint64(max(0, sum))
}

func (t *laneTally) happened(e consolidation.Event) {
	if e&consolidation.Folded != 0 {
		t.overflow++
	}
	if e&consolidation.LateDelta != 0 {
		t.late++
	}
	if e&consolidation.BoundsApart != 0 {
		t.boundsApart++
	}
}

// instruments are the counters of one processor, with the options of each rule
// made once.
type instruments struct {
	builder *metadata.TelemetryBuilder
	passed  [passReasons]metric.MeasurementOption
}

func newInstruments(b *metadata.TelemetryBuilder) *instruments {
	i := &instruments{builder: b}
	for r := range passReasons {
		i.passed[r] = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", r.String())))
	}
	return i
}

// with returns the option for a rule and one more attribute.
func with(rule, key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("rule", rule), attribute.String(key, value)))
}

// settle adds what a feeder counted in a batch, and empties it.
func (i *instruments) settle(ctx context.Context, f *feeder) {
	b := i.builder
	if f.tally.in > 0 {
		b.ProcessorTagConsolidationInputPoints.Add(ctx, int64(f.tally.in))
	}
	for r, n := range f.tally.passed {
		if n > 0 {
			b.ProcessorTagConsolidationPassedPoints.Add(ctx, int64(n), i.passed[r])
		}
	}
	f.tally = tally{}
	for _, l := range f.used {
		if l.laneTally != (laneTally{}) {
			i.settleLane(ctx, l)
			l.laneTally = laneTally{}
		}
	}
}

func (i *instruments) settleLane(ctx context.Context, l *lane) {
	b, name := i.builder, l.rule.name
	resets := 0
	l.rule.points.Add(l.matched())
	for n, count := range &l.verdicts {
		if count == 0 {
			continue
		}
		v := spatial.Verdict(n)
		if v.Refused() {
			b.ProcessorTagConsolidationDroppedPoints.Add(ctx, int64(count), with(name, "reason", v.String()))
			continue
		}
		if v.Reset() {
			resets += count
		}
		b.ProcessorTagConsolidationConsolidatedPoints.Add(ctx, int64(count), with(name, "verdict", v.String()))
	}
	if l.staleMarkers > 0 {
		b.ProcessorTagConsolidationConsolidatedPoints.Add(ctx, int64(l.staleMarkers), with(name, "verdict", "stale_marker"))
	}
	if l.forwarded > 0 {
		b.ProcessorTagConsolidationConsolidatedPoints.Add(ctx, int64(l.forwarded), with(name, "verdict", "handed_over"))
	}
	for r, count := range l.passed {
		if count > 0 {
			b.ProcessorTagConsolidationPassedPoints.Add(ctx, int64(count), with(name, "reason", passReason(r).String()))
		}
	}
	for r, count := range l.dropped {
		if count > 0 {
			b.ProcessorTagConsolidationDroppedPoints.Add(ctx, int64(count), with(name, "reason", dropReason(r).String()))
		}
	}
	if l.boundsApart > 0 {
		b.ProcessorTagConsolidationBoundsMismatches.Add(ctx, int64(l.boundsApart), with(name, "reason", "no_common_bounds"))
	}
	if l.boundsForeign > 0 {
		b.ProcessorTagConsolidationBoundsMismatches.Add(ctx, int64(l.boundsForeign), with(name, "reason", "no_kept_bounds"))
	}
	for _, c := range []struct {
		count   int
		counter metric.Int64Counter
	}{
		{resets, b.ProcessorTagConsolidationResets},
		{l.late, b.ProcessorTagConsolidationLatePoints},
		{l.overflow, b.ProcessorTagConsolidationOverflowPoints},
		{l.typeConflicts, b.ProcessorTagConsolidationTypeConflicts},
		{l.ended, b.ProcessorTagConsolidationEndedSeries},
	} {
		if c.count > 0 {
			c.counter.Add(ctx, int64(c.count), metric.WithAttributeSet(attribute.NewSet(attribute.String("rule", name))))
		}
	}
}
