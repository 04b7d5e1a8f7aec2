package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

const summedLogs = "logs: {summary: {enabled: true, interval: 10s}, floor: {error: 0}}\n"

// halves are n records of which every other one is left out at one half.
func halves(n int, severity plog.SeverityNumber, message string) (list []recordSpec) {
	for i := range n {
		list = append(list, recordSpec{id: traceOf(0.25 + 0.5*float64(i%2)), severity: severity, body: message})
	}
	return list
}

// summaries takes what came out, and returns the summaries among it.
func summaries(r *recordRig) (list []plog.LogRecord) {
	for _, rec := range r.take() {
		if rec.EventName() == summaryEvent {
			list = append(list, rec)
		}
	}
	return list
}

func number(r plog.LogRecord, key string) int64 {
	v, _ := r.Attributes().Get(key)
	return v.Int()
}

func TestSummaryCountsWhatWasLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecordRig(t, summedLogs+fixedLogs("0.5"), nil)
		r.send(logsOf("checkout", halves(10, plog.SeverityNumberInfo, "request 7 served")...))
		r.send(logsOf("checkout", halves(10, plog.SeverityNumberInfo, "request 8 served")...))
		r.send(logsOf("checkout", halves(4, plog.SeverityNumberWarn, "request 8 was slow")...))
		r.send(logsOf("billing", recordSpec{id: traceOf(0.75), severity: plog.SeverityNumberInfo, body: "all of these are kept"}))
		require.Empty(t, summaries(r))
		time.Sleep(12 * time.Second)
		synctest.Wait()
		got := summaries(r)
		require.Len(t, got, 2)
		assert.Equal(t, `10 records of template "request <*> served" left out`, got[0].Body().Str())
		assert.Equal(t, plog.SeverityNumberInfo, got[0].SeverityNumber())
		assert.Equal(t, `2 records of template "request <*> was slow" left out`, got[1].Body().Str())
		assert.Equal(t, plog.SeverityNumberWarn, got[1].SeverityNumber())
		want := map[string]any{
			"log.record.template": "request <*> served", "phoenix.sampling.records": int64(20), "phoenix.sampling.records_left_out": int64(10),
			"phoenix.sampling.probability": 0.5, "phoenix.sampling.from": "2000-01-01T00:00:00Z", "phoenix.sampling.to": "2000-01-01T00:00:10Z",
			"sampling.threshold": "0",
		}
		assert.Equal(t, want, got[0].Attributes().AsRaw())

		// What is left out until the end is told at the end.
		r.send(logsOf("checkout", halves(6, plog.SeverityNumberInfo, "request 9 served")...))
		r.end()
		got = summaries(r)
		require.Len(t, got, 1)
		assert.EqualValues(t, 3, number(got[0], summaryLeftOut))
		assert.EqualValues(t, 6, number(got[0], summaryCame))
	})
}

// TestSummaryIsBounded has more templates than a summary names, and more keys than
// are remembered.
func TestSummaryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const templates, keys = 1_500, 1_200
		r := newRecordRig(t, fmt.Sprintf("logs: {max_keys: %d, summary: {enabled: true, interval: 10s}}\n", keys)+fixedLogs("0.5"), nil)
		total := int64(0)
		for i := range templates {
			message := "event " + letters(i)
			n := 2
			if i == 1_100 {
				n = 20
			}
			total += int64(n / 2)
			r.send(logsOf("checkout", halves(n, plog.SeverityNumberInfo, message)...))
		}
		r.end()
		got := summaries(r)
		require.Len(t, got, maxSummaries+1)
		assert.EqualValues(t, 10, number(got[0], summaryLeftOut), "the most first")
		sum := int64(0)
		for _, rec := range got {
			sum += number(rec, summaryLeftOut)
		}
		assert.Equal(t, total, sum)
		rest := got[maxSummaries]
		assert.EqualValues(t, templates-maxSummaries, number(rest, summaryTemplates))
		assert.Equal(t, plog.SeverityNumberUnspecified, rest.SeverityNumber())
	})
}

// letters is a word without digits, another one for each number.
func letters(n int) string {
	word := []byte("x")
	for ; n > 0; n /= 20 {
		word = append(word, byte('g'+n%20))
	}
	return string(word)
}

func TestARefusedSummaryIsPartOfTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &consumertest.LogsSink{}
		next := &refusingLogs{Logs: sink}
		r := newRecordRig(t, summedLogs+fixedLogs("0.5"), next)
		r.sink = sink
		r.send(logsOf("checkout", halves(10, plog.SeverityNumberInfo, "request 7 served")...))
		next.refuse(errors.New("queue is full"))
		time.Sleep(12 * time.Second)
		synctest.Wait()
		require.Empty(t, summaries(r))
		next.refuse(nil)
		r.send(logsOf("checkout", halves(4, plog.SeverityNumberInfo, "request 7 served")...))
		r.send(logsOf("checkout", halves(2, plog.SeverityNumberInfo, "request 7 was slow")...))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got := summaries(r)
		require.Len(t, got, 2)
		assert.EqualValues(t, 7, number(got[0], summaryLeftOut))
		from, _ := got[0].Attributes().Get(summaryFrom)
		assert.Equal(t, "2000-01-01T00:00:00Z", from.Str())
		r.send(logsOf("checkout", halves(4, plog.SeverityNumberInfo, "request 7 served")...))
		closed := errors.New("closed")
		next.refuse(closed)
		require.ErrorIs(t, r.p.Shutdown(context.WithoutCancel(t.Context())), closed)
	})
}

// TestASecondStageLetsSummariesPass has a sampler after a sampler.
func TestASecondStageLetsSummariesPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := newRecordRig(t, summedLogs+fixedLogs("0.0001"), nil)
		first := newRecordRig(t, summedLogs+fixedLogs("0.5"), second.p)
		first.send(logsOf("checkout", halves(10, plog.SeverityNumberInfo, "request 7 served")...))
		first.end()
		got := summaries(second)
		require.Len(t, got, 1)
		assert.EqualValues(t, 5, number(got[0], summaryLeftOut))
		second.end()
		got = summaries(second)
		require.Len(t, got, 1)
		assert.EqualValues(t, 5, number(got[0], summaryLeftOut), "of the records, not of summaries")
	})
}

// A record of a summary belongs to its service, and one without a service to none.
func TestSummariesAreOnTheResourceOfTheirService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecordRig(t, summedLogs+fixedLogs("0.5"), nil)
		r.send(logsOf("", halves(2, plog.SeverityNumberInfo, "request 7 served")...))
		r.send(logsOf("billing", halves(2, plog.SeverityNumberInfo, "request 7 served")...))
		r.sink.Reset()
		r.end()
		var resources []map[string]any
		for _, ld := range r.sink.AllLogs() {
			for _, rl := range ld.ResourceLogs().All() {
				resources = append(resources, rl.Resource().Attributes().AsRaw())
				assert.Equal(t, 1, rl.ScopeLogs().At(0).LogRecords().Len())
				assert.NotEqual(t, pcommon.Timestamp(0), rl.ScopeLogs().At(0).LogRecords().At(0).Timestamp())
			}
		}
		assert.Equal(t, []map[string]any{{}, {"service.name": "billing"}}, resources)
	})
}
