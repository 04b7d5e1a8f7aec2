package abrouterconnector

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/attributesprocessor"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// ledger is what exporters of a Collector took: how often each value came, and
// what was wrong with a point.
type ledger struct {
	mu     sync.Mutex
	values map[string]map[int64]int
	wrong  []string
	fails  atomic.Int64 // every so many-th batch of the candidate
	calls  atomic.Int64
}

// note checks that a point is what was sent: all of its parts say the same number.
func (l *ledger) note(arm string, rm pmetric.ResourceMetrics, m pmetric.Metric, dp pmetric.NumberDataPoint) {
	value := dp.IntValue()
	text := strconv.FormatInt(value, 10)
	id, _ := dp.Attributes().Get("id")
	batch, _ := rm.Resource().Attributes().Get("batch")
	l.mu.Lock()
	defer l.mu.Unlock()
	if id.AsString() != text || m.Name() != "metric."+text || batch.AsString() != strconv.FormatInt(value/pooledPoints, 10) {
		l.wrong = append(l.wrong, fmt.Sprintf("%s: %q %q of batch %q has %d", arm, m.Name(), id.AsString(), batch.AsString(), value))
	}
	if l.values[arm] == nil {
		l.values[arm] = map[int64]int{}
	}
	l.values[arm][value]++
}

// exporters takes what arms send. It reads slowly, as what encodes data does,
// so that whoever writes to it meanwhile is seen by the race detector.
func (l *ledger) exporters() exporter.Factory {
	return exporter.NewFactory(component.MustNewType("ledger"), func() component.Config { return &struct{}{} },
		exporter.WithMetrics(func(_ context.Context, set exporter.Settings, _ component.Config) (exporter.Metrics, error) {
			return &ledgerExporter{arm: set.ID.Name(), ledger: l}, nil
		}, component.StabilityLevelAlpha))
}

type ledgerExporter struct {
	component.StartFunc
	component.ShutdownFunc
	arm    string
	ledger *ledger
}

func (*ledgerExporter) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (e *ledgerExporter) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	if fails := e.ledger.fails.Load(); e.arm == "candidate" && fails > 0 && e.ledger.calls.Add(1)%fails == 0 {
		return errDown
	}
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				for _, dp := range m.Gauge().DataPoints().All() {
					e.ledger.note(e.arm, rm, m, dp)
				}
			}
		}
	}
	return nil
}

// startCollector runs a whole Collector: it is the service that gives memory back.
func startCollector(t *testing.T, l *ledger, configuration string) (stop func()) {
	t.Helper()
	col, err := otelcol.NewCollector(otelcol.CollectorSettings{
		BuildInfo:               component.NewDefaultBuildInfo(),
		DisableGracefulShutdown: true,
		Factories: func() (otelcol.Factories, error) {
			f := otelcol.Factories{Telemetry: otelconftelemetry.NewFactory()}
			var err error
			f.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](otlpreceiver.NewFactory())
			require.NoError(t, err)
			f.Processors, err = otelcol.MakeFactoryMap[processor.Factory](attributesprocessor.NewFactory())
			require.NoError(t, err)
			f.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](l.exporters())
			require.NoError(t, err)
			f.Connectors, err = otelcol.MakeFactoryMap[connector.Factory](NewFactory())
			return f, err
		},
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs: []string{"yaml:" + configuration}, ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()},
		}},
	})
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		if err := col.Run(context.Background()); err != nil {
			t.Error(err)
		}
	})
	require.Eventually(t, func() bool { return col.GetState() == otelcol.StateRunning }, 10*time.Second, 5*time.Millisecond)
	return func() {
		col.Shutdown()
		running.Wait()
	}
}

// pooledPoints is how many points a batch has, each in a metric of its own.
const pooledPoints = 20

