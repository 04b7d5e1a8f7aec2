package cardinalityprocessor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// Cardinality answers the control plane.
func (m *measurement) Cardinality(ctx context.Context, q report.CardinalityQuery) (report.Cardinality, error) {
	if err := ctx.Err(); err != nil {
		return report.Cardinality{}, err
	}
	now := time.Now()
	epochs, ok := m.tracker.Epochs(q.Since, now)
	if !ok {
		return report.Cardinality{}, fmt.Errorf("%w: since is %s, the window of %s is %s",
			report.ErrSinceTooLong, q.Since, m.id, m.config.Window)
	}
	r := m.tracker.Report(now, epochs, nil)
	c := report.Cardinality{
		Component: m.id.String(), Point: m.point, Backend: m.config.Backend.Kind, GroupBy: m.config.GroupBy,
		From: r.From, To: r.To,
		Window: m.config.Window, SubWindow: m.config.Window / time.Duration(m.config.SubWindows),
		MetricsTracked:   len(r.Metrics),
		Points:           m.points.Load(),
		Refused:          m.refusals(),
		MemoryBytes:      uint64(r.Bytes + m.arm.budget.used()), //nolint:gosec // a size
		MemoryLimitBytes: uint64(m.config.MaxMemoryMiB) << 20,   //nolint:gosec // validated
	}
	for i := range r.Metrics {
		mr := &r.Metrics[i]
		c.Series += mr.Analysis.Series
		c.Streams += mr.Analysis.Streams
		if q.Metric == "" || q.Metric == mr.Name {
			c.Metrics = append(c.Metrics, m.metric(mr, r.From, q.Detail))
		}
	}
	if o := r.Overflow; o != nil {
		c.Overflow = &report.CardinalityOverflow{
			Metrics: o.Metrics, Series: o.Series, Points: o.Points, Attributes: o.Folded, Reasons: o.Reasons,
		}
	}
	return c, nil
}

func (m *measurement) refusals() map[string]uint64 {
	counts := map[string]uint64{}
	for r := range reasons {
		if n := m.refused[r].Load(); n > 0 {
			counts[r.String()] = n
		}
	}
	return counts
}

// metric translates the report of one metric.
func (m *measurement) metric(mr *cardinality.MetricReport, from time.Time, detail bool) report.MetricCardinality {
	a := mr.Analysis
	c := report.MetricCardinality{
		Name: mr.Name, BackendName: mr.BackendName, Group: mr.Group, Type: mr.Type.String(), Unit: mr.Unit,
		Series: a.Series, Streams: a.Streams, Points: mr.Points,
		Estimated: a.Estimated, RelativeError: a.RelativeError,
		Growth: report.Growth{
			NewPerMinute: mr.NewPerMinute, NewInWindow: mr.NewInWindow, Growing: mr.Growing, Accelerating: mr.Accelerating,
		},
		Limit: m.limits.of(mr),
		Best:  m.bestSaving(a),
	}
	if !detail {
		return c
	}
	for _, x := range a.Attributes {
		c.Attributes = append(c.Attributes, report.AttributeCardinality{
			Key: x.Key, Level: levels[x.Domain], Label: x.Label, Distinct: x.Distinct,
			SeriesWithout: x.Without, Saving: a.Saving(x.Without), Overflow: x.Rest,
		})
	}
	for _, g := range a.Groups {
		since := m.tracker.Began(g.Since)
		if since.Before(from) {
			since = from
		}
		c.Groups = append(c.Groups, report.AttributeGroup{
			Attributes: names(a, g.Members), SeriesWithout: g.Without, Saving: a.Saving(g.Without), Since: since,
		})
	}
	return c
}

var levels = [...]report.Level{
	series.Resource: report.LevelResource,
	series.Scope:    report.LevelScope,
	series.Point:    report.LevelDataPoint,
}

// qualified is the name of an attribute with its level, as rules write it.
func qualified(x *cardinality.AttributeCount) string {
	switch x.Domain {
	case series.Resource:
		return "resource." + x.Key
	case series.Scope:
		return "scope." + x.Key
	case series.Metric, series.Point:
	}
	return x.Key
}

func names(a *cardinality.Analysis, members []int) []string {
	list := make([]string, 0, len(members))
	for _, i := range members {
		list = append(list, qualified(&a.Attributes[i]))
	}
	return list
}

// noiseErrors is up to how many standard errors of a sketch a saving may be
// chance. A saving is the difference of two sketches, so these are nearly three
// of its own, and a metric has a dozen attributes that may be taken for the
// best.
const noiseErrors = 4

// bestSaving picks the attribute or group whose removal saves most; among
// equals the shorter, then the first by name. What lies within the error of
// the sketches is no saving.
func (m *measurement) bestSaving(a *cardinality.Analysis) *report.Saving {
	var best *report.Saving
	offer := func(members []int, without uint64) {
		s := report.Saving{Attributes: names(a, members), SeriesWithout: without, Series: a.Saving(without)}
		if best == nil || cmp.Or(cmp.Compare(best.Series, s.Series), cmp.Compare(len(s.Attributes), len(best.Attributes)),
			slices.Compare(s.Attributes, best.Attributes)) < 0 {
			best = &s
		}
	}
	noise := uint64(0)
	if a.Estimated { // N of OTLP streams is exact all the same, N∖a is not
		noise = uint64(noiseErrors * sketch.StandardError(uint8(m.config.Precision)) * float64(a.Series)) //nolint:gosec // validated
	}
	for i := range a.Attributes {
		x := &a.Attributes[i]
		if !x.Rest && a.Saving(x.Without) > noise {
			offer([]int{i}, x.Without)
		}
	}
	for _, g := range a.Groups {
		if a.Saving(g.Without) > noise {
			offer(g.Members, g.Without)
		}
	}
	return best
}
