package experiment

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drawSpec(t *rapid.T) Spec {
	s := mirrorSpec()
	if rapid.Bool().Draw(t, "split") {
		s = splitSpec()
		s.Steps = []WeightStep{{5, Duration(20 * time.Second)}, {rapid.IntRange(6, 100).Draw(t, "last"), Duration(40 * time.Second)}}
	} else if rapid.Bool().Draw(t, "fidelity") {
		s.Fidelity = &Fidelity{RuleFiles: []Document{{"a", "b"}}, CriticalAlerts: []string{"Down"}, LongestFor: Duration(rapid.IntRange(0, 90).Draw(t, "for")) * Duration(time.Second)}
	}
	s.Interval = Duration(10 * time.Second)
	s.MinDuration = Duration(rapid.IntRange(0, 60).Draw(t, "min")) * Duration(time.Second)
	s.MaxDuration = Duration(rapid.IntRange(90, 300).Draw(t, "max")) * Duration(time.Second)
	s.MaxPause = Duration(rapid.IntRange(10, 300).Draw(t, "pause")) * Duration(time.Second)
	s.Guardrails = []Guardrail{
		{Measure: MeasureLatency, MustHaveData: true, Critical: rapid.Bool().Draw(t, "critical")},
		{Name: "q", Query: "up", FailureLimit: rapid.IntRange(0, 2).Draw(t, "limit"), Critical: true},
		{Measure: MeasureMemory, DryRun: true},
	}
	s.Approval = Approval{Start: rapid.Bool().Draw(t, "approve start"), Promote: rapid.Bool().Draw(t, "approve")}
	if rapid.Bool().Draw(t, "scheduled") {
		s.Schedule = Schedule{NotBefore: began.Add(30 * time.Second), NotAfter: began.Add(10 * time.Minute)}
	}
	require.NoError(t, s.Validate())
	return s
}

// likely draws the first choice but once in thirty times, so that lives are long.
func likely[T any](t *rapid.T, label string, first T, others ...T) T {
	// Mixed, because small numbers are drawn more often than others.
	i := rapid.Uint64().Draw(t, label) * 0x9E3779B97F4A7C15 >> 32 % uint64(30*len(others))
	if i >= uint64(29*len(others)) {
		return others[i-uint64(29*len(others))]
	}
	return first
}

func drawObservation(t *rapid.T, s Spec, state State, now time.Time) Observation {
	o := Observation{SpecHash: likely(t, "hash", s.Hash(), "other", ""), At: now}
	o.Seq = likely(t, "seq", state.LastSeq+1, state.LastSeq, 0, 1)
	o.Baseline, o.Candidate = &Arm{Series: 10}, likely(t, "candidate", &Arm{Series: 5}, nil)
	verdict := func(label string) Verdict {
		return likely(t, label, VerdictOK, VerdictBreached, VerdictNoData, VerdictUndecided, "?")
	}
	for _, name := range []string{"latency", "memory", "cost", "q", "nobody's"} {
		if name != "q" || rapid.Bool().Draw(t, "judged") {
			o.Guardrails = append(o.Guardrails, GuardrailVerdict{Name: name, Verdict: verdict(name), Change: Estimate{Value: Number(likely(t, "change", 0, math.NaN(), math.Inf(1)))}})
		}
	}
	o.Answers = []Answer{{Guardrail: "q", Baseline: 1, Candidate: Number(likely(t, "answer", 1, 2, math.NaN()))}}
	o.Criteria = []CriterionVerdict{{Measure: MeasureSeries, Verdict: likely(t, "criterion", VerdictMet, VerdictUndecided, VerdictRefuted, VerdictNoData)}}
	o.SampleRatio = &SampleRatio{Verdict: likely(t, "ratio", VerdictOK, VerdictUndecided, VerdictBreached)}
	o.Fidelity = &FidelityVerdict{
		Alerts:       likely(t, "alerts", Tally{Total: 10, Identical: 10}, Tally{Total: 10, Identical: 5}, Tally{Total: 10, Identical: 9, Differs: 1}),
		Critical:     []AlertVerdict{{"Down", likely(t, "alert", QueryIdentical, QueryNoData, QueryNotJudged, QueryDiffers)}},
		LongestRange: likely(t, "range", 0, Duration(2*time.Minute)),
	}
	o.Router = RouterReport{Breach: likely(t, "breach", "", "exports fail"), Lease: likely(t, "lease", LeaseHeld, LeaseExpired, ""), Epoch: likely(t, "epoch", state.Lease.Epoch, 0, 1)}
	o.Failure = likely(t, "failure", "", "no router")
	return o
}

