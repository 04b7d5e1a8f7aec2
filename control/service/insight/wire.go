package insight

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/report"
)

// wirePoint gives the state of a measuring point as it travels.
func wirePoint(c *report.Cardinality) *phoenixv1.Point {
	p := &phoenixv1.Point{
		Point:            text(c.Point),
		Component:        text(c.Component),
		Backend:          text(c.Backend),
		GroupBy:          text(c.GroupBy),
		From:             timestamppb.New(c.From),
		To:               timestamppb.New(c.To),
		WindowSeconds:    c.Window.Seconds(),
		SubWindowSeconds: c.SubWindow.Seconds(),
		MetricsTracked:   uint32(min(max(c.MetricsTracked, 0), math.MaxUint32)),
		Series:           float64(c.Series),
		Streams:          float64(c.Streams),
		Points:           float64(c.Points),
		Refused:          make(map[string]float64, len(c.Refused)),
		MemoryBytes:      float64(c.MemoryBytes),
		MemoryLimitBytes: float64(c.MemoryLimitBytes),
	}
	for reason, n := range c.Refused {
		p.Refused[text(reason)] = float64(n)
	}
	if o := c.Overflow; o != nil {
		p.Overflow = &phoenixv1.CardinalityOverflow{
			Metrics:    float64(o.Metrics),
			Series:     float64(o.Series),
			Points:     float64(o.Points),
			Attributes: float64(o.Attributes),
			Reasons:    texts(o.Reasons),
		}
	}
	return p
}

// wireMetric gives one metric of a measuring point as it travels.
func wireMetric(point string, m *report.MetricCardinality) *phoenixv1.MetricEntry {
	w := &phoenixv1.MetricEntry{
		Point:         text(point),
		Metric:        text(m.Name),
		BackendName:   text(m.BackendName),
		Group:         text(m.Group),
		Type:          text(m.Type),
		Unit:          text(m.Unit),
		Series:        float64(m.Series),
		Streams:       float64(m.Streams),
		Points:        float64(m.Points),
		Estimated:     m.Estimated,
		RelativeError: finite(m.RelativeError),
		Growth: &phoenixv1.Growth{
			NewSeriesPerMinute: finite(m.Growth.NewPerMinute),
			NewSeriesInWindow:  float64(m.Growth.NewInWindow),
			Growing:            m.Growth.Growing,
			Accelerating:       m.Growth.Accelerating,
		},
	}
	if l := m.Limit; l != nil {
		w.Limit = &phoenixv1.SeriesLimit{Match: text(l.Match), MaxSeries: float64(l.MaxSeries), Exceeded: l.Exceeded}
	}
	if b := m.Best; b != nil {
		w.Best = &phoenixv1.BestSaving{
			Attributes: texts(b.Attributes), SeriesWithout: float64(b.SeriesWithout),
			Saving: float64(b.Series), SavingRatio: ratio(b.Series, m.Series),
		}
	}
	return w
}

// wireDetail gives one metric with the cost of its attributes, the largest
// saving first.
func wireDetail(point string, m *report.MetricCardinality) *phoenixv1.MetricEntry {
	d := wireMetric(point, m)
	for _, a := range m.Attributes {
		d.Attributes = append(d.Attributes, &phoenixv1.AttributeCost{
			Attribute:     text(qualified(a)),
			Key:           text(a.Key),
			Level:         string(a.Level),
			Label:         text(a.Label),
			Distinct:      float64(a.Distinct),
			SeriesWithout: float64(a.SeriesWithout),
			Saving:        float64(a.Saving),
			SavingRatio:   ratio(a.Saving, m.Series),
			Overflow:      a.Overflow,
		})
	}
	slices.SortFunc(d.Attributes, func(a, b *phoenixv1.AttributeCost) int {
		return cmp.Or(cmp.Compare(b.Saving, a.Saving), strings.Compare(a.Attribute, b.Attribute))
	})
	for _, g := range m.Groups {
		d.Groups = append(d.Groups, &phoenixv1.AttributeGroup{
			Attributes:    texts(g.Attributes),
			SeriesWithout: float64(g.SeriesWithout),
			Saving:        float64(g.Saving),
			SavingRatio:   ratio(g.Saving, m.Series),
			Since:         timestamppb.New(g.Since),
		})
	}
	slices.SortFunc(d.Groups, func(a, b *phoenixv1.AttributeGroup) int {
		return cmp.Or(cmp.Compare(b.Saving, a.Saving), slices.Compare(a.Attributes, b.Attributes))
	})
	return d
}

func ratio(saving, series uint64) float64 {
	if series == 0 {
		return 0
	}
	return float64(saving) / float64(series)
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

// text is a name as it travels: proto and JSON take UTF-8 only, telemetry is
// what somebody sent.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func texts(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, text(s))
	}
	return out
}
