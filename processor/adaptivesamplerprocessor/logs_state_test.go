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
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// TestBudgetsOfLogs reaches a budget of records and one of bytes, for the resources
// that they are for only.
func TestBudgetsOfLogs(t *testing.T) {
	for _, c := range []struct {
		amount string
		size   func(plog.Logs) int
	}{
		{"points_per_second: 100", func(ld plog.Logs) int { return ld.LogRecordCount() }},
		{"bytes_per_second: 10000", func(ld plog.Logs) int { return (&plog.ProtoMarshaler{}).LogsSize(ld) }},
	} {
		t.Run(c.amount, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRecordRig(t, "rules: [{name: shop, budget: {signal: logs, match: {resource: [{attribute: service.name, value: checkout}]}, floor: 0.001, "+c.amount+"}}]", nil)
				random := newTraffic(1)
				size, others, const10 := 0, 0, 10
				for i := range 80 {
					r.send(random.records("checkout", "request served", 1000, time.Now()))
					for _, ld := range r.sink.AllLogs() {
						if i >= 40 {
							size += c.size(ld)
						}
					}
					r.sink.Reset()
					r.send(random.records("billing", "request served", const10, time.Now()))
					others += len(r.take())
					time.Sleep(time.Second)
				}
				assert.Equal(t, 80*const10, others)
				var out report.Sampling
				r.part().report(&out)
				require.Len(t, out.Budgets, 1)
				b := out.Budgets[0]
				assert.Equal(t, "shop", b.Name)
				assert.InEpsilon(t, b.Target, float64(size)/40, 0.1, "%g", b.Level)
				assert.False(t, b.FloorReached)
				r.end()
			})
		})
	}
}

// TestPreviewOfABudgetLeavesOutNothing measures what it would do.
func TestPreviewOfABudgetLeavesOutNothing(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context()))) }()
	r := newRecordRigOf(t, "rules: [{name: p, mode: preview, budget: {signal: logs, points_per_second: 1, floor: 0.25, ceiling: 0.25}}]", nil, tel.NewTelemetrySettings())
	defer r.end()
	var list []recordSpec
	for i := range 100 {
		list = append(list, recordSpec{id: traceOf((float64(i) + 0.5) / 100), severity: plog.SeverityNumberInfo, body: "request served"})
	}
	r.send(logsOf("checkout", list...))
	got := r.take()
	require.Len(t, got, 100)
	for _, rec := range got {
		_, threshold := adjusted(t, rec)
		assert.Empty(t, threshold)
	}
	assert.Equal(t, map[string]int64{"received": 100, "kept passed": 25, "kept preview": 75}, itemCounters(t, tel))
}

// TestLogsStateIsTakenUp restores rates and levels into another processor.
func TestLogsStateIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const yaml = "logs: {target: {records_per_second: 50}}\nrules: [{name: b, budget: {signal: logs, points_per_second: 20}}]"
		one := newRecordRig(t, yaml, nil)
		random := newTraffic(1)
		for range 60 {
			one.send(random.records("checkout", "request served", 1000, time.Now()))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		saved := map[string][]byte{}
		require.NoError(t, one.part().save(true, func(key string, value []byte) error {
			saved[key] = value
			return nil
		}))
		batch := random.records("checkout", "request served", 1000, time.Now())
		one.take()
		one.send(logsCopy(batch))
		want := one.take()
		require.NotEmpty(t, want)
		require.Less(t, len(want), 100)
		one.end()

		other := newRecordRig(t, yaml, nil)
		require.NoError(t, other.part().restore(func(key string) ([]byte, error) { return saved[key], nil }))
		other.send(logsCopy(batch))
		got := other.take()
		require.Len(t, got, len(want))
		_, wanted := adjusted(t, want[0])
		_, threshold := adjusted(t, got[0])
		assert.Equal(t, wanted, threshold)

		require.Error(t, other.part().restore(func(string) ([]byte, error) { return []byte("{"), nil }))
		failed := errors.New("disk")
		require.ErrorIs(t, other.part().restore(func(string) ([]byte, error) { return nil, failed }), failed)
		other.end()
	})
}

// TestReportOfLogs names keys and targets.
func TestReportOfLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecordRig(t, "logs: {target: {records_per_second: 50, services: {billing: 5}}}", nil)
		random := newTraffic(1)
		for i := range 30 {
			r.send(random.records("checkout", fmt.Sprintf("request %d served", i), 1000, time.Now()))
			r.send(random.records("billing", fmt.Sprintf("order %d paid", i), 10, time.Now()))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		var out report.Sampling
		r.part().report(&out)
		require.Len(t, out.Signals, 1)
		s := out.Signals[0]
		assert.Equal(t, policy.SignalLogs, s.Signal)
		assert.EqualValues(t, 30*1010, s.In)
		assert.EqualValues(t, 2, s.Keys)
		assert.Less(t, s.Kept, s.In/2)
		require.Len(t, out.Keys, 2)
		assert.Equal(t, "checkout info: request <*> served", out.Keys[0].Key)
		assert.Equal(t, "checkout", out.Keys[0].Group)
		assert.EqualValues(t, 30_000, out.Keys[0].In)
		assert.Less(t, out.Keys[0].Probability, 0.2)
		names := map[string]float64{}
		for _, b := range out.Budgets {
			names[b.Name] = b.Target
		}
		assert.Equal(t, map[string]float64{"logs.target": 50, "logs.service/billing": 5}, names)
		r.end()
	})
}
