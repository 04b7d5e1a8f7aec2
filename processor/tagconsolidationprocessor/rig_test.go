package tagconsolidationprocessor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor/internal/metadata"
)

// rig is a consolidator whose time is moved by hand.
type rig struct {
	t    testing.TB
	c    *consolidator
	now  time.Time
	sink *consumertest.MetricsSink
	host component.Host
}

// epoch is when the time of rigs begins: a whole multiple of every interval.
var epoch = time.Unix(1_700_000_100, 0).UTC().Truncate(time.Hour)

// loadConfig reads YAML as the Collector does, and validates it.
func loadConfig(tb testing.TB, yaml string) (*Config, error) {
	tb.Helper()
	conf, err := fromYAML(yaml)
	if err != nil {
		return nil, err
	}
	cfg := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

// newRig starts a consolidator at epoch, without letting time run.
func newRig(tb testing.TB, yaml string) *rig {
	tb.Helper()
	cfg, err := loadConfig(tb, yaml)
	require.NoError(tb, err)
	return newRigOf(tb, cfg, componenttest.NewNopHost(), epoch)
}

func newRigOf(tb testing.TB, cfg *Config, host component.Host, now time.Time) *rig {
	tb.Helper()
	r := &rig{t: tb, now: now, sink: new(consumertest.MetricsSink), host: host}
	c, err := newConsolidator(nopSettings(), cfg, r.sink)
	require.NoError(tb, err)
	c.clock = func() time.Time { return r.now }
	r.c = c
	require.NoError(tb, c.begin(tb.Context(), host))
	return r
}

func nopSettings() processor.Settings {
	set := processortest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type)
	return set
}

// send lets a batch through, and returns what of it passed at once.
func (r *rig) send(md pmetric.Metrics) pmetric.Metrics {
	r.t.Helper()
	left, err := r.c.process(r.t.Context(), md)
	if errors.Is(err, processorhelper.ErrSkipProcessingData) {
		return pmetric.NewMetrics()
	}
	require.NoError(r.t, err)
	return left
}

// turn moves time to the next edge and returns what was emitted there.
func (r *rig) turn() []pmetric.Metrics {
	r.t.Helper()
	edge := r.now.Truncate(r.c.config.Interval).Add(r.c.config.Interval)
	r.now = edge
	r.sink.Reset()
	r.c.turn(r.t.Context(), nanos(edge))
	return r.sink.AllMetrics()
}

// end shuts down and returns what was emitted.
func (r *rig) end() []pmetric.Metrics {
	r.t.Helper()
	r.sink.Reset()
	require.NoError(r.t, r.c.end(r.t.Context()))
	return r.sink.AllMetrics()
}

// fromYAML reads a configuration written in a test.
func fromYAML(yaml string) (*confmap.Conf, error) {
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	if err != nil {
		return nil, err
	}
	return retrieved.AsConf()
}

// newUnstartedRig makes a processor with the clock of the world.
func newUnstartedRig(tb testing.TB, cfg *Config, host component.Host) *rig {
	tb.Helper()
	r := &rig{t: tb, sink: new(consumertest.MetricsSink), host: host}
	c, err := newConsolidator(nopSettings(), cfg, r.sink)
	require.NoError(tb, err)
	r.c = c
	return r
}

// blocked is a next component that answers once it is released.
func blocked(tb testing.TB, release <-chan struct{}) consumer.Metrics {
	tb.Helper()
	next, err := consumer.NewMetrics(func(context.Context, pmetric.Metrics) error {
		<-release
		return nil
	})
	require.NoError(tb, err)
	return next
}