// breach says, apart from the code under test, whether an observation must end
// the experiment.
func breach(s Spec, state State, o Observation) bool {
	if o.Router.Breach != "" {
		return true
	}
	if o.SpecHash != state.SpecHash || o.Seq == 0 {
		return false
	}
	for _, v := range o.Guardrails {
		if v.Verdict == VerdictBreached && (v.Name == "cost" || v.Name == "q" || v.Name == "latency" && s.Guardrails[0].Critical) {
			return true
		}
	}
	return s.Fidelity != nil && (o.Fidelity.Alerts.Differs > 0 || o.Fidelity.Critical[0].Verdict == QueryDiffers)
}

func text(t require.TestingT, v any) string {
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}

// life is one experiment under random stimuli, and what is known of it apart
// from its state.
type life struct {
	t        *rapid.T
	spec     Spec
	state    State
	now      time.Time
	diagram  map[transition]bool
	last     time.Time // when the last call was
	unbroken time.Duration
}

func (l *life) took(next State, actions []Action, events []Event, command bool) {
	t, before := l.t, l.state
	require.Equal(t, 100, next.Weights.Baseline+next.Weights.Candidate, "weights sum to 100")
	require.GreaterOrEqual(t, next.MinimumRun, before.MinimumRun, "the minimum run never shrinks")
	if next.Phase != PhaseRunning {
		require.Equal(t, weights(0), next.Weights)
		require.False(t, next.Mirror)
	}
	if before.Phase.Final() {
		require.Equal(t, text(t, before), text(t, next), "nothing leaves a final phase")
		require.Empty(t, actions)
		require.Empty(t, events)
	}
	if before.Phase != next.Phase {
		e := events[len(events)-1]
		require.Equal(t, []Phase{before.Phase, next.Phase}, []Phase{e.From, e.To})
		require.Contains(t, l.diagram, transition{before.Phase, next.Phase, next.Reasons[0].Code})
		require.Equal(t, ActionAnnounce, actions[len(actions)-1].Kind)
	} else if !command && before.Phase == PhaseRunning {
		require.LessOrEqual(t, next.Step, before.Step+1)
	}
	if next.Weights != before.Weights || next.Mirror != before.Mirror {
		set := Action{Kind: ActionSetWeights, Weights: next.Weights, Mirror: next.Mirror}
		require.Contains(t, actions, set)
	}
	if next.Phase == PhasePromoted && before.Phase != PhasePromoted {
		require.GreaterOrEqual(t, l.unbroken, next.MinimumRun.Std(), "the minimum run is not shortened")
		require.GreaterOrEqual(t, next.MinimumRun, l.spec.MinimumRun())
	}
	l.abortable(next)
	stored, err := EncodeState(next)
	require.NoError(t, err)
	read, err := DecodeState(stored)
	require.NoError(t, err)
	require.Equal(t, text(t, next), text(t, read))
	l.state = next
	if rapid.IntRange(0, 4).Draw(t, "restart") == 0 {
		l.state = read
		l.reconciles()
	}
}

// abortable demands that an abort ends any state that is not final.
func (l *life) abortable(s State) {
	next, actions, _, err := Apply(l.spec, s, Command{Kind: CommandAbort}, l.now)
	if s.Phase.Final() {
		require.Error(l.t, err)
		return
	}
	require.NoError(l.t, err)
	require.Equal(l.t, PhaseRolledBack, next.Phase)
	require.Equal(l.t, weights(0), next.Weights)
	if s.Phase.Holds() {
		require.Equal(l.t, Action{Kind: ActionSetWeights, Weights: weights(0)}, actions[0], "weight goes first")
	}
}

