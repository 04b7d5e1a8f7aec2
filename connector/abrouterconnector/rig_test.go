package abrouterconnector

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/phoenix-platform/phoenix/connector/abrouterconnector/internal/metadata"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// plane stands at the other end of the contract: it has a policy and knows the
// router.
type plane struct {
	component.StartFunc
	component.ShutdownFunc
	snapshot atomic.Pointer[policy.Snapshot]
	asked    atomic.Int64 // for the policy

	mu      sync.Mutex
	routers []report.RouterRegistration
}

var (
	_ policy.Source         = (*plane)(nil)
	_ report.RouterRegistry = (*plane)(nil)
)

func (p *plane) Policy() *policy.Snapshot {
	p.asked.Add(1)
	return p.snapshot.Load()
}

func (p *plane) RegisterRouter(r report.RouterRegistration) (func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routers = append(p.routers, r)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.routers = nil
	}, nil
}

// publish makes routes the policy. Every call is a version.
func (p *plane) publish(rules []policy.Rule, routes ...policy.Route) uint64 {
	version := p.snapshot.Load().Version + 1
	p.snapshot.Store(&policy.Snapshot{Version: version, Rules: rules, Routes: routes})
	return version
}

// host has the plane as its extension.
type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// sink is the pipeline of an arm.
type sink[T any] struct {
	mutates bool
	// before is called with what comes, and may refuse it.
	before func(ctx context.Context, data T) error

	mu  sync.Mutex
	all []T
}

func (s *sink[T]) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: s.mutates}
}

func (s *sink[T]) take(ctx context.Context, data T) error {
	if s.before != nil {
		if err := s.before(ctx, data); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, data)
	return nil
}

func (s *sink[T]) got() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]T(nil), s.all...)
}

type (
	metricsSink struct{ sink[pmetric.Metrics] }
	tracesSink  struct{ sink[ptrace.Traces] }
	logsSink    struct{ sink[plog.Logs] }
)

func (s *metricsSink) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	return s.take(ctx, md)
}

func (s *metricsSink) points() (n int) {
	for _, md := range s.got() {
		n += md.DataPointCount()
	}
	return n
}

func (s *tracesSink) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return s.take(ctx, td)
}

func (s *logsSink) ConsumeLogs(ctx context.Context, ld plog.Logs) error { return s.take(ctx, ld) }

var controlID = component.MustNewID("phoenix_control")

// testConfig has both arms of all signals.
func testConfig(change func(*Config)) *Config {
	cfg := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
	for _, signal := range []pipeline.Signal{pipeline.SignalMetrics, pipeline.SignalTraces, pipeline.SignalLogs} {
		cfg.Baseline = append(cfg.Baseline, pipeline.NewIDWithName(signal, "baseline"))
		cfg.Candidate = append(cfg.Candidate, pipeline.NewIDWithName(signal, "candidate"))
	}
	if change != nil {
		change(cfg)
	}
	if len(cfg.Experiments) == 0 {
		cfg.Control = &controlID
	}
	return cfg
}

// rig is a connector of metrics between a plane and two arms.
type rig struct {
	t                   *testing.T
	plane               *plane
	baseline, candidate metricsSink
	telemetry           *componenttest.Telemetry
	connector           connector.Metrics
}

// newRig makes one. The arms may be prepared before start.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, plane: newPlane(), telemetry: componenttest.NewTelemetry()}
	t.Cleanup(func() { require.NoError(t, r.telemetry.Shutdown(context.Background())) })
	return r
}

func newPlane() *plane {
	p := &plane{}
	p.snapshot.Store(&policy.Snapshot{})
	return p
}

func (r *rig) settings() connector.Settings {
	set := connectortest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type)
	set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	return set
}

// start makes and starts the connector, which ends with the test.
func (r *rig) start(change func(*Config)) *rig {
	r.t.Helper()
	cfg := testConfig(change)
	require.NoError(r.t, cfg.Validate())
	var err error
	r.connector, err = NewFactory().CreateMetricsToMetrics(r.t.Context(), r.settings(), cfg, metricsRoutes(r))
	require.NoError(r.t, err)
	require.NoError(r.t, r.connector.Start(r.t.Context(), host{controlID: r.plane}))
	r.t.Cleanup(r.stop)
	return r
}

// metricsRoutes are what the service gives the connector.
func metricsRoutes(r *rig) connector.MetricsRouterAndConsumer {
	return connector.NewMetricsRouter(map[pipeline.ID]consumer.Metrics{
		pipeline.NewIDWithName(pipeline.SignalMetrics, "baseline"):  &r.baseline,
		pipeline.NewIDWithName(pipeline.SignalMetrics, "candidate"): &r.candidate,
	})
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(r.t, r.connector.Shutdown(ctx))
}

