package adaptivesamplerprocessor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

const (
	benchRecords = 100 // a resource, of benchResources
)

// benchLogs is a batch of 10 resources with 100 records each, of 6 resource and 4
// record attributes, in 12 templates of 60 to 130 bytes.
func benchLogs(random traffic, trace bool, threshold string) plog.Logs {
	messages := []string{
		"connected to %d.example.com:5432 as user app in %dms, pool has %d connections",
		"GET /api/v1/orders/%d 200 %dms %d bytes sent",
		"order %d accepted: %d items, total %d.00 EUR, payment by card",
		"cache miss for key session:%d after %dms, reading %d rows from the database",
		`level=info msg="scrape done" target=http://10.0.0.%d:9090/metrics duration=%dms samples=%d`,
		"2026-11-24T04:10:14.%dZ worker-%d finished job %d",
		`{"level":"info","msg":"message consumed","partition":%d,"offset":%d,"lag":%d}`,
		"retrying request %d to inventory in %dms, attempt %d of 5: connection refused",
		"user %d logged in from 10.0.%d.%d",
		"checkpoint complete: wrote %d buffers (%d.2%%); write=%d s",
		"shutting down listener on port %d after %d requests, %d still open",
		"config reloaded from /etc/app/conf.d/%d.yaml, %d keys changed, %d unknown",
	}
	ld := plog.NewLogs()
	for i := range benchResources {
		rl := ld.ResourceLogs().AppendEmpty()
		for _, kv := range [][2]string{
			{"service.namespace", "shop"},
			{"k8s.namespace.name", "production"},
			{"k8s.deployment.name", "checkout"},
			{"k8s.pod.name", "checkout-7d9f8b6c5-x2x4z"},
			{"service.name", fmt.Sprintf("service-%d", i)},
			{"deployment.environment.name", "eu-west-1"},
		} {
			rl.Resource().Attributes().PutStr(kv[0], kv[1])
		}
		records := rl.ScopeLogs().AppendEmpty().LogRecords()
		for j := range benchRecords {
			r := records.AppendEmpty()
			if trace {
				r.SetTraceID(random.trace())
			}
			r.SetSeverityNumber(plog.SeverityNumberInfo)
			r.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(1_700_000_000, int64(j))))
			r.Body().SetStr(fmt.Sprintf(messages[j%len(messages)], random.IntN(1000), random.IntN(1000), random.IntN(1000)))
			a := r.Attributes()
			a.PutStr("logger.name", "com.example.Orders")
			a.PutStr("thread.name", "worker-1")
			a.PutInt("thread.id", int64(j))
			a.PutStr("code.function.name", "handle")
			if threshold != "" {
				a.PutStr("sampling.threshold", threshold)
			}
		}
	}
	return ld
}

type recordBenchCase struct {
	name, yaml string
	trace      bool
	threshold  string
	perRecord  float64 // allocations a record, at most
}

// recordBenchCases are what the benchmark and the test of allocations have in
// common. What allocates is what is written: a threshold is an attribute, which
// pdata keeps on the heap (the map grows, the value has a box), and so is a random
// number, with its text.
func recordBenchCases() []recordBenchCase {
	return []recordBenchCase{
		{"left out", fixedLogs("0.0001"), true, "", 0.01},
		{"tenth", fixedLogs("0.1"), true, "", 0.3},
		{"kept, threshold written", fixedLogs("0.9999"), true, "", 2.01},
		{"kept with the threshold that it came with", fixedLogs("1"), true, "0", 0},
		{"threshold raised to half", fixedLogs("0.5"), true, "0", 1},
		{"no trace, left out", fixedLogs("0.0001"), false, "", 0.01},
		{"no trace, tenth", fixedLogs("0.1"), false, "", 0.6},
		{"untouched", "{}", true, "", 0},
	}
}

// BenchmarkRecords measures sampling alone: batches are copied outside of the
// measured time, because what is left out leaves them.
func BenchmarkRecords(b *testing.B) {
	random := newTraffic(1)
	for _, c := range recordBenchCases() {
		b.Run(c.name, func(b *testing.B) {
			r := newRecordRig(b, c.yaml, consumertest.NewNop())
			defer r.end()
			batch := benchLogs(random, c.trace, c.threshold)
			r.send(logsCopy(batch))
			p := r.part()
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				ld := logsCopy(batch)
				b.StartTimer()
				p.sample(b.Context(), ld)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchResources/benchRecords, "ns/record")
		})
	}
}

// TestRecordsAllocateOnlyWhatIsWritten covers records that are left out, which
// allocate nothing, and those that are kept.
func TestRecordsAllocateOnlyWhatIsWritten(t *testing.T) {
	if underRace {
		t.Log("the race detector allocates; this runs without it")
		return
	}
	random := newTraffic(1)
	const runs = 20
	for _, c := range recordBenchCases() {
		t.Run(c.name, func(t *testing.T) {
			r := newRecordRig(t, c.yaml, consumertest.NewNop())
			defer r.end()
			batch := benchLogs(random, c.trace, c.threshold)
			p := r.part()
			var copies []plog.Logs
			for range runs + 20 {
				copies = append(copies, logsCopy(batch))
			}
			next := func() plog.Logs {
				ld := copies[0]
				copies = copies[1:]
				return ld
			}
			for range 10 {
				p.sample(t.Context(), next())
			}
			allocated := testing.AllocsPerRun(runs, func() { p.sample(t.Context(), next()) })
			t.Logf("%g allocations for %d records", allocated, benchResources*benchRecords)
			require.LessOrEqual(t, allocated/benchResources/benchRecords, c.perRecord)
		})
	}
}
