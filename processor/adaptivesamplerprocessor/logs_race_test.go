package adaptivesamplerprocessor

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// TestLogsUnderManyGoroutines samples while intervals end, rules change, reports
// are made and state is written, for the race detector; and no record is lost or
// counted twice.
func TestLogsUnderManyGoroutines(t *testing.T) {
	r := newRecordRig(t, "logs: {target: {records_per_second: 50}, max_keys: 20, summary: {enabled: true, interval: 1s}}", nil)
	l := r.part()
	var senders, others sync.WaitGroup
	done := make(chan struct{})
	const batches, size = 50, 100
	for g := range 4 {
		senders.Go(func() {
			random := newTraffic(uint64(g))
			for i := range batches {
				ld := random.records(fmt.Sprintf("service-%d", i%3), "request "+letters(i)+" served", size, time.Now())
				assert.NoError(t, r.p.ConsumeLogs(t.Context(), ld))
			}
		})
	}
	repeat := func(f func(i int)) {
		others.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
					f(i)
				}
			}
		})
	}
	repeat(func(int) { l.adjust(time.Now(), 10*time.Millisecond); l.flush(t.Context()) })
	repeat(func(int) { var out report.Sampling; l.report(&out) })
	repeat(func(int) {
		assert.NoError(t, l.save(false, func(string, []byte) error { return nil }))
	})
	repeat(func(i int) {
		rule := policy.SamplingRule{Name: fmt.Sprintf("b%d", i%3), Budget: &policy.Budget{Signal: policy.SignalLogs, PointsPerSecond: 10}}
		l.apply([]ruleInForce{{SamplingRule: rule.WithDefaults()}})
	})
	senders.Wait()
	close(done)
	others.Wait()
	require.NoError(t, r.p.Shutdown(context.WithoutCancel(t.Context())))

	leftOut, kept := 0, 0
	for _, rec := range r.take() {
		if rec.EventName() == summaryEvent {
			leftOut += int(number(rec, summaryLeftOut))
		} else {
			kept++
		}
	}
	assert.Equal(t, 4*batches*size, kept+leftOut)
	assert.EqualValues(t, 4*batches*size, l.in.Load())
	assert.EqualValues(t, kept, l.kept.Load())
}

// FuzzLogs gives the processor whatever decodes. Nothing panics, nothing is
// invented, and every record is either kept or left out.
func FuzzLogs(f *testing.F) {
	marshaler := &plog.ProtoMarshaler{}
	random := newTraffic(1)
	for _, ld := range []plog.Logs{
		random.second(true), random.second(false), benchLogs(random, true, "8"), logsOf("", recordSpec{threshold: "x"}),
		logsOf("checkout", halves(4, plog.SeverityNumberFatal4, `{"msg":"user \"alice\"`)...),
	} {
		for ld.LogRecordCount() > 40 { // seeds are small
			ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
				n := 0
				rl.ScopeLogs().At(0).LogRecords().RemoveIf(func(plog.LogRecord) bool { n++; return n%3 != 0 })
				return rl.ScopeLogs().At(0).LogRecords().Len() == 0
			})
		}
		raw, err := marshaler.MarshalLogs(ld)
		require.NoError(f, err)
		f.Add(raw)
	}
	r := newRecordRig(f, "logs: {target: {records_per_second: 1}, randomness: session, with_traces: flag, max_keys: 100, summary: {enabled: true}}\n"+fixedLogs("0.5"), nil)
	f.Cleanup(r.end)
	f.Fuzz(func(t *testing.T, raw []byte) {
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(raw)
		if err != nil {
			return
		}
		l := r.part()
		in, kept := l.in.Load(), l.kept.Load()
		n := ld.LogRecordCount()
		require.NoError(t, r.p.ConsumeLogs(t.Context(), ld))
		l.adjust(time.Now(), time.Second)
		out := 0
		for _, rec := range r.take() {
			out++
			_, _ = rec.Attributes().Get("sampling.threshold")
		}
		require.EqualValues(t, n, l.in.Load()-in)
		require.LessOrEqual(t, out, n)
		require.EqualValues(t, out, l.kept.Load()-kept)
	})
}
