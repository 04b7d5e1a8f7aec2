package cardinalityprocessor

import (
	"context"
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadatatest"
)

// rewrite writes the golden files again; read the diff before you keep it.
var rewrite = flag.Bool("rewrite", false, "write the golden files in testdata again")

var controlID = component.MustNewID("phoenix_control")

// planeExtension is the smallest extension that hosts a control plane.
type planeExtension struct {
	component.StartFunc
	*control.Plane
}

// host is a collector with the given extensions.
type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// rig is a collector around the processors of one factory: a control plane,
// a log, telemetry and a sink behind every pipeline.
type rig struct {
	t         testing.TB
	factory   processor.Factory
	plane     *control.Plane
	host      host
	logger    *zap.Logger
	logs      *observer.ObservedLogs
	telemetry *componenttest.Telemetry
	sink      *consumertest.MetricsSink
}

// newRig makes a collector whose hashes are the same in every run, so that
// golden files may hold estimates.
func newRig(tb testing.TB) *rig {
	tb.Helper()
	shared := newInstances()
	shared.secret = func() series.Secret { return series.Secret{} }
	plane := controltest.Open(tb, control.Settings{})
	core, logs := observer.New(zap.DebugLevel)
	r := &rig{
		t: tb, factory: newFactory(shared), plane: plane,
		host:   host{controlID: planeExtension{Plane: plane}},
		logger: zap.New(core), logs: logs,
		telemetry: componenttest.NewTelemetry(), sink: &consumertest.MetricsSink{},
	}
	tb.Cleanup(func() { require.NoError(tb, r.telemetry.Shutdown(context.WithoutCancel(tb.Context()))) })
	return r
}

// config reads YAML over the defaults, validates it and sets `control`.
func (r *rig) config(yaml string) *Config {
	r.t.Helper()
	cfg, err := loadYAML(r.t, yaml)
	require.NoError(r.t, err)
	cfg.Control = &controlID
	return cfg
}

// loadYAML reads a configuration as the Collector does.
func loadYAML(tb testing.TB, yaml string) (*Config, error) {
	tb.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	require.NoError(tb, err)
	conf, err := retrieved.AsConf()
	require.NoError(tb, err)
	return loadConf(conf)
}

func loadConf(conf *confmap.Conf) (*Config, error) {
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

// create makes the processor of one pipeline.
func (r *rig) create(id string, cfg *Config) processor.Metrics {
	r.t.Helper()
	set := metadatatest.NewSettings(r.telemetry)
	require.NoError(r.t, set.ID.UnmarshalText([]byte(id)))
	set.Logger = r.logger
	p, err := r.factory.CreateMetrics(r.t.Context(), set, cfg, r.sink)
	require.NoError(r.t, err)
	return p
}

// start makes a processor with the id cardinality and starts it; the test's end
// stops it.
func (r *rig) start(yaml string) processor.Metrics {
	r.t.Helper()
	p := r.create("cardinality", r.config(yaml))
	require.NoError(r.t, p.Start(r.t.Context(), r.host))
	r.t.Cleanup(func() { require.NoError(r.t, p.Shutdown(context.WithoutCancel(r.t.Context()))) })
	return p
}

// feed sends a batch in the notation of parseStream.
func (r *rig) feed(p processor.Metrics, text string) {
	r.t.Helper()
	md := parseStream(r.t, text)
	md.MarkReadOnly()
	require.NoError(r.t, p.ConsumeMetrics(r.t.Context(), md))
}

// report asks the control plane for everything of the only point.
func (r *rig) report(q report.CardinalityQuery) report.Cardinality {
	r.t.Helper()
	q.Detail = true
	answers, err := r.plane.Cardinality(r.t.Context(), "", q)
	require.NoError(r.t, err)
	require.Len(r.t, answers, 1)
	return answers[0]
}

// metric returns the report of one metric.
func (r *rig) metric(name string) report.MetricCardinality {
	r.t.Helper()
	c := r.report(report.CardinalityQuery{Metric: name})
	require.Len(r.t, c.Metrics, 1, name)
	return c.Metrics[0]
}

// marshal returns the encoded form of a batch.
func marshal(tb testing.TB, md pmetric.Metrics) []byte {
	tb.Helper()
	raw, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	require.NoError(tb, err)
	return raw
}

// section reads one entry of a YAML file.
func section(tb testing.TB, file, id string) *confmap.Conf {
	tb.Helper()
	conf, err := confmaptest.LoadConf(file)
	require.NoError(tb, err)
	require.True(tb, conf.IsSet(id), id)
	sub, err := conf.Sub(id)
	require.NoError(tb, err)
	return sub
}