// router is what the connector is made of.
func (r *rig) router() *router { return r.connector.(metricsConnector).router }

// publish publishes routes and waits until they are in force.
func (r *rig) publish(rules []policy.Rule, routes ...policy.Route) {
	r.t.Helper()
	version := r.plane.publish(rules, routes...)
	require.Eventually(r.t, func() bool { return r.router().PolicyVersion() == version }, time.Second, time.Millisecond)
}

// report is what the router says of an experiment.
func (r *rig) report(id string) report.RouteReport {
	r.t.Helper()
	list, err := r.plane.routers[0].Source.Routes(r.t.Context(), []string{id})
	require.NoError(r.t, err)
	require.Len(r.t, list, 1)
	return list[0]
}

// counter reads the sum of one of our own counters.
func (r *rig) counter(name string, attributes ...string) (n int64) {
	r.t.Helper()
	return sumOf(r.t, r.telemetry, name, attributes...)
}

// held is a lease that lasts.
func held() *policy.Lease {
	l := &policy.Lease{}
	l.Renew(time.Now().Add(time.Hour))
	return l
}

// mirrorRoute is an experiment of one service that mirrors.
func mirrorRoute(service string) policy.Route {
	return policy.Route{
		Experiment: "team/" + service, Epoch: 1, Signal: signalMetrics, Mode: modeMirror, Mirror: true,
		Scope: map[string]string{"resource.service.name": service}, Lease: held(),
	}
}

// splitRoute is an experiment of one service that splits by resource, and has done
// so for long.
func splitRoute(service string, weight int) policy.Route {
	return policy.Route{
		Experiment: "team/" + service, Epoch: 1, Signal: signalMetrics, Mode: modeSplit, Unit: "resource", Weight: weight,
		Scope: map[string]string{"service.name": service}, Lease: held(),
	}
}

// loads has resources of a service with 10 gauge points each.
func loads(service string, resources int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for i := range resources {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", service)
		rm.Resource().Attributes().PutInt("instance", int64(i))
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("load")
		points := m.SetEmptyGauge().DataPoints()
		for j := range 10 {
			dp := points.AppendEmpty()
			dp.Attributes().PutInt("cpu", int64(j))
			dp.SetTimestamp(1_700_000_000_000_000_000)
			dp.SetIntValue(int64(i*100 + j))
		}
	}
	return md
}

func copyOf(md pmetric.Metrics) pmetric.Metrics {
	to := pmetric.NewMetrics()
	md.CopyTo(to)
	return to
}

// bytesOf is what goes over the wire.
func bytesOf(t *testing.T, list ...pmetric.Metrics) (all []byte) {
	t.Helper()
	for _, md := range list {
		data, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
		require.NoError(t, err)
		all = append(all, data...)
	}
	return all
}

var errDown = errors.New("the exporter is down")

// sumOf adds up the points of a metric that have all these keys and values.
func sumOf(t *testing.T, telemetry *componenttest.Telemetry, name string, attributes ...string) (n int64) {
	t.Helper()
	got, err := telemetry.GetMetric("otelcol_connector_ab_router_" + name)
	if err != nil {
		return 0 // nothing was counted
	}
	var points []metricdata.DataPoint[int64]
	switch data := got.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	for _, p := range points {
		has := true
		for i := 0; i < len(attributes); i += 2 {
			value, _ := p.Attributes.Value(attribute.Key(attributes[i]))
			has = has && value.AsString() == attributes[i+1]
		}
		if has {
			n += p.Value
		}
	}
	return n
}

// appendPoint appends the first point of a metric to another of the same type.
func appendPoint(from, to pmetric.Metric) {
	switch from.Type() {
	case pmetric.MetricTypeGauge:
		from.Gauge().DataPoints().At(0).CopyTo(to.Gauge().DataPoints().AppendEmpty())
	case pmetric.MetricTypeSum:
		from.Sum().DataPoints().At(0).CopyTo(to.Sum().DataPoints().AppendEmpty())
	case pmetric.MetricTypeHistogram:
		from.Histogram().DataPoints().At(0).CopyTo(to.Histogram().DataPoints().AppendEmpty())
	case pmetric.MetricTypeExponentialHistogram:
		from.ExponentialHistogram().DataPoints().At(0).CopyTo(to.ExponentialHistogram().DataPoints().AppendEmpty())
	case pmetric.MetricTypeSummary:
		from.Summary().DataPoints().At(0).CopyTo(to.Summary().DataPoints().AppendEmpty())
	case pmetric.MetricTypeEmpty:
	}
}

// pointsAt are the attributes of a metric's points.
func pointsAt(m pmetric.Metric) (list []map[string]any) {
	points, _ := walk.Of(m)
	for i := range points.Len() {
		list = append(list, points.Attributes(i).AsRaw())
	}
	return list
}
