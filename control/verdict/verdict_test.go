package verdict

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

func mirrorSpec(criteria ...experiment.Criterion) experiment.Spec {
	if len(criteria) == 0 {
		criteria = []experiment.Criterion{{Measure: experiment.MeasureSeries, AtLeast: 0.2}}
	}
	return experiment.Spec{
		ID: "default/e", Mode: experiment.ModeMirror, Scope: map[string]string{"service.name": "shop"},
		Rules:   []policy.Rule{{Name: "pods", Match: policy.Match{Metric: "*"}, Attributes: policy.Attributes{Drop: []string{"point.pod"}}}},
		Success: criteria,
	}
}

func splitSpec(weights ...int) experiment.Spec {
	s := mirrorSpec()
	s.Mode, s.Unit = experiment.ModeSplit, experiment.Unit{Kind: experiment.UnitResource}
	for _, w := range weights {
		s.Steps = append(s.Steps, experiment.WeightStep{Weight: w})
	}
	return s
}

// counts are those of an arm in which nothing is wrong.
func counts(series float64) *Counts {
	return &Counts{
		Series: series, Points: 4 * series, Bytes: 400 * series, Given: 4000, Batches: 40,
		Latency: time.Millisecond, MemoryBytes: 1e6, CostMicros: 1000 * series,
	}
}

func look(seq uint64, baseline, candidate *Counts) Look {
	return Look{Seq: seq, Epoch: 1, Elapsed: 30 * time.Second, Baseline: baseline, Candidate: candidate}
}

func railOf(t *testing.T, e Evidence, m experiment.Measure) experiment.GuardrailVerdict {
	t.Helper()
	for _, v := range e.Guardrails {
		if v.Name == string(m) {
			return v
		}
	}
	t.Fatalf("there is no guardrail %s", m)
	return experiment.GuardrailVerdict{}
}

func TestEvidenceIsInTheOrderOfTheSpecification(t *testing.T) {
	spec := mirrorSpec(experiment.Criterion{Measure: experiment.MeasureBytes, AtLeast: 0.1}, experiment.Criterion{Measure: experiment.MeasureSeries, AtLeast: 0.1})
	spec.Guardrails = []experiment.Guardrail{{Name: "late", Query: "up"}, {Measure: experiment.MeasureMemory}}
	spec.Fidelity = &experiment.Fidelity{Queries: []experiment.Query{{Name: "q", Expr: "up"}}}
	require.NoError(t, spec.Validate())
	e := New(spec).Look(look(1, counts(10), counts(10)))
	var names []string
	for _, v := range e.Guardrails {
		names = append(names, v.Name)
	}
	assert.Equal(t, []string{"memory", "candidate_errors", "refused", "latency", "cost"}, names, "neither fidelity nor queries")
	require.Len(t, e.Criteria, 2)
	assert.Equal(t, experiment.MeasureBytes, e.Criteria[0].Measure)
	assert.Nil(t, e.SampleRatio)
}

// What both arms see alike is decided by a few looks, and not by fewer.
func TestConstantDifferencesAreDecidedSoon(t *testing.T) {
	f := func(saved float64, want experiment.Verdict, interval time.Duration) {
		t.Helper()
		spec := mirrorSpec()
		spec.Interval = experiment.Duration(interval)
		j := New(spec)
		for seq := uint64(1); seq <= 10; seq++ {
			v := j.Look(look(seq, counts(1000), counts(1000*(1-saved)))).Criteria[0]
			if seq <= settling+4 {
				require.NotEqual(t, want, v.Verdict, "at look %d", seq)
			}
			if v.Verdict == want {
				assert.InDelta(t, saved, float64(v.Saving.Value), 1e-6)
				return
			}
		}
		t.Errorf("a saving of %v is not %s within 10 looks", saved, want)
	}
	for _, interval := range []time.Duration{5 * time.Second, 30 * time.Second, 5 * time.Minute} {
		f(0.5, experiment.VerdictMet, interval)
		f(0.9999, experiment.VerdictMet, interval)
		f(0.25, experiment.VerdictMet, interval)
		f(0.1, experiment.VerdictRefuted, interval)
		f(0, experiment.VerdictRefuted, interval)
		f(-0.5, experiment.VerdictRefuted, interval)
	}
}

