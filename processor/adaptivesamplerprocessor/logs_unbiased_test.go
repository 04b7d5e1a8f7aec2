package adaptivesamplerprocessor

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

// recordStream is one severity and message of a service, so many a second.
type recordStream struct {
	service   string
	severity  plog.SeverityNumber
	message   string // with a %d
	perSecond int
}

func (s recordStream) String() string {
	return fmt.Sprintf("%s %s %s", s.service, s.severity, s.message)
}

var recordStreams = []recordStream{
	{"checkout", plog.SeverityNumberInfo, "request %d served", 800},
	{"checkout", plog.SeverityNumberInfo, "request %d was slow", 80},
	{"checkout", plog.SeverityNumberDebug, "cache has %d entries", 300},
	{"checkout", plog.SeverityNumberWarn, "request %d served", 60},
	{"checkout", plog.SeverityNumberError, "request %d failed", 40},
	{"billing", plog.SeverityNumberInfo, "request %d served", 200},
	{"billing", plog.SeverityNumberInfo, "order %d is paid", 2},
}

// earlier are the thresholds of samplers before this one; "" is none.
var earlier = []string{"", "", "0", "8", "c", "e66"}

// second is what the streams send in a second. Records that an earlier sampler
// would have left out are not there.
func (r traffic) second(withTrace bool) (ld plog.Logs) {
	ld = plog.NewLogs()
	for _, s := range recordStreams {
		var list []recordSpec
		for i := range s.perSecond {
			spec := recordSpec{severity: s.severity, body: fmt.Sprintf(s.message, i)}
			if withTrace {
				spec.id = r.trace()
			}
			spec.threshold = earlier[r.IntN(len(earlier))]
			if spec.threshold != "" {
				t, _ := sampling.TValueToThreshold(spec.threshold)
				if withTrace && !t.ShouldSample(sampling.TraceIDToRandomness(spec.id)) {
					continue
				}
				if !withTrace && r.Float64() >= t.Probability() {
					continue
				}
			}
			list = append(list, spec)
		}
		one := logsOf(s.service, list...)
		one.ResourceLogs().MoveAndAppendTo(ld.ResourceLogs())
	}
	return ld
}

// adjustedSum is a sum of adjusted counts and its estimated variance.
type adjustedSum struct{ sum, variance float64 }

func sumByStream(tb testing.TB, ld plog.Logs, sums map[string]*adjustedSum) {
	tb.Helper()
	for _, rl := range ld.ResourceLogs().All() {
		name := text(rl.Resource().Attributes(), serviceName)
		for _, r := range rl.ScopeLogs().At(0).LogRecords().All() {
			key := streamOf(name, r)
			n, _ := adjusted(tb, r)
			if sums[key] == nil {
				sums[key] = &adjustedSum{}
			}
			sums[key].sum += n
			sums[key].variance += n * (n - 1)
		}
	}
}

func streamOf(service string, r plog.LogRecord) string {
	for _, s := range recordStreams {
		var n int
		if got, err := fmt.Sscanf(r.Body().Str(), s.message, &n); err == nil && got == 1 &&
			s.service == service && s.severity == r.SeverityNumber() && fmt.Sprintf(s.message, n) == r.Body().Str() {
			return s.String()
		}
	}
	return "unknown"
}

// TestLogsAreUnbiased sums adjusted counts over two minutes in which rates adapt,
// by severity, service and template, for a mix of thresholds that came.
func TestLogsAreUnbiased(t *testing.T) {
	seeds := uint64(3)
	if underRace { // it is about arithmetic; other tests are for the race detector
		seeds = 1
	}
	for _, c := range []struct {
		name, yaml string
		trace      bool
	}{
		{"total", "logs: {target: {records_per_second: 100}}", true},
		{"per service", "logs: {target: {per_service: 40}}", true},
		{"no floor", "logs: {target: {records_per_second: 30}, floor: {error: 0}}", true},
		{"without traces", "logs: {target: {records_per_second: 100}}", false},
		{"budget", "logs: {target: {records_per_second: 300}}\nrules: [{name: b, budget: {signal: logs, points_per_second: 100}}]", true},
	} {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%s/%d", c.name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { unbiased(t, c.yaml, c.trace, seed) })
			})
		}
	}
}

func unbiased(t *testing.T, yaml string, trace bool, seed uint64) {
	t.Helper()
	r := newRecordRig(t, yaml, nil)
	random := newTraffic(seed)
	r.part().random = newTraffic(seed + 100).Uint64
	in, out := map[string]*adjustedSum{}, map[string]*adjustedSum{}
	sent, kept := 0, 0
	for range 120 {
		ld := random.second(trace)
		sent += ld.LogRecordCount()
		sumByStream(t, ld, in)
		r.send(ld)
		for _, got := range r.sink.AllLogs() {
			kept += got.LogRecordCount()
			sumByStream(t, got, out)
		}
		r.sink.Reset()
		time.Sleep(time.Second)
	}
	r.end()
	require.Less(t, float64(kept), 0.6*float64(sent), "it does sample")
	require.Len(t, in, len(recordStreams))
	for key, want := range in {
		require.NotNil(t, out[key], key)
		// Given what came, an item of weight a that goes on with weight b adds b·(b−a)
		// to the variance; b·(b−1) bounds it.
		deviation := math.Abs(out[key].sum - want.sum)
		assert.LessOrEqual(t, deviation, 3*math.Sqrt(out[key].variance)+1e-6, "%s: %g of %g", key, out[key].sum, want.sum)
	}
}

// TestRecordsOfReplicasNest has two collectors with different probabilities: what
// the stricter one keeps, the other one keeps too, and two stages are one.
func TestRecordsOfReplicasNest(t *testing.T) {
	random := newTraffic(1)
	batch := random.second(true)
	ids := func(yaml string, ld plog.Logs) (map[pcommon.TraceID]string, plog.Logs) {
		r := newRecordRig(t, yaml, nil)
		defer r.end()
		r.send(logsCopy(ld))
		got := map[pcommon.TraceID]string{}
		for _, rec := range recordsOf(r.sink.AllLogs()...) {
			_, threshold := adjusted(t, rec)
			got[rec.TraceID()] = threshold
		}
		return got, r.sink.AllLogs()[0]
	}
	const noFloor = "logs: {floor: {error: 0}}\n"
	half, through := ids(noFloor+fixedLogs("0.5"), batch)
	tenth, _ := ids(noFloor+fixedLogs("0.1"), batch)
	again, _ := ids(noFloor+fixedLogs("0.1"), batch)
	staged, _ := ids(noFloor+fixedLogs("0.1"), through)
	require.NotEmpty(t, tenth)
	assert.Equal(t, tenth, again, "replicas agree")
	assert.Equal(t, tenth, staged, "two stages are one")
	for id := range tenth {
		assert.Contains(t, half, id)
	}
	assert.Equal(t, consistent.FromProbability(0.1).TValue(), tenth[anyKey(tenth, consistent.FromProbability(0.1).TValue())])
}

func anyKey(m map[pcommon.TraceID]string, value string) (key pcommon.TraceID) {
	for k, v := range m {
		if v == value {
			return k
		}
	}
	return key
}
