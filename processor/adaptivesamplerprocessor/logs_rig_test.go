package adaptivesamplerprocessor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/processor/adaptivesamplerprocessor/internal/metadata"
)

// recordRig is a processor in one pipeline of logs.
type recordRig struct {
	tb      testing.TB
	running *running
	p       processor.Logs
	sink    *consumertest.LogsSink // nil: next is another one
}

// newRecordRig makes a processor through its factory and starts it. Without next
// what comes out is in the sink.
func newRecordRig(tb testing.TB, yaml string, next consumer.Logs) *recordRig {
	tb.Helper()
	return newRecordRigOf(tb, yaml, next, componenttest.NewNopTelemetrySettings())
}

func newRecordRigOf(tb testing.TB, yaml string, next consumer.Logs, tel component.TelemetrySettings) *recordRig {
	tb.Helper()
	cfg, err := readYAML(tb, yaml)
	require.NoError(tb, err, yaml)
	r := &recordRig{tb: tb, running: newRunning()}
	r.running.newSecret = func() series.Secret { return series.Secret{} }
	if next == nil {
		r.sink = &consumertest.LogsSink{}
		next = r.sink
	}
	set := processortest.NewNopSettings(metadata.Type)
	set.ID, set.TelemetrySettings = samplerID, tel
	r.p, err = newFactory(r.running).CreateLogs(tb.Context(), set, cfg, next)
	require.NoError(tb, err)
	require.NoError(tb, r.p.Start(tb.Context(), componenttest.NewNopHost()))
	return r
}

// part is what does the work, for what cannot be seen from outside.
func (r *recordRig) part() *logs {
	return r.running.hubs[samplerID].workers["logs"].part.(*logs) //nolint:forcetypeassert // it is
}

func (r *recordRig) send(ld plog.Logs) {
	r.tb.Helper()
	require.NoError(r.tb, r.p.ConsumeLogs(r.tb.Context(), ld))
}

func (r *recordRig) end() {
	require.NoError(r.tb, r.p.Shutdown(context.WithoutCancel(r.tb.Context())))
}

// take returns what came out since it was called last.
func (r *recordRig) take() []plog.LogRecord {
	all := recordsOf(r.sink.AllLogs()...)
	r.sink.Reset()
	return all
}

// fixedLogs is a budget whose level is always the same: whatever it is for is
// sampled with this probability.
func fixedLogs(probability string) string {
	return strings.ReplaceAll("rules: [{name: fixed, budget: {signal: logs, points_per_second: 1, floor: P, ceiling: P}}]", "P", probability)
}

// recordSpec is a record of a test.
type recordSpec struct {
	id        pcommon.TraceID
	severity  plog.SeverityNumber
	body      string
	threshold string
}

// logsOf has all records in one resource.
func logsOf(service string, list ...recordSpec) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	if service != "" {
		rl.Resource().Attributes().PutStr("service.name", service)
	}
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for _, spec := range list {
		r := records.AppendEmpty()
		r.SetTraceID(spec.id)
		r.SetSeverityNumber(spec.severity)
		r.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(1_700_000_000, 0)))
		r.Body().SetStr(spec.body)
		if spec.threshold != "" {
			r.Attributes().PutStr("sampling.threshold", spec.threshold)
		}
	}
	return ld
}

// recordsOf are all records of batches, in order.
func recordsOf(batches ...plog.Logs) (list []plog.LogRecord) {
	for _, ld := range batches {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					list = append(list, r)
				}
			}
		}
	}
	return list
}

func logsCopy(ld plog.Logs) plog.Logs {
	other := plog.NewLogs()
	ld.CopyTo(other)
	return other
}

// adjusted is for how many a record stands, and the threshold that says so.
func adjusted(tb testing.TB, r plog.LogRecord) (count float64, threshold string) {
	tb.Helper()
	v, there := r.Attributes().Get("sampling.threshold")
	if !there {
		return 1, ""
	}
	t, err := sampling.TValueToThreshold(v.Str())
	require.NoError(tb, err)
	return t.AdjustedCount(), v.Str()
}
