package experiment

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// many are running experiments with a full history, and the looks that follow.
func many(tb testing.TB, n int) ([]Spec, []State, []Observation) {
	tb.Helper()
	specs, states, looks := make([]Spec, n), make([]State, n), make([]Observation, n)
	for i := range n {
		s := splitSpec()
		s.ID, s.Scope = fmt.Sprintf("e%d", i), map[string]string{"service.name": fmt.Sprintf("s%d", i)}
		state, _, _, err := Apply(s, NewState(began), Command{Kind: CommandStart}, began)
		require.NoError(tb, err)
		for k := range 40 {
			state, _, _ = Step(s, state, goodLook(s, state, uint64(k+1)), began.Add(time.Duration(k)*time.Second))
		}
		specs[i], states[i], looks[i] = s, state, goodLook(s, state, 41)
	}
	return specs, states, looks
}

func goodLook(s Spec, state State, seq uint64) Observation {
	o := Observation{Seq: seq, SpecHash: state.SpecHash, Baseline: &Arm{Series: 10}, Candidate: &Arm{Series: 5}, SampleRatio: &SampleRatio{Verdict: VerdictOK}}
	for _, measure := range BuiltinMeasures {
		o.Guardrails = append(o.Guardrails, GuardrailVerdict{Name: string(measure), Verdict: VerdictOK, Change: Estimate{0.1, 0, 0.2}})
	}
	for _, c := range s.Success {
		o.Criteria = append(o.Criteria, CriterionVerdict{Measure: c.Measure, Verdict: VerdictUndecided})
	}
	return o
}

// BenchmarkRound is one look at 10,000 running experiments.
func BenchmarkRound(b *testing.B) {
	specs, states, looks := many(b, 10_000)
	now := began.Add(41 * time.Second)
	for b.Loop() {
		for i := range specs {
			next, _, _ := Step(specs[i], states[i], looks[i], now)
			if next.Phase != PhaseRunning {
				b.Fatal(next.Phase)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(specs)), "ns/experiment")
}

// BenchmarkTick is a step without a look, as for the renewal of a lease.
func BenchmarkTick(b *testing.B) {
	specs, states, _ := many(b, 1)
	now := began.Add(41 * time.Second)
	b.ReportAllocs()
	for b.Loop() {
		Step(specs[0], states[0], Observation{}, now)
	}
}

// BenchmarkStart is the start of an experiment beside 10,000 that run.
func BenchmarkStart(b *testing.B) {
	specs, _, _ := many(b, 10_000)
	active := make([]Active, len(specs))
	for i, s := range specs {
		active[i] = Active{ID: s.ID, Spec: s}
	}
	mine := splitSpec()
	mine.ID, mine.Scope = "mine", map[string]string{"service.name": "mine"}
	for b.Loop() {
		if _, _, _, err := Apply(mine, NewState(began), Command{Kind: CommandStart, Active: active}, began); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	s := splitSpec()
	for b.Loop() {
		s.Hash()
	}
}

// TestMemory keeps a running experiment, its specification, state and next look,
// below half of the 16 KiB that it may have in all.
func TestMemory(t *testing.T) {
	const n = 300
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	specs, states, looks := many(t, n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / n
	t.Logf("%.0f bytes an experiment", each)
	require.Less(t, each, 8192.0)
	stored, err := EncodeState(states[0])
	require.NoError(t, err)
	t.Logf("%d bytes stored", len(stored))
	runtime.KeepAlive(specs)
	runtime.KeepAlive(looks)
}