func TestEqualArmsAreNeverBreached(t *testing.T) {
	j := New(mirrorSpec())
	for seq := uint64(1); seq <= 3000; seq++ {
		for _, v := range j.Look(look(seq, counts(1000), counts(1000))).Guardrails {
			require.NotEqual(t, experiment.VerdictBreached, v.Verdict, "%s at look %d", v.Name, seq)
		}
	}
}

func TestGuardrailsOfAMirror(t *testing.T) {
	f := func(m experiment.Measure, g experiment.Guardrail, want experiment.Verdict, worse func(c *Counts)) {
		t.Helper()
		rng := rand.New(rand.NewPCG(1, 1))
		spec := mirrorSpec()
		g.Measure, g.Critical = m, true
		spec.Guardrails = []experiment.Guardrail{g}
		require.NoError(t, spec.Validate())
		j := New(spec)
		var v experiment.GuardrailVerdict
		for seq := uint64(1); seq <= 60; seq++ {
			b, c := counts(1000), counts(1000)
			for _, arm := range []*Counts{b, c} {
				arm.CostMicros *= 1 + 0.001*rng.NormFloat64()
				arm.MemoryBytes *= 1 + 0.001*rng.NormFloat64()
				arm.Latency += time.Duration(1000 * rng.NormFloat64())
			}
			worse(c)
			v = railOf(t, j.Look(look(seq, b, c)), m)
		}
		assert.Equal(t, want, v.Verdict, "%s: %+v", m, v)
		if want == experiment.VerdictBreached {
			assert.GreaterOrEqual(t, v.Evidence, v.Limit)
		} else {
			assert.Less(t, v.Evidence, v.Limit)
		}
	}
	plain := experiment.Guardrail{}
	more, less := 0.2, -0.2
	memory := func(by float64) func(*Counts) { return func(c *Counts) { c.MemoryBytes *= 1 + by } }
	f(experiment.MeasureMemory, plain, experiment.VerdictOK, memory(0))
	f(experiment.MeasureMemory, plain, experiment.VerdictBreached, memory(more))
	f(experiment.MeasureMemory, plain, experiment.VerdictOK, memory(less))
	f(experiment.MeasureMemory, experiment.Guardrail{Direction: experiment.DirectionDecrease}, experiment.VerdictBreached, memory(less))
	f(experiment.MeasureMemory, experiment.Guardrail{Direction: experiment.DirectionDecrease}, experiment.VerdictOK, memory(more))
	f(experiment.MeasureMemory, experiment.Guardrail{Direction: experiment.DirectionEither}, experiment.VerdictBreached, memory(less))
	f(experiment.MeasureMemory, experiment.Guardrail{Direction: experiment.DirectionEither}, experiment.VerdictBreached, memory(more))
	f(experiment.MeasureMemory, experiment.Guardrail{Direction: experiment.DirectionEither}, experiment.VerdictOK, memory(0))
	f(experiment.MeasureMemory, experiment.Guardrail{AllowedChange: &more}, experiment.VerdictOK, memory(0.1))
	f(experiment.MeasureLatency, plain, experiment.VerdictBreached, func(c *Counts) { c.Latency *= 2 })
	f(experiment.MeasureLatency, plain, experiment.VerdictOK, func(*Counts) {})
	f(experiment.MeasureCost, plain, experiment.VerdictBreached, func(c *Counts) { c.CostMicros *= 1.05 })
	f(experiment.MeasureCost, plain, experiment.VerdictOK, func(c *Counts) { c.CostMicros *= 0.9 })
	f(experiment.MeasureErrors, plain, experiment.VerdictBreached, func(c *Counts) { c.FailedBatches, c.Failed = 1, 5 })
	f(experiment.MeasureErrors, plain, experiment.VerdictOK, func(*Counts) {})
	f(experiment.MeasureErrors, plain, experiment.VerdictBreached, func(c *Counts) { c.FailedBatches, c.Refused = 1, 5 })
	f(experiment.MeasureRefused, plain, experiment.VerdictBreached, func(c *Counts) { c.Refused = 5 })
	f(experiment.MeasureRefused, plain, experiment.VerdictOK, func(c *Counts) { c.FailedBatches, c.Failed = 1, 5 })
}

