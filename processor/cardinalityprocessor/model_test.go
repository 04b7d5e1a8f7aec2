package cardinalityprocessor

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/report"
)

// model counts with sets of strings what the processor counts with hashes. It
// shares no code with it, and has no window.
type model struct {
	otlp       bool
	promoted   []string // resource attributes, or all
	scopes     bool
	targetInfo bool
	metrics    map[string]*modelMetric
}

type modelMetric struct {
	streams map[string]bool
	points  uint64
	series  []modelSeries
	types   map[string]bool
}

// modelSeries is one point: its attributes and the parts that the backend
// makes of it.
type modelSeries struct {
	identity   string // of the metric
	suffix     string // of its name in a Prometheus
	attributes []modelAttribute
	parts      []string
}

type modelAttribute struct {
	level report.Level
	key   string
	typed string // the value with its type
	label string // what tells the label from others; empty if it is none
	text  string // the label's value
}

// modelCount is what both sides must agree on.
type modelCount struct {
	Type                    string
	Series, Streams, Points uint64
	Attributes              map[string]modelAttributeCount
}

type modelAttributeCount struct{ Distinct, Without, Saving uint64 }

func (m *model) add(md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		resource := m.describe(report.LevelResource, rm.Resource().Attributes())
		if m.targetInfo && !m.otlp && rm.ScopeMetrics().Len() > 0 {
			m.addTargetInfo(rm.Resource().Attributes())
		}
		for _, sm := range rm.ScopeMetrics().All() {
			scope := m.describe(report.LevelScope, sm.Scope().Attributes())
			scope = append(scope, m.scopeField("name", sm.Scope().Name())...)
			scope = append(scope, m.scopeField("version", sm.Scope().Version())...)
			for _, metric := range sm.Metrics().All() {
				m.addMetric(metric, slices.Concat(resource, scope))
			}
		}
	}
}

func (m *model) scopeField(key, value string) []modelAttribute {
	if value == "" {
		return nil
	}
	a := modelAttribute{level: report.LevelScope, key: key, typed: "Str " + value, text: value}
	if m.otlp || m.scopes {
		a.label = "otel_scope_" + key
	}
	return []modelAttribute{a}
}

func (m *model) describe(level report.Level, attributes pcommon.Map) (list []modelAttribute) {
	for key, value := range attributes.All() {
		a := modelAttribute{level: level, key: key, typed: value.Type().String() + " " + value.AsString(), text: value.AsString()}
		switch {
		case m.otlp:
			a.label = string(level) + key
		case level == report.LevelResource:
			a.label = m.resourceLabel(key)
		case level == report.LevelScope && m.scopes:
			a.label = "otel_scope_" + underscores(key)
		case level == report.LevelDataPoint:
			a.label = underscores(key)
		}
		list = append(list, a)
	}
	return list
}

func underscores(key string) string { return strings.ReplaceAll(key, ".", "_") }

func (m *model) resourceLabel(key string) string {
	switch {
	case key == "service.name", key == "service.namespace", key == "service.instance.id":
		return "target " + key
	case slices.Contains(m.promoted, key), slices.Contains(m.promoted, "all"):
		return underscores(key)
	}
	return ""
}

func (m *model) metric(name string) *modelMetric {
	if m.metrics == nil {
		m.metrics = map[string]*modelMetric{}
	}
	if m.metrics[name] == nil {
		m.metrics[name] = &modelMetric{streams: map[string]bool{}, types: map[string]bool{}}
	}
	return m.metrics[name]
}

func (m *model) addTargetInfo(resource pcommon.Map) {
	everything := model{promoted: []string{"all"}}
	list := everything.describe(report.LevelResource, resource)
	identifying := 0
	for _, a := range list {
		if strings.HasPrefix(a.label, "target ") {
			identifying++
		}
	}
	if identifying > 0 && identifying < len(list) {
		m.metric("target_info").add("gauge", modelSeries{attributes: list, parts: []string{"only"}})
	}
}

