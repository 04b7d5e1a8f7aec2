package adaptivesamplerprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/processor/adaptivesamplerprocessor/internal/metadata"
)

// metricsRig is a processor in one pipeline of metrics.
type metricsRig struct {
	tb      testing.TB
	running *running
	p       processor.Metrics
	next    func(pmetric.Metrics) error // what the next component does
}

// newMetricsRig makes a processor through its factory and starts it.
func newMetricsRig(tb testing.TB, yaml string, host component.Host, next func(pmetric.Metrics) error) *metricsRig {
	tb.Helper()
	cfg, err := readYAML(tb, yaml)
	require.NoError(tb, err, yaml)
	r := &metricsRig{tb: tb, running: newRunning(), next: next}
	r.running.newSecret = func() series.Secret { return series.Secret{} } // heartbeats spread by the hash
	to, err := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error { return r.next(md) })
	require.NoError(tb, err)
	set := processortest.NewNopSettings(metadata.Type)
	set.ID = samplerID
	r.p, err = newFactory(r.running).CreateMetrics(tb.Context(), set, cfg, to)
	require.NoError(tb, err)
	require.NoError(tb, r.p.Start(tb.Context(), host))
	return r
}

func newPlainRig(tb testing.TB, yaml string, next func(pmetric.Metrics) error) *metricsRig {
	tb.Helper()
	return newMetricsRig(tb, yaml, componenttest.NewNopHost(), next)
}

// part is what does the work, for what cannot be seen from outside.
func (r *metricsRig) part() *metrics {
	return r.running.hubs[samplerID].workers["metrics"].part.(*metrics) //nolint:forcetypeassert // it is
}

func (r *metricsRig) send(md pmetric.Metrics) error { return r.p.ConsumeMetrics(r.tb.Context(), md) }

func (r *metricsRig) end() {
	require.NoError(r.tb, r.p.Shutdown(context.WithoutCancel(r.tb.Context())))
}

// kill ends the process without a word.
func (r *metricsRig) kill() {
	h := r.running.hubs[samplerID]
	for _, w := range h.workers {
		w.stop()
		w.running.Wait()
	}
	require.NoError(r.tb, h.close(r.tb.Context()))
}

func (r *metricsRig) sampling() report.Sampling {
	r.tb.Helper()
	out, err := r.running.hubs[samplerID].Sampling(r.tb.Context())
	require.NoError(r.tb, err)
	return out
}

// copyOf is a batch that the processor may change.
func copyOf(md pmetric.Metrics) pmetric.Metrics {
	c := pmetric.NewMetrics()
	md.CopyTo(c)
	return c
}

// metricOf appends a metric of a resource to a batch.
func metricOf(md pmetric.Metrics, service, name string) pmetric.Metric {
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", service)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("scope")
	m := sm.Metrics().AppendEmpty()
	m.SetName(name)
	return m
}

func stamp(t time.Time) pcommon.Timestamp { return pcommon.NewTimestampFromTime(t) }
