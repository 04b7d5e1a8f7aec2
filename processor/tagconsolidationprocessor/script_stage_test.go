package tagconsolidationprocessor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor/internal/metadata"
)

// scriptHost is a collector with some extensions.
type scriptHost map[component.ID]component.Component

func (h scriptHost) GetExtensions() map[component.ID]component.Component { return h }

// scriptControl stands for a control plane.
type scriptControl struct {
	component.StartFunc
	component.ShutdownFunc
	policy *policy.Snapshot
}

func (c *scriptControl) Policy() *policy.Snapshot { return c.policy }

// stage is where a script plays: a processor after the other, with one storage,
// and a clock moved by hand.
type stage struct {
	*rig
	cfg       *Config
	control   *scriptControl
	telemetry *componenttest.Telemetry
	logs      *observer.ObservedLogs
	invariants
}

var (
	errKilled  = errors.New("killed") // what a process dies of
	errRefused = errors.New("queue is full")
)

// newStage starts a processor at epoch. Storage, if the configuration asks for
// it, is the file_storage extension of the Collector's contributors.
func newStage(tb testing.TB, yaml string) *stage {
	tb.Helper()
	s := newStageOn(tb, newScriptHost(tb), yaml)
	require.NoError(tb, s.begin())
	return s
}

// newStageOn is a stage on which no process was begun yet.
func newStageOn(tb testing.TB, host scriptHost, yaml string) *stage {
	tb.Helper()
	s := &stage{
		rig:     &rig{t: tb, now: epoch, sink: new(consumertest.MetricsSink), host: host},
		control: &scriptControl{policy: &policy.Snapshot{}},
	}
	host[component.MustNewID("phoenix_control")] = s.control
	s.configure(yaml)
	return s
}

func newScriptHost(tb testing.TB) scriptHost {
	tb.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config) //nolint:forcetypeassert // it is
	cfg.Directory = tb.TempDir()
	extension, err := factory.Create(tb.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(tb, err)
	return scriptHost{component.NewID(factory.Type()): extension}
}

func (s *stage) configure(yaml string) {
	s.t.Helper()
	cfg, err := loadConfig(s.t, yaml)
	require.NoError(s.t, err)
	s.cfg = cfg
}

// begin starts a process.
func (s *stage) begin() error {
	core, logs := observer.New(zap.InfoLevel)
	s.telemetry, s.logs = componenttest.NewTelemetry(), logs
	set := processortest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type)
	set.TelemetrySettings = s.telemetry.NewTelemetrySettings()
	set.Logger = zap.New(core)
	c, err := newConsolidator(set, s.cfg, s.sink)
	if err != nil {
		return err
	}
	c.clock = func() time.Time { return s.now }
	s.c = c
	return c.begin(s.t.Context(), s.host)
}

// die ends a process as kill -9 does: nothing is flushed or written.
func (s *stage) die() {
	s.t.Helper()
	s.conserved()
	if client := s.c.state.client; client != nil {
		require.NoError(s.t, client.Close(s.t.Context()))
	}
	require.NoError(s.t, s.telemetry.Shutdown(context.WithoutCancel(s.t.Context())))
}

// edge moves time to the next edge and returns what is emitted there.
func (s *stage) edge() []scriptLine {
	s.t.Helper()
	out := writePoints(s.turn()...)
	s.emitted(s.t, out, s.now)
	return out
}

// edgeThatDies does so too, but the process is killed before anything has left it.
func (s *stage) edgeThatDies() {
	s.t.Helper()
	deaf, err := consumer.NewMetrics(func(context.Context, pmetric.Metrics) error { panic(errKilled) })
	require.NoError(s.t, err)
	s.c.next = deaf
	require.PanicsWithError(s.t, errKilled.Error(), func() { s.turn() }, "nothing was emitted")
}

// edgeRefused does so too, and the next component refuses what is emitted.
func (s *stage) edgeRefused() {
	s.t.Helper()
	s.c.next = consumertest.NewErr(errRefused)
	s.turn()
	s.c.next = s.sink
}

func (s *stage) feed(lines []string) []scriptLine {
	s.t.Helper()
	md, err := readPoints(lines)
	require.NoError(s.t, err)
	sent := writePoints(md)
	left := writePoints(s.send(md))
	s.arrived(sent, left)
	return left
}

// apply lets control have other rules.
func (s *stage) apply(yaml string) {
	s.t.Helper()
	cfg, err := loadConfig(s.t, yaml)
	require.NoError(s.t, err)
	for i := range cfg.Rules {
		cfg.Rules[i].Role = policy.RoleCommon
	}
	s.control.policy, err = policy.NewSnapshot(s.control.policy.Version+1, cfg.Rules)
	require.NoError(s.t, err)
	require.NotNil(s.t, s.cfg.Control, "the configuration has no control")
	s.c.poll(s.t.Context())
}

// counted are the counters whose names matter to data.
var counted = []string{
	"bounds_mismatches", "consolidated_points", "dropped_points", "emit_failed_points", "late_points", "lost_inputs", "overflow_points", "passed_points", "resets",
	"state_errors",
}

// counters returns the named metrics of the processor's telemetry, without the
// prefix of their names; those of counted if none is named.
func (s *stage) counters(names []string) []string {
	s.t.Helper()
	if len(names) == 0 {
		names = counted
	}
	var rm metricdata.ResourceMetrics
	require.NoError(s.t, s.telemetry.Reader.Collect(s.t.Context(), &rm))
	var lines []string
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			name, own := strings.CutPrefix(m.Name, "otelcol_processor_tag_consolidation_")
			if !own || !slices.Contains(names, name) {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Gauge[int64]:
				lines = append(lines, counterLines(name, data.DataPoints)...)
			case metricdata.Sum[int64]:
				lines = append(lines, counterLines(name, data.DataPoints)...)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// conserved checks that every point that came in was consolidated, dropped or
// passed on.
func (s *stage) conserved() {
	s.t.Helper()
	in, out := 0, 0
	for _, line := range s.counters([]string{"input_points", "consolidated_points", "dropped_points", "passed_points"}) {
		name, _, _ := strings.Cut(line, "_")
		n, err := strconv.Atoi(line[strings.LastIndex(line, " ")+1:])
		require.NoError(s.t, err)
		if name == "input" {
			in += n
		} else {
			out += n
		}
	}
	require.Equal(s.t, in, out, "points in, and what became of them")
}

func counterLines(name string, points []metricdata.DataPoint[int64]) []string {
	lines := make([]string, 0, len(points))
	for _, p := range points {
		text := name
		if p.Attributes.Len() > 0 {
			text += "{" + p.Attributes.Encoded(attribute.DefaultEncoder()) + "}"
		}
		lines = append(lines, fmt.Sprintf("%s %d", text, p.Value))
	}
	return lines
}

// logged returns what was logged since it was last asked.
func (s *stage) logged() []string {
	var lines []string
	for _, e := range s.logs.TakeAll() {
		fields := e.ContextMap()
		var keys []string
		for key := range fields {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		var line strings.Builder
		line.WriteString(e.Level.String() + " " + e.Message)
		for _, key := range keys {
			fmt.Fprintf(&line, " %s=%v", key, fields[key])
		}
		lines = append(lines, line.String())
	}
	return lines
}