func TestAnOutageOfBothArmsIsNoBreach(t *testing.T) {
	j := New(mirrorSpec())
	rng := rand.New(rand.NewPCG(2, 2))
	for seq := uint64(1); seq <= 500; seq++ {
		b, c := counts(1000), counts(1000)
		for _, arm := range []*Counts{b, c} {
			arm.FailedBatches = float64(10 + rng.IntN(20))
			arm.Failed, arm.Refused = 10*arm.FailedBatches, 5*arm.FailedBatches
		}
		e := j.Look(look(seq, b, c))
		require.NotEqual(t, experiment.VerdictBreached, railOf(t, e, experiment.MeasureErrors).Verdict)
		require.NotEqual(t, experiment.VerdictBreached, railOf(t, e, experiment.MeasureRefused).Verdict)
	}
}

// The arms of a mirror do not begin together, nor send in the same look.
func TestTheBeginIsLeftOut(t *testing.T) {
	j := New(mirrorSpec(experiment.Criterion{Measure: experiment.MeasureSeries, AtLeast: 0.2}, experiment.Criterion{Measure: experiment.MeasurePoints, AtLeast: 0.2}))
	for seq := uint64(1); seq <= 60; seq++ {
		c := counts(1000)
		switch {
		case seq < 10:
			c.Series, c.Points = 0, 0
		case seq%3 != 0:
			c.Points = 0 // it sends every third look
		default:
			c.Points *= 3
		}
		for _, v := range j.Look(look(seq, counts(1000), c)).Criteria {
			require.NotEqual(t, experiment.VerdictMet, v.Verdict, "%s at look %d", v.Measure, seq)
			if seq == 60 {
				assert.InDelta(t, 0, float64(v.Saving.Value), 0.15, v.Measure)
			}
		}
	}
}

func TestWhatSketchesErrByIsNeverDecided(t *testing.T) {
	j := New(mirrorSpec(experiment.Criterion{Measure: experiment.MeasureSeries, AtLeast: 0.2}))
	for seq := uint64(1); seq <= 500; seq++ {
		b, c := counts(100_000), counts(101_000) // one per cent dearer, says a sketch that errs by as much
		b.SeriesError, c.SeriesError = 0.008, 0.008
		e := j.Look(look(seq, b, c))
		require.NotEqual(t, experiment.VerdictBreached, railOf(t, e, experiment.MeasureCost).Verdict)
	}
	e := j.Look(look(501, counts(100_000), counts(101_000)))
	assert.Equal(t, experiment.VerdictBreached, railOf(t, e, experiment.MeasureCost).Verdict, "exact counts would be certain")
}

func TestNoData(t *testing.T) {
	j := New(mirrorSpec())
	for _, e := range []Evidence{
		j.Look(Look{Seq: 1, Epoch: 1}), j.Look(look(2, counts(1), nil)), j.Look(look(3, nil, counts(1))), j.Look(look(4, &Counts{}, &Counts{})),
	} {
		require.Len(t, e.Guardrails, 5)
		for _, v := range e.Guardrails {
			assert.Equal(t, experiment.VerdictNoData, v.Verdict, v.Name)
		}
		assert.Equal(t, experiment.VerdictNoData, e.Criteria[0].Verdict)
	}
	nan := counts(math.NaN())
	nan.Latency, nan.MemoryBytes, nan.Batches, nan.FailedBatches = -5, math.Inf(1), math.NaN(), math.Inf(-1)
	for seq := uint64(5); seq < 50; seq++ {
		for _, v := range j.Look(look(seq, nan, counts(1))).Guardrails {
			assert.Equal(t, experiment.VerdictNoData, v.Verdict, v.Name)
		}
	}
}

