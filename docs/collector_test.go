package docs

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/extension/phoenixcontrolextension"
	"github.com/phoenix-platform/phoenix/processor/adaptivesamplerprocessor"
	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor"
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor"
)

// What the collector of the examples is sent.
const (
	pods, routes, codes = 20, 5, 2
	sendEvery           = 100 * time.Millisecond
)

// extensions is a host that has the extensions of a collector.
type extensions map[component.ID]component.Component

// GetExtensions implements component.Host.
func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

// configure fills a configuration from what would stand in YAML.
func configure(t *testing.T, cfg component.Config, options map[string]any) component.Config {
	t.Helper()
	require.NoError(t, confmap.NewFromStringMap(options).Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	return cfg
}

// startCollector starts a control plane and the processors that report to it,
// lets a service send through them until the end of the test, and returns the
// address of the API.
func startCollector(t *testing.T) (address string) {
	t.Helper()
	address = freeAddress(t)
	factory := phoenixcontrolextension.NewFactory()
	set := extensiontest.NewNopSettings(factory.Type())
	set.BuildInfo = component.BuildInfo{Command: "phoenix-collector", Version: "1.0.0"}
	set.Resource.Attributes().PutStr("service.instance.id", "8b52f1f0-3c5e-4a0b-9d2e-5f6a7b8c9d0e")
	control, err := factory.Create(t.Context(), set, configure(t, factory.CreateDefaultConfig(), map[string]any{
		"endpoint": address, "directory": t.TempDir(),
	}))
	require.NoError(t, err)
	host := extensions{component.MustNewID("phoenix_control"): control}
	startComponent(t, control, host)

	sampler := startProcessor(t, host, adaptivesamplerprocessor.NewFactory(), "", consumertest.NewNop(), map[string]any{
		"control": "phoenix_control", "interval": "1s",
		"rules": []any{
			map[string]any{"name": "steady", "mode": "preview", "dead_band": map[string]any{
				"match": map[string]any{"metric": "http.*"}, "tolerance": map[string]any{"relative": 0.01},
			}},
			map[string]any{"name": "shop", "mode": "preview", "budget": map[string]any{"signal": "metrics", "points_per_second": 100}},
		},
	})
	egress := startProcessor(t, host, cardinalityprocessor.NewFactory(), "egress", sampler, map[string]any{
		"point": "egress", "control": "phoenix_control", "window": "2s", "sub_windows": 2,
	})
	consolidation := startProcessor(t, host, tagconsolidationprocessor.NewFactory(), "", egress, map[string]any{
		"control": "phoenix_control", "interval": "1s", "staleness": "2s", "heartbeat": "1s", "writer": "none",
	})
	ingest := startProcessor(t, host, cardinalityprocessor.NewFactory(), "ingest", consolidation, map[string]any{
		"point": "ingest", "control": "phoenix_control", "window": "2s", "sub_windows": 2,
		"limits": []any{map[string]any{"match": "http.*", "max_series": 100}},
	})
	require.NoError(t, control.(extensioncapabilities.PipelineWatcher).Ready())
	send(t, ingest)
	return "http://" + address
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return listener.Addr().String()
}

func startComponent(t *testing.T, c component.Component, host component.Host) {
	t.Helper()
	require.NoError(t, c.Start(t.Context(), host))
	t.Cleanup(func() { require.NoError(t, c.Shutdown(context.WithoutCancel(t.Context()))) })
}

func startProcessor(t *testing.T, host component.Host, factory processor.Factory, name string, next consumer.Metrics, options map[string]any) consumer.Metrics {
	t.Helper()
	set := processortest.NewNopSettings(factory.Type())
	set.ID = component.NewIDWithName(factory.Type(), name)
	set.TelemetrySettings = componenttest.NewNopTelemetrySettings()
	p, err := factory.CreateMetrics(t.Context(), set, configure(t, factory.CreateDefaultConfig(), options), next)
	require.NoError(t, err)
	startComponent(t, p, host)
	return p
}

// send sends batches until the end of the test.
func send(t *testing.T, to consumer.Metrics) {
	t.Helper()
	began := time.Now()
	require.NoError(t, to.ConsumeMetrics(t.Context(), batch(began, began)))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(sendEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case now := <-tick.C:
				if err := to.ConsumeMetrics(context.WithoutCancel(ctx), batch(began, now)); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

// batch is what the pods of a service report at one time: 200 series of a
// counter, and 20 of a gauge.
func batch(began, now time.Time) pmetric.Metrics {
	md := pmetric.NewMetrics()
	resource := md.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "checkout")
	metrics := resource.ScopeMetrics().AppendEmpty().Metrics()
	requests, depth := metrics.AppendEmpty(), metrics.AppendEmpty()
	requests.SetName("http.server.requests")
	requests.SetUnit("{request}")
	sum := requests.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	depth.SetName("queue.depth")
	depth.SetUnit("{message}")
	gauge := depth.SetEmptyGauge()
	for pod := range pods {
		name := fmt.Sprintf("checkout-%d", pod)
		level := gauge.DataPoints().AppendEmpty()
		level.SetTimestamp(pcommon.NewTimestampFromTime(now))
		level.SetIntValue(int64(pod))
		level.Attributes().PutStr("pod", name)
		for series := range routes * codes {
			p := sum.DataPoints().AppendEmpty()
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
			p.SetTimestamp(pcommon.NewTimestampFromTime(now))
			p.SetIntValue(now.Sub(began).Milliseconds())
			p.Attributes().PutStr("pod", name)
			p.Attributes().PutStr("http.route", fmt.Sprintf("/route/%d", series/codes))
			p.Attributes().PutStr("code", []string{"200", "500"}[series%codes])
		}
	}
	return md
}