func (l *life) reconciles() {
	actions := Reconcile(l.spec, l.state)
	if l.state.StartedAt.IsZero() {
		require.Empty(l.t, actions)
		return
	}
	require.Contains(l.t, actions, Action{Kind: ActionSetWeights, Weights: l.state.Weights, Mirror: l.state.Mirror})
	promoted := slices.ContainsFunc(actions, func(a Action) bool { return a.Kind == ActionPromoteRules })
	require.Equal(l.t, l.state.Phase == PhasePromoted, promoted)
	applied := slices.ContainsFunc(actions, func(a Action) bool { return a.Kind == ActionApplyCandidate })
	require.Equal(l.t, l.state.Phase.Holds(), applied)
}

func (l *life) step(o Observation) {
	before := text(l.t, l.state)
	given := text(l.t, o)
	running := l.state.Phase == PhaseRunning
	if running && l.now.After(l.last) {
		l.unbroken += min(l.now.Sub(l.last), 20*time.Second)
	}
	l.last = l.now
	next, actions, events := Step(l.spec, l.state, o, l.now)
	again, actions2, events2 := Step(l.spec, l.state, o, l.now)
	require.Equal(l.t, []string{text(l.t, next), text(l.t, actions), text(l.t, events)}, []string{text(l.t, again), text(l.t, actions2), text(l.t, events2)}, "same inputs, same outputs")
	require.Equal(l.t, []string{before, given}, []string{text(l.t, l.state), text(l.t, o)}, "the inputs stay as they are")
	if l.state.Phase.Holds() && breach(l.spec, l.state, o) {
		require.Equal(l.t, PhaseRolledBack, next.Phase, "a breach takes the weight away in this very step")
		require.Equal(l.t, Action{Kind: ActionSetWeights, Weights: weights(0)}, actions[0])
	}
	l.took(next, actions, events, false)
}

func (l *life) command(c Command) {
	before, phase := text(l.t, l.state), l.state.Phase
	next, actions, events, err := Apply(l.spec, l.state, c, l.now)
	require.Equal(l.t, before, text(l.t, l.state), "the inputs stay as they are")
	if err != nil {
		var refusal *Refusal
		require.ErrorAs(l.t, err, &refusal)
		require.Equal(l.t, before, text(l.t, next))
		require.Empty(l.t, actions)
		return
	}
	if next.Phase == PhaseRunning && phase != PhaseRunning {
		l.unbroken, l.last = 0, l.now
	}
	l.took(next, actions, events, true)
}

// long runs many more cases.
var long = os.Getenv("PHOENIX_LONG") != ""

func TestLives(t *testing.T) {
	diagram := documented(t)
	ends := map[Phase]int{}
	rapid.Check(t, func(t *rapid.T) {
		l := &life{t: t, spec: drawSpec(t), state: NewState(began), now: began, last: began, diagram: diagram}
		for range rapid.IntRange(5, 60).Draw(t, "calls") {
			l.now = l.now.Add(likely(t, "wait", 10*time.Second, 0, time.Second, 35*time.Second, time.Hour, -time.Hour, -time.Second))
			scheduled := l.state.Phase == PhaseScheduled
			switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
			case l.state.Phase == PhaseDraft:
				l.command(Command{Kind: likely(t, "first", CommandStart, CommandApprove, CommandAbort, CommandPause)})
			case kind == 0:
				l.command(Command{Kind: rapid.SampledFrom(CommandKinds).Draw(t, "command"), By: "ann"})
			case kind == 1 && l.state.Phase == PhasePaused:
				l.command(Command{Kind: CommandResume})
			case kind == 2:
				l.step(Observation{})
			default:
				l.step(drawObservation(t, l.spec, l.state, l.now))
			}
			if scheduled && l.state.Phase == PhaseRunning {
				l.unbroken, l.last = 0, l.now
			}
		}
		ends[l.state.Phase]++
	})
	if long {
		for _, phase := range Phases {
			require.Positive(t, ends[phase], "%s is never reached: %v", phase, ends)
		}
	}
	t.Log(ends)
}
