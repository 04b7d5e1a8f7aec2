package experiment

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func TestReport(t *testing.T) {
	spec := splitSpec()
	spec.ID, spec.Description = "shop/pods", "Drop *pod* | of <all> metrics."
	spec.Steps = []WeightStep{{5, Duration(time.Minute)}, {50, Duration(time.Minute)}}
	spec.Guardrails = []Guardrail{
		{Name: "orders", Query: "orders", Direction: DirectionDecrease, AllowedChange: new(0.02), MustHaveData: true},
		{Name: "queue", Query: "queue", Direction: DirectionEither, DryRun: true},
	}
	spec.Approval = Approval{Start: true, Promote: true}
	require.NoError(t, spec.Validate())
	now := began
	s, _, _, err := Apply(spec, NewState(now), Command{Kind: CommandApprove, By: "bob"}, now)
	require.NoError(t, err)
	golden(t, "report_draft.md", NewReport(spec, s, now).Markdown())
	s, _, _, err = Apply(spec, s, Command{Kind: CommandStart, By: "ann", Note: "half the bill"}, now)
	require.NoError(t, err)
	for i := range 4 {
		now = now.Add(30 * time.Second)
		s, _, _ = Step(spec, s, Observation{
			Seq: uint64(i + 1), SpecHash: s.SpecHash,
			Baseline:    &Arm{Units: 950, Series: 95_000, Points: 9_500_000, Bytes: 950_000_000, Latency: Duration(2 * time.Millisecond), MemoryBytes: 1 << 20, CostMicros: 123_450_000, Currency: "USD"},
			Candidate:   &Arm{Units: 50, Series: 2000, Points: 200_000, Bytes: 20_000_000, Refused: 1, Failed: 2, Latency: Duration(3 * time.Millisecond)},
			SampleRatio: &SampleRatio{Verdict: VerdictOK, PValue: 0.5, Baseline: 950, Candidate: 50},
			Guardrails:  []GuardrailVerdict{{Name: "latency", Verdict: VerdictUndecided, Change: Estimate{0.03, -0.01, Number(math.Inf(1))}}},
			Criteria:    []CriterionVerdict{{Measure: MeasureSeries, Verdict: VerdictUndecided, Saving: Estimate{0.6, 0.1, 0.9}}},
		}, now)
	}
	r := NewReport(spec, s, now)
	golden(t, "report.md", r.Markdown())
	data, err := r.JSON()
	require.NoError(t, err)
	golden(t, "report.json", string(data))
}

func TestFidelityInWords(t *testing.T) {
	f := func(v FidelityVerdict, want string) {
		t.Helper()
		assert.Equal(t, want, v.String())
	}
	f(FidelityVerdict{}, "there are no queries")
	f(FidelityVerdict{
		Alerts: Tally{Total: 214, Identical: 198, NoData: 16}, Panels: Tally{Total: 97, Identical: 91, Within: 3, NotJudged: 3}, MaxError: 0.004,
	}, "198 of 214 alerts judged, 0 differ; 94 of 97 panels judged, 0 differ, 3 within 0.4 %")
	f(FidelityVerdict{Recordings: Tally{Total: 1, Differs: 1}}, "1 of 1 recording rules judged, 1 differ")
	assert.Equal(t, uint64(math.MaxUint64), Tally{Identical: math.MaxUint64, Differs: 1}.Judged(), "no overflow")
}

func TestCompare(t *testing.T) {
	f := func(g Guardrail, baseline, candidate float64, want Verdict) {
		t.Helper()
		assert.Equal(t, want, g.Compare(Answer{Baseline: Number(baseline), Candidate: Number(candidate)}).Verdict)
	}
	up := Guardrail{Query: "q", AllowedChange: new(0.1)}
	down, either := up, up
	down.Direction, either.Direction = DirectionDecrease, DirectionEither
	f(up, 100, 110, VerdictOK)
	f(up, 100, 110.1, VerdictBreached)
	f(up, 100, 1, VerdictOK)
	f(up, -100, -80, VerdictBreached)
	f(up, -100, -120, VerdictOK)
	f(down, 100, 90, VerdictOK)
	f(down, 100, 89, VerdictBreached)
	f(down, 100, 900, VerdictOK)
	f(either, 100, 111, VerdictBreached)
	f(either, 100, 89, VerdictBreached)
	f(either, 100, 109, VerdictOK)
	f(up, 0, 0, VerdictOK)
	f(up, 0, 1, VerdictBreached)
	f(up, 0, -1, VerdictOK)
	f(down, 0, -1, VerdictBreached)
	f(up, math.NaN(), 1, VerdictNoData)
	f(up, 1, math.Inf(1), VerdictNoData)
	f(Guardrail{Query: "q"}, 1, 1.0001, VerdictBreached)
	assert.Equal(t, GuardrailVerdict{Name: "q", Verdict: VerdictNoData, Note: "timeout"}, Guardrail{Name: "q"}.Compare(Answer{Error: "timeout", Baseline: 1, Candidate: 9}))
}