func (m *model) addMetric(metric pmetric.Metric, upper []modelAttribute) {
	if metric.Name() == "" {
		return
	}
	add := func(kind, identity string, attributes pcommon.Map, flags pmetric.DataPointFlags, parts ...string) {
		if flags.NoRecordedValue() {
			return
		}
		if m.otlp {
			parts = []string{"only"}
		}
		own := m.describe(report.LevelDataPoint, attributes)
		suffix := ""
		if kind == "sum" && metric.Sum().IsMonotonic() {
			suffix = "_total"
		}
		identity = fmt.Sprint(kind, metric.Unit(), identity)
		m.metric(metric.Name()).add(kind, modelSeries{identity, suffix, slices.Concat(upper, own), parts})
	}
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range metric.Gauge().DataPoints().All() {
			add("gauge", "", p.Attributes(), p.Flags(), "only")
		}
	case pmetric.MetricTypeSum:
		s := metric.Sum()
		for _, p := range s.DataPoints().All() {
			add("sum", fmt.Sprint(s.AggregationTemporality(), s.IsMonotonic()), p.Attributes(), p.Flags(), "only")
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range metric.Histogram().DataPoints().All() {
			add("histogram", metric.Histogram().AggregationTemporality().String(), p.Attributes(), p.Flags(), histogramParts(p)...)
		}
	case pmetric.MetricTypeExponentialHistogram:
		h := metric.ExponentialHistogram()
		for _, p := range h.DataPoints().All() {
			add("exponential_histogram", h.AggregationTemporality().String(), p.Attributes(), p.Flags(), "only")
		}
	case pmetric.MetricTypeSummary:
		for _, p := range metric.Summary().DataPoints().All() {
			parts := []string{"count", "sum"}
			for _, q := range p.QuantileValues().All() {
				parts = append(parts, fmt.Sprint(q.Quantile()))
			}
			add("summary", "", p.Attributes(), p.Flags(), parts...)
		}
	}
}

func histogramParts(p pmetric.HistogramDataPoint) []string {
	parts := []string{"+Inf", "count"}
	if p.HasSum() {
		parts = append(parts, "sum")
	}
	for _, b := range p.ExplicitBounds().AsRaw() {
		if !math.IsInf(b, 1) {
			parts = append(parts, fmt.Sprint(b))
		}
	}
	return parts
}

func (x *modelMetric) add(kind string, s modelSeries) {
	var list []string
	for _, a := range s.attributes {
		list = append(list, fmt.Sprintf("%s %q %q", a.level, a.key, a.typed))
	}
	slices.Sort(list)
	x.streams[fmt.Sprintf("%q %q", s.identity, list)] = true
	x.points++
	x.types[kind] = true
	x.series = append(x.series, s)
}

// count counts the series that are left without the given attributes.
func (x *modelMetric) count(otlp bool, without ...string) uint64 {
	seen := map[string]bool{}
	for _, s := range x.series {
		var labels []string
		for _, a := range s.attributes {
			switch {
			case slices.Contains(without, a.name()), a.label == "":
			case otlp:
				labels = append(labels, fmt.Sprintf("%q=%q", a.label, a.typed))
			case a.text != "":
				labels = append(labels, fmt.Sprintf("%q=%q", a.label, a.text))
			}
		}
		slices.Sort(labels)
		if otlp {
			labels = append(labels, s.identity)
		} else {
			labels = append(labels, s.suffix)
		}
		for _, part := range s.parts {
			seen[fmt.Sprintf("%q %q", labels, part)] = true
		}
	}
	return uint64(len(seen))
}

func (a modelAttribute) name() string { return string(a.level) + " " + a.key }

// counts evaluates the model.
func (m *model) counts() map[string]modelCount {
	counts := map[string]modelCount{}
	for name, x := range m.metrics {
		c := modelCount{
			Type: "mixed", Streams: uint64(len(x.streams)), Points: x.points, Series: x.count(m.otlp),
			Attributes: map[string]modelAttributeCount{},
		}
		for kind := range x.types {
			if len(x.types) == 1 {
				c.Type = kind
			}
		}
		values := map[string]map[string]bool{}
		for _, s := range x.series {
			for _, a := range s.attributes {
				value := a.typed
				if !m.otlp && a.label != "" {
					value = a.text
				}
				if field := a.level == report.LevelScope && (a.key == "name" || a.key == "version"); field && a.label == "" {
					continue // no attribute of the report
				}
				if value != "" {
					if values[a.name()] == nil {
						values[a.name()] = map[string]bool{}
					}
					values[a.name()][value] = true
				}
			}
		}
		for attribute, set := range values {
			without := x.count(m.otlp, attribute)
			c.Attributes[attribute] = modelAttributeCount{uint64(len(set)), without, c.Series - without}
		}
		counts[name] = c
	}
	return counts
}

// countsOf brings a report into the form of the model's.
func countsOf(c report.Cardinality) map[string]modelCount {
	counts := map[string]modelCount{}
	for _, m := range c.Metrics {
		x := modelCount{
			Type: m.Type, Series: m.Series, Streams: m.Streams, Points: m.Points,
			Attributes: map[string]modelAttributeCount{},
		}
		for _, a := range m.Attributes {
			x.Attributes[string(a.Level)+" "+a.Key] = modelAttributeCount{a.Distinct, a.SeriesWithout, a.Saving}
		}
		counts[m.Name] = x
	}
	return counts
}
