package adaptivesamplerprocessor

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/processor/adaptivesamplerprocessor/internal/metadata"
)

var (
	storageID = component.MustNewID("file_storage")
	controlID = component.MustNewID("phoenix_control")
	samplerID = component.MustNewID("adaptive_sampler")
)

// extensions is a host with extensions.
type extensions map[component.ID]component.Component

// GetExtensions implements component.Host.
func (e extensions) GetExtensions() map[component.ID]component.Component { return e }

// newStorageHost has the file storage extension of the distribution.
func newStorageHost(tb testing.TB, directory string) extensions {
	tb.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config) //nolint:forcetypeassert // it is
	cfg.Directory = directory
	extension, err := factory.Create(tb.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(tb, err)
	require.NoError(tb, extension.Start(tb.Context(), componenttest.NewNopHost()))
	tb.Cleanup(func() { require.NoError(tb, extension.Shutdown(context.WithoutCancel(tb.Context()))) })
	return extensions{storageID: extension}
}

// controlPlane stands where the control plane's extension does: it has a
// snapshot, and knows who registered.
type controlPlane struct {
	component.StartFunc
	component.ShutdownFunc
	snapshot atomic.Pointer[policy.Snapshot]

	mu      sync.Mutex
	sources map[string]report.SamplerSource
}

var (
	_ policy.Source          = (*controlPlane)(nil)
	_ report.SamplerRegistry = (*controlPlane)(nil)
)

func newControlPlane() *controlPlane {
	c := &controlPlane{sources: map[string]report.SamplerSource{}}
	c.snapshot.Store(&policy.Snapshot{})
	return c
}

// Policy implements policy.Source.
func (c *controlPlane) Policy() *policy.Snapshot { return c.snapshot.Load() }

// RegisterSampler implements report.SamplerRegistry.
func (c *controlPlane) RegisterSampler(r report.SamplerRegistration) (func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sources[r.Component] = r.Source
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.sources, r.Component)
	}, nil
}

// sampling is what the processor reports now.
func (c *controlPlane) sampling(tb testing.TB) report.Sampling {
	tb.Helper()
	c.mu.Lock()
	source := c.sources[samplerID.String()]
	c.mu.Unlock()
	require.NotNil(tb, source)
	out, err := source.Sampling(tb.Context())
	require.NoError(tb, err)
	return out
}

// frame is a processor of one id in pipelines of all three signals.
type frame struct {
	t       testing.TB
	running *running
	host    component.Host
	set     processor.Settings
	logged  *observer.ObservedLogs

	traces  processor.Traces
	logs    processor.Logs
	metrics processor.Metrics

	spans   *consumertest.TracesSink
	records *consumertest.LogsSink
	points  *consumertest.MetricsSink
}

// frameSettings are what some tests want otherwise.
type frameSettings struct {
	telemetry *componenttest.Telemetry // nil: none
	refuse    func() error             // of the next components; nil: they take all
}

// newFrame makes a processor and does not start it.
func newFrame(tb testing.TB, yaml string, host component.Host) *frame {
	tb.Helper()
	return newFrameOf(tb, yaml, host, frameSettings{})
}

func newFrameOf(tb testing.TB, yaml string, host component.Host, s frameSettings) *frame {
	tb.Helper()
	cfg, err := readYAML(tb, yaml)
	require.NoError(tb, err, yaml)
	core, logged := observer.New(zapcore.DebugLevel)
	f := &frame{
		t: tb, running: newRunning(), host: host, logged: logged, set: processortest.NewNopSettings(metadata.Type),
		spans: &consumertest.TracesSink{}, records: &consumertest.LogsSink{}, points: &consumertest.MetricsSink{},
	}
	if s.telemetry != nil {
		f.set.TelemetrySettings = s.telemetry.NewTelemetrySettings()
	}
	f.set.ID, f.set.Logger = samplerID, zap.New(core)
	f.create(cfg, s.refuse)
	return f
}

