package experiments_test

import (
	"context"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/store"
)

func (r *rig) report(t *testing.T, name string) *phoenixv1.ExperimentReport {
	t.Helper()
	report, err := r.GetExperimentReport(as("shop-viewer"), &phoenixv1.GetExperimentReportRequest{Namespace: "shop", Name: name})
	require.NoError(t, err)
	return report
}

// The report is that of control/experiment, in both forms.
func TestTheReport(t *testing.T) {
	r := newRig(t)
	draft := r.created(t, "a")
	before := r.report(t, "a")
	assert.Equal(t, draft.GetSpecSha256(), before.GetSpecSha256(), "also before it is started")
	require.NoError(t, r.do(as("admin"), t, "start", "a"))
	r.await(t, "a", func(e *phoenixv1.Experiment) bool { return e.GetStatus().GetLooks() >= 2 })
	require.NoError(t, r.do(as("admin"), t, "abort", "a"))
	got := r.report(t, "a")
	assert.Equal(t, draft.GetSpecSha256(), got.GetSpecSha256())
	text, err := protojson.Marshal(got.GetReport())
	require.NoError(t, err)
	var report experiment.Report
	require.NoError(t, json.Unmarshal(text, &report))
	assert.Equal(t, "shop/a", report.ID)
	assert.Equal(t, experiment.PhaseRolledBack, report.Phase)
	assert.GreaterOrEqual(t, report.History.Total, uint64(2))
	require.NotNil(t, report.Baseline)
	assert.EqualValues(t, 1000, report.Baseline.Series)
	assert.EqualValues(t, 100, report.Candidate.Series)
	assert.Equal(t, report.Markdown(), got.GetMarkdown())
	assert.Contains(t, got.GetMarkdown(), "# Experiment shop/a")
}

func TestTheAnalysis(t *testing.T) {
	r := newRig(t)
	f := func(state experiment.State, want *phoenixv1.ExperimentAnalysis) {
		t.Helper()
		text, err := experiment.EncodeState(state)
		require.NoError(t, err)
		require.NoError(t, r.store.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
			_, err := tx.UpdateExperiment(ctx, store.ExperimentUpdate{ExperimentKey: key("shop", "a"), If: store.Any, State: text, Phase: string(state.Phase)},
				store.Entry{Principal: "test", Action: "set"})
			return err
		}))
		got, err := r.GetExperimentAnalysis(as("shop-viewer"), &phoenixv1.GetExperimentAnalysisRequest{Namespace: "shop", Name: "a"})
		require.NoError(t, err)
		assert.Equal(t, protojson.Format(want), protojson.Format(got))
	}
	r.created(t, "a")
	state := experiment.NewState(time.Now())
	f(state, &phoenixv1.ExperimentAnalysis{Phase: "Running", Value: 0.5, Ok: true, ExperimentPhase: "Draft", Message: "Draft"})
	state.Phase, state.StartedAt, state.Looked = experiment.PhaseRunning, time.Now(), true
	state.Reasons = []experiment.Reason{{Code: experiment.ReasonCommand, Text: "start was commanded"}}
	state.History = experiment.History{Total: 1, Stride: 1, Looks: []experiment.Look{{Criteria: []experiment.LookEstimate{
		{Name: "series", Verdict: experiment.VerdictUndecided, Estimate: experiment.Estimate{Value: 0.25}},
		{Name: "cost", Verdict: experiment.VerdictNoData, Estimate: experiment.Estimate{Value: experiment.Number(math.NaN())}},
	}}}}
	saving := map[string]float64{"series": 0.25}
	running := &phoenixv1.ExperimentAnalysis{
		Phase: "Running", Value: 0.5, Ok: true, ExperimentPhase: "Running", Message: "Running: start was commanded", Saving: saving,
	}
	f(state, running)
	// A guardrail that is not critical, and a query that differs
	for _, code := range []experiment.ReasonCode{experiment.ReasonGuardrail, experiment.ReasonFidelity} {
		state.Held = []experiment.Reason{{Code: code, Text: "no"}}
		running.Ok = false
		f(state, running)
	}
	state.Held = []experiment.Reason{{Code: experiment.ReasonCriterionUndecided, Subject: "series", Text: "not yet"}}
	running.Ok = true
	f(state, running)
	state.Held = nil
	for phase, want := range map[experiment.Phase]*phoenixv1.ExperimentAnalysis{
		experiment.PhasePromoted:     {Phase: "Successful", Value: 1, Ok: true},
		experiment.PhaseRolledBack:   {Phase: "Failed"},
		experiment.PhaseFailed:       {Phase: "Failed"},
		experiment.PhaseInconclusive: {Phase: "Inconclusive", Value: 0.5},
	} {
		state.Phase, state.EndedAt = phase, time.Now()
		want.ExperimentPhase, want.Message, want.Saving = string(phase), string(phase)+": start was commanded", saving
		f(state, want)
	}
}
