package fidelity

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/backend"
	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// outsideAttribute marks points of a mixed resource that the experiment does not
// take, on their way through the converter.
const outsideAttribute = "phoenix_fidelity_outside"

// side says where points stand.
type side int

const (
	inside side = iota
	outside
	mixed // it is written at each point
)

// converter turns OTLP into samples, with names and labels as a Prometheus server
// that receives OTLP makes them.
type converter struct {
	settings prometheusremotewrite.Settings
	namer    otlptranslator.MetricNamer
	scope    *routing.Table
}

func newConverter(spec experiment.Spec, b backend.PrometheusSettings) (*converter, error) {
	if _, err := backend.NewPrometheus(b); err != nil {
		return nil, err
	}
	one := routing.Experiment{ID: spec.ID, Metrics: spec.Metrics}
	for key, value := range spec.Scope {
		ref, err := policy.ParseAttributeRef(key)
		if err != nil {
			return nil, fmt.Errorf("scope %q: %w", key, err)
		}
		if condition := (routing.Attribute{Key: ref.Key, Value: value}); ref.Level == policy.LevelPoint {
			one.Point = append(one.Point, condition)
		} else {
			one.Resource = append(one.Resource, condition)
		}
	}
	table, err := routing.Compile([]routing.Experiment{one})
	if err != nil {
		return nil, err
	}
	strategy := otlptranslator.TranslationStrategyOption(b.Translation)
	return &converter{
		scope: table,
		namer: otlptranslator.NewMetricNamer("", strategy),
		settings: prometheusremotewrite.Settings{
			AddMetricSuffixes: strategy.ShouldAddSuffixes(),
			AllowUTF8:         !strategy.ShouldEscape(),
			PromoteResourceAttributes: prometheusremotewrite.NewPromoteResourceAttributes(config.OTLPConfig{
				PromoteAllResourceAttributes: b.AllResourceAttributes, PromoteResourceAttributes: b.ResourceAttributes,
			}),
			PromoteScopeMetadata: b.ScopeLabels,
			LookbackDelta:        lookback,
		},
	}, nil
}

// family is what the backend calls a metric.
func (c *converter) family(m pmetric.Metric) string {
	name, err := c.namer.Build(prometheusremotewrite.TranslatorMetricFromOtelMetric(m))
	if err != nil {
		return m.Name()
	}
	return name
}

// split divides a batch by where its points stand, in place of which it leaves
// nothing. The router's label is taken off.
func (c *converter) split(md pmetric.Metrics) (parts [3]pmetric.Metrics) {
	for i := range parts {
		parts[i] = pmetric.NewMetrics()
	}
	for _, rm := range md.ResourceMetrics().All() {
		match := c.scope.Resource(rm.Resource().Attributes())
		where := mixed
		if e, ok := match.Whole(); ok {
			where = sideOf(e)
		}
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				c.mark(&match, m, where == mixed)
			}
		}
		rm.MoveTo(parts[where].ResourceMetrics().AppendEmpty())
	}
	return parts
}

// mark cleans the points of a metric and marks those outside.
func (c *converter) mark(match *routing.Match, m pmetric.Metric, mixed bool) {
	points, ok := walk.Of(m)
	if !ok {
		return
	}
	taken := match.Metric(m.Name())
	for i := range points.Len() {
		attributes := points.Attributes(i)
		if mixed && taken.Point(attributes) == nil {
			attributes.PutStr(outsideAttribute, "1")
		}
		attributes.Remove(policy.ArmAttribute)
	}
}

func sideOf(e *routing.Experiment) side {
	if e == nil {
		return outside
	}
	return inside
}

// samples converts a batch and hands on each sample. What cannot be converted is
// left out, as the server would; the error says what.
func (c *converter) samples(ctx context.Context, md pmetric.Metrics, at time.Time, where side, take func(point, side)) error {
	if md.ResourceMetrics().Len() == 0 {
		return nil
	}
	_, err := prometheusremotewrite.NewPrometheusConverter(&collector{where: where, at: at.UnixMilli(), take: take}).FromMetrics(ctx, md, c.settings)
	return err
}

// point is a sample on its way to a head.
type point struct {
	labels labels.Labels
	family string
	// start is since when it counts, t the time that it bears, at when it arrived,
	// all in milliseconds.
	start, t, at int64
	// counter says that it only grows.
	counter bool
	value
}

// value is that of a sample: a number, or a native histogram.
type value struct {
	v  float64
	h  *histogram.Histogram
	fh *histogram.FloatHistogram
}

// collector is the storage that the converter writes to.
type collector struct {
	where side
	at    int64
	take  func(point, side)
}

var _ storage.AppenderV2 = (*collector)(nil)

// Append implements storage.AppenderV2.
func (c *collector) Append(_ storage.SeriesRef, ls labels.Labels, start, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AOptions) (storage.SeriesRef, error) {
	where := c.where
	if where == mixed {
		where = inside
		if ls.Has(outsideAttribute) {
			where = outside
			ls = labels.NewBuilder(ls).Del(outsideAttribute).Labels()
		}
	}
	family := opts.MetricFamilyName
	if family == "" {
		family = ls.Get(model.MetricNameLabel)
	}
	counter := opts.Metadata.Type == model.MetricTypeCounter || opts.Metadata.Type == model.MetricTypeHistogram && h == nil && fh == nil
	c.take(point{labels: ls, family: family, counter: counter, start: start, t: t, at: c.at, value: value{v: v, h: h, fh: fh}}, where)
	return 0, nil
}

// Commit implements storage.AppenderTransaction.
func (*collector) Commit() error { return nil }

// Rollback implements storage.AppenderTransaction.
func (*collector) Rollback() error { return nil }