func (f *frame) create(cfg *Config, refuse func() error) {
	f.t.Helper()
	factory := newFactory(f.running)
	var err error
	spans, err := consumer.NewTraces(func(ctx context.Context, td ptrace.Traces) error {
		return taken(refuse, func() error { return f.spans.ConsumeTraces(ctx, td) })
	})
	require.NoError(f.t, err)
	f.traces, err = factory.CreateTraces(f.t.Context(), f.set, cfg, spans)
	require.NoError(f.t, err)
	records, err := consumer.NewLogs(func(ctx context.Context, ld plog.Logs) error {
		return taken(refuse, func() error { return f.records.ConsumeLogs(ctx, ld) })
	})
	require.NoError(f.t, err)
	f.logs, err = factory.CreateLogs(f.t.Context(), f.set, cfg, records)
	require.NoError(f.t, err)
	points, err := consumer.NewMetrics(func(ctx context.Context, md pmetric.Metrics) error {
		return taken(refuse, func() error { return f.points.ConsumeMetrics(ctx, md) })
	})
	require.NoError(f.t, err)
	f.metrics, err = factory.CreateMetrics(f.t.Context(), f.set, cfg, points)
	require.NoError(f.t, err)
}

// taken is what the next component answers.
func taken(refuse, take func() error) error {
	if refuse != nil {
		if err := refuse(); err != nil {
			return err
		}
	}
	return take()
}

func (f *frame) all() []component.Component {
	return []component.Component{f.metrics, f.logs, f.traces}
}

func (f *frame) start() *frame {
	f.t.Helper()
	for _, c := range f.all() {
		require.NoError(f.t, c.Start(f.t.Context(), f.host))
	}
	return f
}

func (f *frame) shutdown() {
	f.t.Helper()
	for _, c := range f.all() {
		require.NoError(f.t, c.Shutdown(f.t.Context()))
	}
}

// kill ends the process without a word: what is in the storage stays there.
func (f *frame) kill() {
	f.t.Helper()
	h := f.running.hubs[samplerID]
	for _, w := range h.workers {
		w.stop()
		w.running.Wait()
		require.NoError(f.t, w.part.stop(f.t.Context()))
	}
	require.NoError(f.t, h.close(f.t.Context()))
}

func (f *frame) hub() *hub { return f.running.hubs[samplerID] }

// sampling is what the processor would report.
func (f *frame) sampling() report.Sampling {
	f.t.Helper()
	out, err := f.hub().Sampling(f.t.Context())
	require.NoError(f.t, err)
	return out
}

// warned returns the messages of warnings and errors.
func (f *frame) warned() (messages []string) {
	for _, e := range f.logged.FilterLevelExact(zapcore.WarnLevel).All() {
		messages = append(messages, e.Message)
	}
	for _, e := range f.logged.FilterLevelExact(zapcore.ErrorLevel).All() {
		messages = append(messages, e.Message)
	}
	return messages
}

// traffic makes data of seeded randomness.
type traffic struct{ *rand.Rand }

func newTraffic(seed uint64) traffic { return traffic{rand.New(rand.NewPCG(seed, 1))} }

func (r traffic) trace() (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[:], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	return id
}

// spans are so many of a service, each a trace of its own.
func (r traffic) spans(service string, n int, now time.Time) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	list := rs.ScopeSpans().AppendEmpty().Spans()
	for range n {
		s := list.AppendEmpty()
		s.SetName("work")
		s.SetTraceID(r.trace())
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Millisecond)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
	}
	return td
}

// records are so many of a service with one message.
func (r traffic) records(service, message string, n int, now time.Time) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", service)
	list := rl.ScopeLogs().AppendEmpty().LogRecords()
	for range n {
		l := list.AppendEmpty()
		l.SetTraceID(r.trace())
		l.SetTimestamp(pcommon.NewTimestampFromTime(now))
		l.SetSeverityNumber(plog.SeverityNumberInfo)
		l.Body().SetStr(message)
	}
	return ld
}

// gauge is one point of a gauge.
func gauge(name string, value float64, now time.Time) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "host")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName(name)
	p := m.SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(now))
	p.SetDoubleValue(value)
	return md
}
