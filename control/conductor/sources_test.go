package conductor_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/conductor"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/experiment"
)

// asked are answers of a metric source that a test changes.
type asked struct {
	candidate atomic.Int64
	slow      atomic.Bool
}

func (a *asked) ask(ctx context.Context, _ string, g experiment.Guardrail, _ time.Time) experiment.Answer {
	if a.slow.Load() {
		<-ctx.Done()
		return experiment.Answer{Guardrail: g.Name, Error: ctx.Err().Error()}
	}
	return experiment.Answer{Guardrail: g.Name, Baseline: 100, Candidate: experiment.Number(a.candidate.Load())}
}

func guarded(s *experiment.Spec) {
	long(s)
	s.Guardrails = []experiment.Guardrail{{Name: "errors", Query: `sum(rate(errors_total{arm="$arm"}[1m]))`, AllowedChange: new(0.1), Critical: true}}
}

func TestGuardrailsOfTheMetricSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &asked{}
		source.candidate.Store(105)
		r := newRig(t, func(s *conductor.Settings) { s.Ask = source.ask })
		k := r.start(mirrorSpec("guarded", "cart", guarded))
		time.Sleep(2 * time.Minute)
		require.Equal(t, experiment.PhaseRunning, r.phase(k))
		v, _ := r.conductor.View(k)
		require.NotEmpty(t, v.State.History.Looks)
		assert.Equal(t, experiment.VerdictOK, v.State.History.Looks[1].Guardrails[0].Verdict)
		source.candidate.Store(150)
		took := r.reach(k, experiment.PhaseRolledBack, time.Minute)
		assert.LessOrEqual(t, took, 11*time.Second, "at the next look")
		_, s := r.stored(k)
		assert.Equal(t, "errors", s.Reasons[0].Subject)
	})
}

// A source that does not answer holds up neither lease nor breach.
func TestASourceThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &asked{}
		source.slow.Store(true)
		r := newRig(t, func(s *conductor.Settings) { s.Ask = source.ask })
		k := r.start(mirrorSpec("hangs", "cart", guarded))
		other := r.start(mirrorSpec("other", "web", long))
		time.Sleep(5 * time.Minute)
		require.Equal(t, experiment.PhaseRunning, r.phase(k))
		assert.True(t, r.open(k))
		v, _ := r.conductor.View(other)
		assert.Greater(t, v.State.History.Total, uint64(25), "others are looked at as they ought to be")
		r.world.Set(func() { r.world.Breach["shop/hangs"] = "12 of 20 batches failed" })
		assert.LessOrEqual(t, r.reach(k, experiment.PhaseRolledBack, time.Minute), time.Second)
	})
}

// verdicts are what a test says of the user's queries.
type verdicts struct {
	differs atomic.Bool
	opened  atomic.Int64
	closed  atomic.Int64
}

func (v *verdicts) open(spec experiment.Spec, baseline, candidate string) (conductor.Queries, error) {
	if spec.Fidelity == nil || baseline != "baseline" || candidate != "candidate" {
		return nil, errors.New("these are not the measuring points")
	}
	v.opened.Add(1)
	return v, nil
}

func (v *verdicts) Look(context.Context, time.Time) *experiment.FidelityVerdict {
	said := &experiment.FidelityVerdict{Alerts: experiment.Tally{Total: 2, Identical: 2}, Critical: []experiment.AlertVerdict{{Name: "Down", Verdict: experiment.QueryIdentical}}}
	if v.differs.Load() {
		said.Alerts = experiment.Tally{Total: 2, Identical: 1, Differs: 1}
		said.Differences = []experiment.Difference{{Query: "Down", Detail: "it fires on the baseline only"}}
	}
	return said
}
func (v *verdicts) MemoryBytes() int64 { return 1 << 20 }
func (v *verdicts) Close()             { v.closed.Add(1) }

func withQueries(s *experiment.Spec) {
	s.Fidelity = &experiment.Fidelity{RuleFiles: []experiment.Document{{Name: "rules.yaml", Text: "groups: []"}}, CriticalAlerts: []string{"Down"}}
}

func TestTheUsersQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		judge := &verdicts{}
		r := newRig(t, func(s *conductor.Settings) { s.Queries = judge.open })
		k := r.start(mirrorSpec("queries", "cart", withQueries, long))
		time.Sleep(time.Second)
		assert.Equal(t, int64(1), judge.opened.Load(), "the arms are kept from the beginning")
		assert.Equal(t, int64(1<<20), r.conductor.Stats().QueryBytes)
		time.Sleep(time.Minute)
		v, _ := r.conductor.View(k)
		require.NotNil(t, v.State.Fidelity)
		assert.Equal(t, uint64(2), v.State.Fidelity.Alerts.Identical)

		_, err := r.command(k, experiment.CommandPause)
		require.NoError(t, err)
		time.Sleep(time.Second)
		assert.Equal(t, int64(1), judge.closed.Load())
		_, err = r.command(k, experiment.CommandResume)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		assert.Equal(t, int64(2), judge.opened.Load(), "a range over a gap is not the query")

		judge.differs.Store(true)
		r.reach(k, experiment.PhaseRolledBack, 11*time.Second)
		_, s := r.stored(k)
		assert.Contains(t, s.Reasons[0].Text, "Down differs: it fires on the baseline only")
		time.Sleep(time.Second)
		assert.Equal(t, int64(2), judge.closed.Load())
	})
}

func TestWhatTheArmsCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prices := func(context.Context) (conductor.Prices, error) {
			list, err := cost.Presets()
			if err != nil {
				return conductor.Prices{}, err
			}
			return conductor.Prices{Model: list[0], Series: 1_000_000, SamplesPerSecond: 100_000}, nil
		}
		r := newRig(t, func(s *conductor.Settings) { s.Prices = prices })
		k := r.start(mirrorSpec("cost", "cart", long))
		time.Sleep(time.Minute)
		v, _ := r.conductor.View(k)
		require.NotNil(t, v.State.Candidate)
		assert.Positive(t, v.State.Candidate.CostMicros)
		assert.InEpsilon(t, 0.4*float64(v.State.Baseline.CostMicros), float64(v.State.Candidate.CostMicros), 0.05)
		assert.NotEmpty(t, v.State.Candidate.Currency)
	})
}