// pooled makes a batch in which every number is told several times.
func pooled(batch int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutInt("batch", batch)
	rm.Resource().Attributes().PutStr("service.name", "shop")
	metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
	for i := range int64(pooledPoints) {
		value := batch*pooledPoints + i
		m := metrics.AppendEmpty()
		m.SetName("metric." + strconv.FormatInt(value, 10))
		dp := m.SetEmptyGauge().DataPoints().AppendEmpty()
		dp.SetTimestamp(pcommon.Timestamp(time.Now().UnixNano()))
		dp.SetIntValue(value)
		dp.Attributes().PutStr("id", strconv.FormatInt(value, 10))
	}
	return md
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// sendAll sends batches over gRPC from several clients at once.
func sendAll(t *testing.T, address string, clients, each int) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	var senders sync.WaitGroup
	for c := range clients {
		senders.Go(func() {
			to := pmetricotlp.NewGRPCClient(conn)
			for i := range each {
				if _, err := to.Export(t.Context(), pmetricotlp.NewExportRequestFromMetrics(pooled(int64(c*each+i)))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
}

const collectorConfig = `
receivers: {otlp: {protocols: {grpc: {endpoint: "%s"}}}}
processors: {attributes: {actions: [{key: arm, value: changed, action: insert}]}}
exporters: {ledger/baseline: , ledger/candidate: }
connectors:
  ab_router:
    baseline: [metrics/baseline]
    candidate: [metrics/candidate]
    mirror: {mark: %t}
    breaker: {max_error_ratio: 1}
    experiments: [%s]
service:
  telemetry: {logs: {level: fatal}, metrics: {level: none}}
  pipelines:
    metrics: {receivers: [otlp], exporters: [ab_router]}
    metrics/baseline: {receivers: [ab_router], processors: [%s], exporters: [ledger/baseline]}
    metrics/candidate: {receivers: [ab_router], processors: [%s], exporters: [ledger/candidate]}
`

// The receiver's memory is used again as soon as its call returns, by the next
// batch. What the arms see of it stays what was sent: in a mirror whose baseline
// reads or writes, whose copies are marked or shared; in a split whose candidate
// fails.
func TestMemoryThatIsUsedAgain(t *testing.T) {
	before := pref.UseProtoPooling.IsEnabled()
	require.NoError(t, featuregate.GlobalRegistry().Set(pref.UseProtoPooling.ID(), true))
	defer func() { require.NoError(t, featuregate.GlobalRegistry().Set(pref.UseProtoPooling.ID(), before)) }()
	const clients, each = 4, 100
	const points = clients * each * pooledPoints
	f := func(name, experiment string, mark bool, baseline, candidate string, fails int64) {
		t.Run(name, func(t *testing.T) {
			l := &ledger{values: map[string]map[int64]int{}}
			l.fails.Store(fails)
			address := freeAddress(t)
			stop := startCollector(t, l, fmt.Sprintf(collectorConfig, address, mark, experiment, baseline, candidate))
			sendAll(t, address, clients, each)
			stop()
			require.Empty(t, l.wrong)
			all := map[int64]int{}
			for arm, values := range l.values {
				for value, n := range values {
					require.Equal(t, 1, n, "%s has %d", arm, value)
					all[value]++
				}
			}
			require.Len(t, all, points)
			if fails == 0 && experiment == mirrorAll {
				require.Len(t, l.values["candidate"], points)
				require.Len(t, l.values["baseline"], points)
			}
		})
	}
	f("mirror shared", mirrorAll, false, "", "", 0)
	f("mirror marked", mirrorAll, true, "", "", 0)
	f("mirror, the candidate writes", mirrorAll, false, "", "attributes", 0)
	f("mirror, the baseline writes", mirrorAll, true, "attributes", "", 0)
	f("mirror, both write", mirrorAll, false, "attributes", "attributes", 0)
	f("split", splitHalf, true, "", "", 0)
	f("split, the candidate fails", splitHalf, true, "", "", 2)
	f("split, the candidate writes and fails", splitHalf, true, "", "attributes", 2)
	f("split, the baseline writes and the candidate fails", splitHalf, true, "attributes", "", 2)
}

const (
	mirrorAll = "{id: a, mode: mirror}"
	splitHalf = "{id: a, mode: split, unit: resource, weight: 50}"
)
