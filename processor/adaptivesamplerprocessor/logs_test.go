package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

// traceOf is a trace id whose randomness begins with so many bits of its 56.
func traceOf(share float64) pcommon.TraceID {
	id := pcommon.TraceID{1}
	for i := 9; i < 16; i++ {
		share *= 256
		id[i] = byte(share)
		share -= float64(id[i])
	}
	return id
}

func TestSeverities(t *testing.T) {
	for text, want := range map[string]severity{
		"": severityUnspecified, "nonsense": severityUnspecified, "a text that is far too long": severityUnspecified,
		"Trace": severityTrace, "DEBUG": severityDebug, "info": severityInfo, "Information": severityInfo, "notice": severityInfo,
		"WARN": severityWarn, "warning": severityWarn, "ERR": severityError, "Critical": severityError, "emerg": severityFatal,
	} {
		r := plog.NewLogRecord()
		r.SetSeverityText(text)
		assert.Equal(t, want, severityOf(r), text)
	}
	for n := plog.SeverityNumberTrace; n <= plog.SeverityNumberFatal4; n++ {
		r := plog.NewLogRecord()
		r.SetSeverityText("info") // the number comes first
		r.SetSeverityNumber(n)
		assert.Equal(t, severity(1+(n-1)/4), severityOf(r), n)
		assert.Equal(t, plog.SeverityNumber(4*((n-1)/4)+1), severityOf(r).number())
	}
	r := plog.NewLogRecord()
	r.SetSeverityNumber(99)
	assert.Equal(t, severityUnspecified, severityOf(r))
}

func TestFloorsAreInherited(t *testing.T) {
	f := newFloors(map[string]float64{"info": 0.25, "error": 1, "fatal": 0})
	quarter, never := consistent.FromProbability(0.25), sampling.NeverSampleThreshold
	assert.Equal(t, floors{
		severityUnspecified: never, severityTrace: never, severityDebug: never, severityInfo: quarter, severityWarn: quarter,
		severityError: sampling.AlwaysSampleThreshold, severityFatal: never,
	}, f)
}

// TestFloorHoldsUnderAnyBudget keeps the share of a floor exactly, by the same
// randomness.
func TestFloorHoldsUnderAnyBudget(t *testing.T) {
	r := newRecordRig(t, "logs: {floor: {info: 0.25, warn: 0.5, error: 1}}\n"+fixedLogs("0.001"), nil)
	defer r.end()
	const n = 1000
	var list []recordSpec
	for i := range n {
		for _, s := range []plog.SeverityNumber{plog.SeverityNumberDebug, plog.SeverityNumberInfo, plog.SeverityNumberWarn, plog.SeverityNumberError, plog.SeverityNumberFatal} {
			list = append(list, recordSpec{id: traceOf((float64(i) + 0.5) / n), severity: s, body: "request served"})
		}
	}
	r.send(logsOf("checkout", list...))
	kept := map[plog.SeverityNumber]int{}
	for _, rec := range r.take() {
		kept[rec.SeverityNumber()]++
	}
	assert.Equal(t, map[plog.SeverityNumber]int{
		plog.SeverityNumberDebug: 1, plog.SeverityNumberInfo: n / 4, plog.SeverityNumberWarn: n / 2, plog.SeverityNumberError: n, plog.SeverityNumberFatal: n,
	}, kept)
}

// TestRareTemplatesStayWhole has a frequent message and rare ones in one service.
func TestRareTemplatesStayWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecordRig(t, "logs: {target: {records_per_second: 50}}", nil)
		random := newTraffic(1)
		rare, frequent, seconds := 0, 0, 0
		for i := range 120 {
			r.send(random.records("checkout", fmt.Sprintf("request %d served", i), 1000, time.Now()))
			r.send(random.records("checkout", fmt.Sprintf("config %d is loaded", i), 1, time.Now()))
			for _, rec := range r.take() {
				switch n, _ := adjusted(t, rec); {
				case i < 60: // rates settle
				case rec.Body().Str() == fmt.Sprintf("config %d is loaded", i):
					rare++
					assert.LessOrEqual(t, n, 1.1) // a level just below 1 is for all keys
				default:
					frequent++
				}
			}
			if i >= 60 {
				seconds++
			}
			time.Sleep(time.Second)
		}
		r.end()
		assert.InEpsilon(t, seconds, rare, 0.1, "rare ones are whole")
		assert.InEpsilon(t, 49*seconds, frequent, 0.15, "the target is kept")
	})
}

