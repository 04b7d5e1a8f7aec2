package adaptivesamplerprocessor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

const stored = `
storage: file_storage
traces: {target: {spans_per_second: 100}}
logs: {target: {records_per_second: 100}}
rules:
  - name: band
    dead_band: {match: {metric: "*"}, tolerance: {absolute: 1}}
  - name: spans
    budget: {signal: traces, match: {resource: [{attribute: service.name, value: budgeted}]}, points_per_second: 30, floor: 0.01}
`

// run sends traffic for a while.
func (f *frame) run(r traffic, lasting time.Duration) {
	f.t.Helper()
	time.Sleep(130 * time.Millisecond) // so that nothing comes at the very instant in which an interval ends
	for end := time.Now().Add(lasting); time.Now().Before(end); time.Sleep(time.Second) {
		require.NoError(f.t, f.traces.ConsumeTraces(f.t.Context(), r.spans("checkout", 1000, time.Now())))
		require.NoError(f.t, f.traces.ConsumeTraces(f.t.Context(), r.spans("budgeted", 500, time.Now())))
		require.NoError(f.t, f.logs.ConsumeLogs(f.t.Context(), r.records("checkout", "request served", 1000, time.Now())))
		require.NoError(f.t, f.metrics.ConsumeMetrics(f.t.Context(), gauge("g", 20, time.Now())))
	}
	synctest.Wait()
	f.reset()
}

func (f *frame) reset() {
	f.spans.Reset()
	f.records.Reset()
	f.points.Reset()
}

// learned is what the processor goes by.
type learned struct {
	probability map[string]float64
	level       map[string]float64
}

func learnedOf(s report.Sampling) learned {
	l := learned{probability: map[string]float64{}, level: map[string]float64{}}
	for _, k := range s.Keys {
		l.probability[k.Signal+" "+k.Key] = k.Probability
	}
	for _, b := range s.Budgets {
		l.level[b.Name] = b.Level
	}
	return l
}

// requireBusy demands that there is something to lose.
func (l learned) requireBusy(t *testing.T) {
	t.Helper()
	low := 0
	for _, p := range l.probability {
		if p < 0.3 {
			low++
		}
	}
	require.GreaterOrEqual(t, low, 3, "%v", l.probability)
	require.Less(t, l.level["spans"], 0.9, "%v", l.level)
}

// process runs a test in the next process over one storage, at fake times.
func process(t *testing.T, directory string, test func(t *testing.T, f *frame)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, newFrame(t, stored, newStorageHost(t, directory)).start())
	})
}

// After an orderly end everything goes on as if nothing had happened.
func TestRestartGoesOn(t *testing.T) {
	directory := t.TempDir()
	var before learned
	process(t, directory, func(t *testing.T, f *frame) {
		f.run(newTraffic(1), time.Minute)
		before = learnedOf(f.sampling())
		before.requireBusy(t)
		f.shutdown()
	})
	process(t, directory, func(t *testing.T, f *frame) {
		defer f.shutdown()
		after := learnedOf(f.sampling())
		assert.InDeltaMapValues(t, before.level, after.level, 1e-9)
		assert.InDeltaMapValues(t, before.probability, after.probability, 1e-9)
		require.NoError(t, f.traces.ConsumeTraces(t.Context(), newTraffic(2).spans("checkout", 2000, time.Now())))
		assert.InDelta(t, 2000*before.probability["traces checkout"], f.spans.SpanCount(), 60, "no burst after a restart")
		require.NoError(t, f.metrics.ConsumeMetrics(t.Context(), gauge("g", 20.5, time.Now().Add(59*time.Second))))
		assert.Zero(t, f.points.DataPointCount(), "the dead band remembers what was sent last")
		assert.Empty(t, f.warned())
	})
}

