package tagconsolidationprocessor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

var _ report.ConsolidationSource = (*consolidator)(nil)

// register makes the processor known to control, if that takes reports.
func (c *consolidator) register(host component.Host) error {
	if c.config.Control == nil {
		return nil
	}
	registry, ok := host.GetExtensions()[*c.config.Control].(report.ConsolidationRegistry)
	if !ok {
		return nil
	}
	unregister, err := registry.RegisterConsolidation(report.ConsolidationRegistration{
		Component: c.id.String(), Role: string(c.config.Role), Source: c,
	})
	if err != nil {
		return fmt.Errorf("register with %s: %w", c.config.Control, err)
	}
	c.unregister = unregister
	return nil
}

// PolicyVersion implements report.ConsolidationSource.
func (c *consolidator) PolicyVersion() uint64 { return c.policyVersion.Load() }

// Consolidation implements report.ConsolidationSource. It walks over all
// outputs, and holds up the data path for microseconds at a time.
func (c *consolidator) Consolidation(ctx context.Context) (report.Consolidation, error) {
	out := report.Consolidation{
		Component: c.id.String(), Role: string(c.config.Role),
		Interval: c.config.Interval, Staleness: c.config.Staleness,
	}
	now := nanos(c.clock())
	out.NextEdge = time.Unix(0, int64(c.edgeBefore(now))).Add(c.config.Interval) //nolint:gosec // a time
	if refused := c.refused.Load(); refused != nil {
		out.Problems = slices.Clone(*refused)
	}
	present, next := c.inForce(&out)
	live := c.live()
	if err := ctx.Err(); err != nil {
		return report.Consolidation{}, err
	}
	out.Rules = make([]report.RuleReport, 0, len(next.rules))
	for _, r := range next.rules {
		_, begun := present.places[r]
		out.Rules = append(out.Rules, r.report(!begun, live[r.id]))
	}
	for _, r := range present.rules { // until the edge
		if _, stays := next.places[r]; !stays {
			out.Rules = append(out.Rules, r.report(false, live[r.id]))
		}
	}
	return out, ctx.Err()
}

// inForce returns the rules that are in force and those that will be.
func (c *consolidator) inForce(out *report.Consolidation) (present, next *ruleset) {
	c.change.Lock()
	defer c.change.Unlock()
	present, next = c.rules.Load(), c.pending
	if next == nil {
		next = present
	}
	out.PolicyVersion = c.policyVersion.Load()
	return present, next
}

// report says what a rule does.
func (r *rule) report(waiting bool, live map[string]*metricSize) report.RuleReport {
	out := report.RuleReport{Name: r.name, Mode: string(policy.ModeEnforce), Static: r.static, Waiting: waiting, Points: r.points.Load()}
	if since := r.since.Load(); since != 0 {
		out.Since = time.Unix(0, since)
	}
	var sizes []metricSize
	switch {
	case r.preview:
		out.Mode = string(policy.ModePreview)
		sizes = r.measured.sizes()
	case !waiting:
		for _, s := range live {
			sizes = append(sizes, *s)
		}
	}
	for _, s := range sizes {
		out.Streams += s.streams
		out.StreamsAfter += s.streamsAfter
	}
	out.Metrics = divide(sizes)
	return out
}

// divide sorts sizes, the most streams first, and folds those beyond the bound
// and those without a name into one at the end.
func divide(sizes []metricSize) []report.RuleMetric {
	if len(sizes) == 0 {
		return nil
	}
	slices.SortFunc(sizes, func(a, b metricSize) int {
		return cmp.Or(cmp.Compare(b.streams, a.streams), cmp.Compare(a.metric, b.metric))
	})
	list := make([]report.RuleMetric, 0, min(len(sizes), maxMeasured+1))
	var rest *report.RuleMetric
	for _, s := range sizes {
		m := report.RuleMetric{
			Metric: s.metric, Type: s.kind, Streams: s.streams, StreamsAfter: s.streamsAfter,
			Series: s.series, SeriesAfter: s.seriesAfter, RelativeError: s.relativeError,
		}
		switch {
		case s.metric != "" && len(list) < maxMeasured:
			list = append(list, m)
		case rest == nil:
			m.Metric = ""
			rest = &m
		default:
			rest.Type = typeMixed
			rest.Streams, rest.StreamsAfter = rest.Streams+m.Streams, rest.StreamsAfter+m.StreamsAfter
			rest.Series, rest.SeriesAfter = rest.Series+m.Series, rest.SeriesAfter+m.SeriesAfter
			rest.RelativeError = max(rest.RelativeError, m.RelativeError)
		}
	}
	if rest != nil {
		list = append(list, *rest)
	}
	return list
}

// live counts what goes by rules in force, by rule and metric.
func (c *consolidator) live() map[consolidation.RuleID]map[string]*metricSize {
	all := map[consolidation.RuleID]map[string]*metricSize{}
	set := c.rules.Load()
	c.engine.Census(func(o *consolidation.OutputSize) {
		r := set.enforced(o.Rule)
		if r == nil { // it ends with the next flush
			return
		}
		owner, ok := o.Owner.(*stream.Stream)
		if !ok {
			return
		}
		metric := owner.Metric.Name
		byMetric := all[o.Rule]
		if byMetric == nil {
			byMetric = map[string]*metricSize{}
			all[o.Rule] = byMetric
		}
		s := byMetric[metric]
		if s == nil {
			s = &metricSize{metric: metric, kind: nameOfType(typeOf(o.Kind))}
			byMetric[metric] = s
		}
		if kind := nameOfType(typeOf(o.Kind)); s.kind != kind {
			s.kind = typeMixed
		}
		r.size(s, o)
	})
	return all
}

// size adds one output and what feeds it.
func (r *rule) size(s *metricSize, o *consolidation.OutputSize) {
	inputs, after := uint64(o.Inputs), uint64(1) //nolint:gosec // a count
	series := inputs
	switch typeOf(o.Kind) {
	case pmetric.MetricTypeHistogram:
		after = uint64(partsOf(o.Buckets, o.HasSum)) //nolint:gosec // a count
		series = inputs * after                      // until points say better
	case pmetric.MetricTypeSummary:
		after = uint64(partsOf(0, true)) //nolint:gosec // a count
		series = inputs * after
	default:
	}
	if after != 1 {
		if known, there := r.shapes.of(s.metric); there {
			series = share(inputs, known.series, known.points)
		}
	}
	s.streams += inputs
	s.streamsAfter++
	s.series += series
	s.seriesAfter += after
}