// TestRecordsAreKeptWithTheirTraces has both signals in one processor: what traces
// keep, logs keep, with the same threshold where that of logs is higher.
func TestRecordsAreKeptWithTheirTraces(t *testing.T) {
	f := newFrame(t, `
logs: {floor: {error: 0}}
rules:
  - {name: t, budget: {signal: traces, points_per_second: 1, floor: 0.5, ceiling: 0.5}}
  - {name: l, budget: {signal: logs, points_per_second: 1, floor: 0.01, ceiling: 0.01}}
`, componenttest.NewNopHost()).start()
	defer f.shutdown()
	random := newTraffic(1)
	td := random.spans("checkout", 1000, time.Now())
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "checkout")
	sl := rl.ScopeLogs().AppendEmpty()
	for _, s := range spansOf(td) {
		for range 2 {
			r := sl.LogRecords().AppendEmpty()
			r.SetTraceID(s.TraceID())
			r.Body().SetStr("request served")
		}
	}
	sl.LogRecords().AppendEmpty().Body().SetStr("request served") // without a trace
	require.NoError(t, f.traces.ConsumeTraces(t.Context(), td))
	require.NoError(t, f.logs.ConsumeLogs(t.Context(), ld))
	kept := map[pcommon.TraceID]int{}
	for _, s := range spansOf(f.spans.AllTraces()...) {
		kept[s.TraceID()] += 2
	}
	want := consistent.FromProbability(0.5).TValue()
	for _, r := range recordsOf(f.records.AllLogs()...) {
		if r.TraceID().IsEmpty() {
			continue
		}
		kept[r.TraceID()]--
		_, threshold := adjusted(t, r)
		assert.Equal(t, want, threshold)
	}
	require.NotEmpty(t, kept)
	for id, left := range kept {
		assert.Zero(t, left, id)
	}
}

// refusingLogs is a sink that refuses while it has an error.
type refusingLogs struct {
	consumer.Logs
	mu  sync.Mutex
	err error
}

func (r *refusingLogs) refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// ConsumeLogs implements consumer.Logs.
func (r *refusingLogs) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	return r.Logs.ConsumeLogs(ctx, ld)
}

// TestARefusedBatchIsDecidedAlike sends a batch again that was refused.
func TestARefusedBatchIsDecidedAlike(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context()))) }()
	direct := newRecordRig(t, fixedLogs("0.3"), nil)
	defer direct.end()
	next, full := &refusingLogs{Logs: direct.sink}, errors.New("queue is full")
	next.refuse(full)
	r := newRecordRigOf(t, fixedLogs("0.3"), next, tel.NewTelemetrySettings())
	defer r.end()
	batch := newTraffic(1).records("checkout", "request served", 1000, time.Now())
	direct.send(logsCopy(batch))
	want := direct.take()
	require.NotEmpty(t, want)
	require.ErrorIs(t, r.p.ConsumeLogs(t.Context(), logsCopy(batch)), full)
	assert.Empty(t, direct.take())
	next.refuse(nil)
	r.send(logsCopy(batch))
	got := direct.take()
	require.Len(t, got, len(want))
	for i := range got {
		assert.Equal(t, want[i].TraceID(), got[i].TraceID())
	}
	assert.EqualValues(t, len(want), itemCounters(t, tel)["refused"])
}