// After kill -9 the state is that of the last checkpoint.
func TestKilled(t *testing.T) {
	directory := t.TempDir()
	var before learned
	process(t, directory, func(t *testing.T, f *frame) {
		f.run(newTraffic(1), 90*time.Second)
		before = learnedOf(f.sampling())
		before.requireBusy(t)
		f.kill()
	})
	process(t, directory, func(t *testing.T, f *frame) {
		defer f.shutdown()
		after := learnedOf(f.sampling())
		assert.InDeltaMapValues(t, before.level, after.level, 0.5)
		assert.InDeltaMapValues(t, before.probability, after.probability, 0.05)
		now := time.Now().Add(91 * time.Second)
		require.NoError(t, f.metrics.ConsumeMetrics(t.Context(), gauge("g", 20, now)))
		require.NoError(t, f.metrics.ConsumeMetrics(t.Context(), gauge("g", 20, now.Add(time.Second))))
		assert.Equal(t, 1, f.points.DataPointCount(), "nobody knows what was sent last: the first point passes, the second is left out")
		assert.Empty(t, f.warned())
	})
}

// State that cannot be used costs what was learned, one warning a part, and
// nothing else.
func TestDamagedState(t *testing.T) {
	f := func(name string, key func(*hub) string, value []byte) {
		t.Helper()
		directory := t.TempDir()
		process(t, directory, func(t *testing.T, f *frame) {
			f.run(newTraffic(1), 30*time.Second)
			h := f.hub()
			f.shutdownBut(func() { require.NoError(t, h.state.client.Set(t.Context(), key(h), value)) })
		})
		process(t, directory, func(t *testing.T, f *frame) {
			assert.Len(t, f.warned(), 1, name)
			f.run(newTraffic(2), 30*time.Second)
			learnedOf(f.sampling()).requireBusy(t)
			f.shutdown()
		})
		process(t, directory, func(t *testing.T, f *frame) {
			assert.Empty(t, f.warned(), "%s: what was written since is used", name)
			learnedOf(f.sampling()).requireBusy(t)
			f.shutdown()
		})
	}
	fixed := func(key string) func(*hub) string { return func(*hub) string { return key } }
	for _, signal := range []string{policy.SignalTraces, policy.SignalLogs, policy.SignalMetrics} {
		f(signal+" head", fixed(signal+"/head"), []byte("something else"))
		f(signal+" of another installation", fixed(signal+"/head"), sealRecord([]byte(`{"secret":1,"slot":0,"keys":[]}`)))
		f(signal+" record", func(h *hub) string {
			s := h.state.of(signal)
			return s.recordKey(s.current.Slot, 0)
		}, []byte("something else"))
	}
	f("secret", fixed(secretKey), []byte("something else"))
	f("short secret", fixed(secretKey), sealRecord([]byte("xyz")))
}

// shutdownBut ends in order, and does something before the storage is closed.
func (f *frame) shutdownBut(last func()) {
	f.t.Helper()
	h := f.hub()
	for _, signal := range []string{policy.SignalTraces, policy.SignalLogs, policy.SignalMetrics} {
		require.NoError(f.t, h.dismiss(f.t.Context(), h.workers[signal]))
	}
	last()
	require.NoError(f.t, h.close(f.t.Context()))
}

// A disk that is full keeps nothing from working: it is counted, and the end says
// that the state was not written.
func TestStorageThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFrame(t, stored, newStorageHost(t, t.TempDir())).start()
		h := f.hub()
		for signal := range h.workers {
			slots := h.state.of(signal)
			slots.client = &flaky{Client: h.state.client, wrote: map[string]bool{}}
		}
		f.run(newTraffic(1), 2*time.Minute+time.Second)
		learnedOf(f.sampling()).requireBusy(t)
		assert.GreaterOrEqual(t, len(f.warned()), 3, "each part once a checkpoint")
		for _, message := range f.warned() {
			assert.Equal(t, "Could not write the state; the last one stays", message)
		}
		for _, c := range f.all() {
			require.ErrorIs(t, c.Shutdown(t.Context()), errDisk)
		}
	})
}
