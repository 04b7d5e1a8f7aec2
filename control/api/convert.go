package api

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/report"
)

// wirePoint gives the state of a measuring point as it travels.
func wirePoint(c report.Cardinality) Point {
	p := Point{
		Point:            c.Point,
		Component:        c.Component,
		Backend:          c.Backend,
		GroupBy:          c.GroupBy,
		From:             c.From.UTC(),
		To:               c.To.UTC(),
		WindowSeconds:    c.Window.Seconds(),
		SubWindowSeconds: c.SubWindow.Seconds(),
		MetricsTracked:   c.MetricsTracked,
		Series:           c.Series,
		Streams:          c.Streams,
		Points:           c.Points,
		Refused:          c.Refused,
		MemoryBytes:      c.MemoryBytes,
		MemoryLimitBytes: c.MemoryLimitBytes,
	}
	if p.Refused == nil {
		p.Refused = map[string]uint64{} // {} for clients, never null
	}
	if o := c.Overflow; o != nil {
		p.Overflow = &Overflow{
			Metrics:    o.Metrics,
			Series:     o.Series,
			Points:     o.Points,
			Attributes: o.Attributes,
			Reasons:    notNull(o.Reasons),
		}
	}
	return p
}

// wireMetric gives one metric of a measuring point as it travels.
func wireMetric(point string, m report.MetricCardinality) Metric {
	w := Metric{
		Point:         point,
		Metric:        m.Name,
		BackendName:   m.BackendName,
		Group:         m.Group,
		Type:          m.Type,
		Unit:          m.Unit,
		Series:        m.Series,
		Streams:       m.Streams,
		Points:        m.Points,
		Estimated:     m.Estimated,
		RelativeError: finite(m.RelativeError),
		Growth: Growth{
			NewSeriesPerMinute: finite(m.Growth.NewPerMinute),
			NewSeriesInWindow:  m.Growth.NewInWindow,
			Growing:            m.Growth.Growing,
			Accelerating:       m.Growth.Accelerating,
		},
	}
	if l := m.Limit; l != nil {
		w.Limit = &Limit{Match: l.Match, MaxSeries: l.MaxSeries, Exceeded: l.Exceeded}
	}
	if b := m.Best; b != nil {
		w.Best = &Best{
			Attributes: notNull(b.Attributes),
			Saved:      wireSaved(m.Series, b.SeriesWithout, b.Series),
		}
	}
	return w
}

// wireDetail gives one metric with the cost of its attributes, the largest
// saving first.
func wireDetail(point string, m report.MetricCardinality) MetricDetail {
	d := MetricDetail{
		Metric:     wireMetric(point, m),
		Attributes: make([]Attribute, 0, len(m.Attributes)),
		Groups:     make([]Group, 0, len(m.Groups)),
	}
	for _, a := range m.Attributes {
		d.Attributes = append(d.Attributes, Attribute{
			Attribute: qualified(a),
			Key:       a.Key,
			Level:     string(a.Level),
			Label:     a.Label,
			Distinct:  a.Distinct,
			Saved:     wireSaved(m.Series, a.SeriesWithout, a.Saving),
			Overflow:  a.Overflow,
		})
	}
	slices.SortFunc(d.Attributes, func(a, b Attribute) int {
		return cmp.Or(cmp.Compare(b.Saving, a.Saving), strings.Compare(a.Attribute, b.Attribute))
	})
	for _, g := range m.Groups {
		d.Groups = append(d.Groups, Group{
			Attributes: notNull(g.Attributes),
			Saved:      wireSaved(m.Series, g.SeriesWithout, g.Saving),
			Since:      g.Since.UTC(),
		})
	}
	slices.SortFunc(d.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Saving, a.Saving), slices.Compare(a.Attributes, b.Attributes))
	})
	return d
}

func wireSaved(series, without, saving uint64) Saved {
	s := Saved{SeriesWithout: without, Saving: saving}
	if series > 0 {
		s.SavingRatio = float64(saving) / float64(series)
	}
	return s
}

// qualified is the name that rules use for an attribute: levels other than the
// data point are written in front.
func qualified(a report.AttributeCardinality) string {
	if a.Overflow || a.Level == report.LevelDataPoint || a.Level == "" {
		return a.Key
	}
	return string(a.Level) + "." + a.Key
}

// finite replaces what JSON cannot hold.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// notNull makes an absent list travel as [] instead of null.
func notNull(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