// TestOddRecords has what is wrong with records, or missing, and what happens.
func TestOddRecords(t *testing.T) {
	id := traceOf(0.75)
	for _, c := range []struct {
		name      string
		make      func(r plog.LogRecord)
		irregular string
		kept      bool
		threshold string
		random    bool
	}{
		{"nothing odd", func(plog.LogRecord) {}, "", true, "8", false},
		{"a threshold that does not parse", func(r plog.LogRecord) { r.Attributes().PutStr("sampling.threshold", "xyz") }, "irregular malformed_attributes", true, "8", false},
		{"a threshold that is no text", func(r plog.LogRecord) { r.Attributes().PutInt("sampling.threshold", 8) }, "irregular malformed_attributes", true, "8", false},
		{"randomness that does not parse", func(r plog.LogRecord) { r.Attributes().PutStr("sampling.randomness", "0") }, "irregular malformed_attributes", true, "8", false},
		{"a threshold that excludes it", func(r plog.LogRecord) { r.Attributes().PutStr("sampling.threshold", "e") }, "irregular inconsistent_threshold", true, "8", false},
		{"a higher threshold", func(r plog.LogRecord) { r.Attributes().PutStr("sampling.threshold", "b") }, "", true, "b", false},
		{"a trace that is left out", func(r plog.LogRecord) { r.SetTraceID(traceOf(0.25)) }, "", false, "", false},
		{"no trace", func(r plog.LogRecord) {
			r.SetTraceID(pcommon.TraceID{})
			r.Attributes().PutStr("session", "s6")
		}, "", true, "8", true},
		{"no trace, another session", func(r plog.LogRecord) {
			r.SetTraceID(pcommon.TraceID{})
			r.Attributes().PutStr("session", "s4")
		}, "", false, "", false},
		{"no trace and malformed", func(r plog.LogRecord) {
			r.SetTraceID(pcommon.TraceID{})
			r.Attributes().PutStr("session", "s6")
			r.Attributes().PutStr("sampling.randomness", "?")
		}, "irregular malformed_attributes", true, "8", true},
		{"an unknown severity", func(r plog.LogRecord) { r.SetSeverityNumber(-7) }, "", true, "8", false},
		{"no time", func(r plog.LogRecord) { r.SetTimestamp(0) }, "", true, "8", false},
		{"no body", func(r plog.LogRecord) { pcommon.NewValueEmpty().CopyTo(r.Body()) }, "", true, "8", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tel := componenttest.NewTelemetry()
			defer func() { require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context()))) }()
			r := newRecordRigOf(t, "logs: {randomness: session}\n"+fixedLogs("0.5"), nil, tel.NewTelemetrySettings())
			defer r.end()
			ld := logsOf("checkout", recordSpec{id: id, severity: plog.SeverityNumberInfo, body: "request served"})
			c.make(recordsOf(ld)[0])
			r.send(ld)
			got := r.take()
			counted := itemCounters(t, tel)
			assert.EqualValues(t, 1, counted["received"])
			for name := range counted {
				assert.True(t, name != "" && (c.irregular == name || len(name) < 9 || name[:9] != "irregular"), name)
			}
			if c.irregular != "" {
				assert.EqualValues(t, 1, counted[c.irregular])
			}
			if !c.kept {
				require.Empty(t, got)
				assert.EqualValues(t, 1, counted["left_out budget checkout"])
				return
			}
			require.Len(t, got, 1)
			_, threshold := adjusted(t, got[0])
			assert.Equal(t, c.threshold, threshold)
			_, random := got[0].Attributes().Get("sampling.randomness")
			assert.Equal(t, c.random, random)
			assert.EqualValues(t, 1, counted["kept sampled"])
		})
	}
}

func TestRecordsWithoutAServiceAreCounted(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context()))) }()
	r := newRecordRigOf(t, fixedLogs("0.5"), nil, tel.NewTelemetrySettings())
	defer r.end()
	r.send(logsOf("", recordSpec{id: traceOf(0.75), body: "request served"}, recordSpec{id: traceOf(0.25), body: "request served"}))
	assert.Len(t, r.take(), 1)
	assert.Equal(t, map[string]int64{"received": 2, "kept sampled": 1, "left_out budget ": 1, "irregular no_key": 2}, itemCounters(t, tel))
}

// TestARandomNumberIsWrittenWhenItHadASay: later stages go by it.
func TestARandomNumberIsWrittenWhenItHadASay(t *testing.T) {
	for yaml, written := range map[string]bool{fixedLogs("0.9"): true, fixedLogs("1"): false} {
		r := newRecordRig(t, yaml, nil)
		var list []recordSpec
		for range 100 {
			list = append(list, recordSpec{severity: plog.SeverityNumberInfo, body: "request served"})
		}
		r.send(logsOf("checkout", list...))
		r.end()
		got := r.take()
		require.Greater(t, len(got), 50)
		for _, rec := range got {
			v, there := rec.Attributes().Get("sampling.randomness")
			require.Equal(t, written, there)
			_, threshold := adjusted(t, rec)
			if !written {
				assert.Equal(t, "0", threshold)
				continue
			}
			rnd, err := sampling.RValueToRandomness(v.Str())
			require.NoError(t, err)
			at, err := sampling.TValueToThreshold(threshold)
			require.NoError(t, err)
			assert.True(t, at.ShouldSample(rnd))
		}
	}
}