// A guardrail that has data again goes on where it was; a breach stays while there
// are none.
func TestABreachStaysWithoutData(t *testing.T) {
	j := New(mirrorSpec())
	for seq := uint64(1); seq <= 20; seq++ {
		j.Look(look(seq, counts(1000), counts(1200)))
	}
	assert.Equal(t, experiment.VerdictBreached, railOf(t, j.Look(look(21, nil, nil)), experiment.MeasureCost).Verdict)
	assert.Equal(t, experiment.VerdictNoData, railOf(t, j.Look(look(22, nil, nil)), experiment.MeasureMemory).Verdict)
}

func TestALateLookChangesNothing(t *testing.T) {
	j := New(mirrorSpec())
	var last Evidence
	for seq := uint64(1); seq <= 20; seq++ {
		last = j.Look(look(seq, counts(1000), counts(500)))
	}
	before, err := j.Encode()
	require.NoError(t, err)
	for _, seq := range []uint64{20, 3, 0} {
		l := look(seq, counts(1), counts(1000))
		l.Epoch = 7
		assert.Equal(t, last, j.Look(l))
	}
	after, err := j.Encode()
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// Swapping the arms turns savings into losses of the same size.
func TestSwapOfTheArms(t *testing.T) {
	spec := mirrorSpec()
	for _, g := range []experiment.Measure{experiment.MeasureCost, experiment.MeasureMemory} {
		spec.Guardrails = append(spec.Guardrails, experiment.Guardrail{Measure: g, Direction: experiment.DirectionEither})
	}
	j, swapped := New(spec), New(spec)
	rng := rand.New(rand.NewPCG(3, 3))
	noisy := func(by float64) *Counts {
		c := counts(1000 * by * (1 + 0.01*rng.NormFloat64()))
		c.MemoryBytes *= 1 + 0.02*rng.NormFloat64()
		return c
	}
	for seq := uint64(1); seq <= 200; seq++ {
		b, c := noisy(1), noisy(0.97)
		x, y := j.Look(look(seq, b, c)), swapped.Look(look(seq, c, b))
		for _, m := range []experiment.Measure{experiment.MeasureMemory, experiment.MeasureCost} {
			v, w := railOf(t, x, m), railOf(t, y, m)
			ratio := (1 + float64(v.Change.Value)) * (1 + float64(w.Change.Value))
			require.InDelta(t, 1, ratio, 1e-6, "%s at look %d", m, seq)
			if m == experiment.MeasureCost { // which allows nothing on either side
				require.Equal(t, v.Verdict, w.Verdict)
				require.InEpsilon(t, float64(v.Evidence), float64(w.Evidence), 1e-6)
			}
		}
	}
}

// The larger the saving, the sooner it is proven, and no later look needs more.
func TestALargerSavingIsMetNoLater(t *testing.T) {
	soonest := uint64(math.MaxUint64)
	for _, saved := range []float64{0.22, 0.25, 0.3, 0.4, 0.6} {
		j := New(mirrorSpec())
		rng := rand.New(rand.NewPCG(4, 4))
		met := uint64(0)
		for seq := uint64(1); seq <= 3000 && met == 0; seq++ {
			v := j.Look(look(seq, counts(1000*(1+0.01*rng.NormFloat64())), counts(1000*(1-saved)*(1+0.01*rng.NormFloat64())))).Criteria[0]
			if v.Verdict == experiment.VerdictMet {
				met = seq
			}
		}
		require.NotZero(t, met, "%v", saved)
		assert.LessOrEqual(t, met, soonest)
		soonest = met
	}
}

// A pause keeps what was found, and links nothing over it.
func TestPause(t *testing.T) {
	j := New(mirrorSpec())
	for seq := uint64(1); seq <= 20; seq++ {
		j.Look(look(seq, counts(1000), counts(500)))
	}
	n := j.tracks[0].Mean.Count
	for seq := uint64(21); seq <= 23; seq++ {
		l := look(seq, counts(1000), counts(500))
		l.Epoch = 2
		e := j.Look(l)
		assert.Equal(t, experiment.VerdictMet, e.Criteria[0].Verdict)
		assert.Equal(t, n+max(seq, 20+settling)-20-settling, j.tracks[0].Mean.Count, "the first looks after a pause are left out")
	}
}

// fleet makes the looks of a split.
type fleet struct {
	rng    *rand.Rand
	hashes []uint64
	levels []float64
	saved  float64
}

func newFleet(units int, saved float64) *fleet {
	f := &fleet{rng: rand.New(rand.NewPCG(5, uint64(units))), saved: saved}
	for range units {
		f.hashes = append(f.hashes, f.rng.Uint64())
		f.levels = append(f.levels, 20*math.Pow(1-f.rng.Float64(), -1/1.2))
	}
	return f
}

func (f *fleet) look(seq uint64, step, weight int) Look {
	l := Look{Seq: seq, Epoch: 1, Step: step, Weight: weight, Elapsed: 30 * time.Second}
	arms := [2]*Counts{counts(0), counts(0)}
	for i, hash := range f.hashes {
		series := f.levels[i] * math.Exp(0.05*f.rng.NormFloat64())
		side := 0
		if routing.Candidate(hash, weight) {
			side = 1
			series *= 1 - f.saved
		}
		l.RouterUnits[side]++
		arms[side].Series += series
		l.Units = append(l.Units, UnitLook{Unit: hash, Candidate: side == 1, Series: series, Points: 4 * series, Bytes: 400 * series})
	}
	for i, c := range arms {
		if l.RouterUnits[i] > 0 {
			c.Points = 4 * c.Series
			*[2]**Counts{&l.Baseline, &l.Candidate}[i] = c
		}
	}
	return l
}

// run takes as many looks at each weight.
func (f *fleet) run(j *Judge, looks int, weights ...int) (e Evidence, seq uint64) {
	for step, weight := range weights {
		for range looks {
			seq++
			e = j.Look(f.look(seq, step, weight))
		}
	}
	return e, seq
}

func TestSplitFindsTheSaving(t *testing.T) {
	for _, units := range []int{100, 500} {
		f, j := newFleet(units, 0.5), New(splitSpec(10, 50))
		e, _ := f.run(j, 20, 10, 50)
		v := e.Criteria[0]
		assert.Equal(t, experiment.VerdictMet, v.Verdict, "%d units: %+v", units, v)
		assert.InDelta(t, 0.5, float64(v.Saving.Value), 0.03)
		assert.LessOrEqual(t, v.Saving.Lower, v.Saving.Value)
		assert.GreaterOrEqual(t, v.Saving.Upper, v.Saving.Value)
		assert.Equal(t, experiment.VerdictOK, railOf(t, e, experiment.MeasureCost).Verdict)
		assert.Equal(t, experiment.VerdictOK, e.SampleRatio.Verdict)
	}
}

func TestSplitFindsWhatIsDearer(t *testing.T) {
	f, j := newFleet(300, -0.2), New(splitSpec(10, 50))
	e, _ := f.run(j, 20, 10, 50)
	v := railOf(t, e, experiment.MeasureCost)
	assert.Equal(t, experiment.VerdictBreached, v.Verdict)
	assert.InDelta(t, 0.2, float64(v.Change.Value), 0.05)
	assert.Equal(t, experiment.VerdictRefuted, e.Criteria[0].Verdict)
}

func TestFewUnitsAreUndecided(t *testing.T) {
	f, j := newFleet(40, 0.9), New(splitSpec(10, 50))
	e, _ := f.run(j, 200, 10, 50)
	assert.Equal(t, experiment.VerdictUndecided, e.Criteria[0].Verdict)
	assert.Regexp(t, `^\d+ and \d+ units are compared, at least 30 of each arm are needed$`, e.Criteria[0].Note)
	assert.Equal(t, experiment.VerdictUndecided, railOf(t, e, experiment.MeasureCost).Verdict)
	assert.Equal(t, experiment.VerdictUndecided, e.SampleRatio.Verdict)
}

// At 100 % there is nothing to compare with; what was found stays.
func TestSplitAtFullWeight(t *testing.T) {
	f, j := newFleet(300, 0.5), New(splitSpec(10, 50, 100))
	e, _ := f.run(j, 20, 10, 50, 100)
	assert.Equal(t, experiment.VerdictMet, e.Criteria[0].Verdict)
	assert.Nil(t, e.SampleRatio)
	for _, v := range e.Guardrails {
		assert.NotEqual(t, experiment.VerdictNoData, v.Verdict, v.Name)
		assert.NotEqual(t, experiment.VerdictBreached, v.Verdict, v.Name)
	}
}

// Without a pre-period units are compared by their levels: a large effect is seen.
func TestSplitOfOneStep(t *testing.T) {
	f, j := newFleet(400, 0.7), New(splitSpec(50))
	e, _ := f.run(j, 20, 50)
	assert.Equal(t, experiment.VerdictMet, e.Criteria[0].Verdict, "%+v", e.Criteria[0])
}

// An arm that sends a unit's points every third look has not a third of its series.
func TestSlowArmOfASplit(t *testing.T) {
	f, j := newFleet(300, 0), New(splitSpec(10, 50))
	seq := uint64(0)
	for step, weight := range []int{10, 50} {
		for range 40 {
			seq++
			l := f.look(seq, step, weight)
			sent := l.Units[:0]
			for _, u := range l.Units {
				if u.Points *= 3; !u.Candidate {
					u.Points /= 3
				} else if seq%3 != 0 {
					continue
				}
				sent = append(sent, u)
			}
			l.Units = sent
			e := j.Look(l)
			require.NotEqual(t, experiment.VerdictMet, e.Criteria[0].Verdict)
			if seq == 80 {
				assert.InDelta(t, 0, float64(e.Criteria[0].Saving.Value), 0.05)
			}
		}
	}
}

func TestWrongAssignment(t *testing.T) {
	f, j := newFleet(300, 0.3), New(splitSpec(10, 50))
	_, seq := f.run(j, 20, 10)
	var e Evidence
	for range 10 {
		seq++
		l := f.look(seq, 1, 50)
		l.RouterUnits = [2]uint64{220, 80}
		e = j.Look(l)
	}
	assert.Equal(t, experiment.VerdictBreached, e.SampleRatio.Verdict)
	assert.Less(t, float64(e.SampleRatio.PValue), RatioAlpha)
	assert.Equal(t, [2]uint64{220, 80}, [2]uint64{e.SampleRatio.Baseline, e.SampleRatio.Candidate})
	assert.Equal(t, experiment.VerdictUndecided, e.Criteria[0].Verdict, "arms that are not as they should be are not compared")
}

// One arm has the one unit that is larger than all others: its batches are larger
// and take longer, its memory is more.
func TestALargeUnitIsNoSlowArm(t *testing.T) {
	j := New(splitSpec(10, 50))
	var e Evidence
	for seq := uint64(1); seq <= 300; seq++ {
		b, c := counts(10), counts(10)
		c.Given *= 50
		c.Latency, c.MemoryBytes = 40*time.Millisecond, 45e6
		e = j.Look(Look{Seq: seq, Epoch: 1, Weight: 10, Baseline: b, Candidate: c})
	}
	assert.Equal(t, experiment.VerdictOK, railOf(t, e, experiment.MeasureLatency).Verdict)
	assert.Equal(t, experiment.VerdictOK, railOf(t, e, experiment.MeasureMemory).Verdict)
	for seq := uint64(301); seq <= 700; seq++ {
		b, c := counts(10), counts(10)
		c.Latency, c.MemoryBytes = 2*time.Millisecond, 2e6
		e = j.Look(Look{Seq: seq, Epoch: 1, Step: 1, Weight: 50, Baseline: b, Candidate: c})
	}
	assert.Equal(t, experiment.VerdictBreached, railOf(t, e, experiment.MeasureLatency).Verdict)
	assert.Equal(t, experiment.VerdictBreached, railOf(t, e, experiment.MeasureMemory).Verdict)
	unknown := New(splitSpec(10, 50))
	for seq := uint64(1); seq <= 20; seq++ {
		b, c := counts(10), counts(10)
		b.Given, c.Given = 0, 0
		e = unknown.Look(Look{Seq: seq, Epoch: 1, Weight: 10, Baseline: b, Candidate: c})
	}
	assert.Equal(t, "not compared: the points that the arms were given are not known", railOf(t, e, experiment.MeasureLatency).Note)
}

// The candidate has a tenth of the batches: a tenth of the failures is fair.
func TestFailuresOfASplit(t *testing.T) {
	f := func(candidate float64, want experiment.Verdict) {
		t.Helper()
		j, rng := New(splitSpec(10, 50)), rand.New(rand.NewPCG(6, 6))
		draw := func(n, rate float64) (failed float64) {
			for range int(n) {
				if rng.Float64() < rate {
					failed++
				}
			}
			return failed
		}
		var v experiment.GuardrailVerdict
		for seq := uint64(1); seq <= 200 && v.Verdict != experiment.VerdictBreached; seq++ {
			b, c := counts(10), counts(10)
			b.Batches, c.Batches, b.Given, c.Given = 90, 10, 9000, 1000
			b.FailedBatches, c.FailedBatches = draw(90, 0.01), draw(10, candidate)
			b.Failed, c.Failed = b.FailedBatches, c.FailedBatches
			v = railOf(t, j.Look(Look{Seq: seq, Epoch: 1, Weight: 10, Baseline: b, Candidate: c}), experiment.MeasureErrors)
		}
		assert.Equal(t, want, v.Verdict, "%+v", v)
	}
	f(0.01, experiment.VerdictUndecided)
	f(0, experiment.VerdictUndecided)
	f(0.1, experiment.VerdictBreached)
}

func TestUnitsAreBounded(t *testing.T) {
	f, j := newFleet(6000, 0.5), New(splitSpec(10, 50))
	e, _ := f.run(j, 8, 10, 50)
	assert.Len(t, j.units, maxUnits)
	assert.Equal(t, experiment.VerdictMet, e.Criteria[0].Verdict)
	data, err := j.Encode()
	require.NoError(t, err)
	assert.Less(t, len(data), 8<<10+48*maxUnits)
	assert.LessOrEqual(t, unitSize, 48)
}

func BenchmarkLook(b *testing.B) {
	for _, spec := range []experiment.Spec{mirrorSpec(), splitSpec(10, 50)} {
		b.Run(fmt.Sprintf("%s of 10000", spec.Mode), func(b *testing.B) {
			const many = 10_000
			f := newFleet(100, 0.1)
			judges := make([]*Judge, many)
			for i := range judges {
				judges[i] = New(spec)
			}
			seq := uint64(0)
			for b.Loop() {
				seq++
				l := f.look(seq, 0, 10)
				if spec.Mode == experiment.ModeMirror {
					l.Units = nil
				}
				for _, j := range judges {
					j.Look(l)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/round")
		})
	}
}
