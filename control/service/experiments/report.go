package experiments

import (
	"context"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/service"
)

// GetExperimentReport returns the evidence.
func (s *Service) GetExperimentReport(ctx context.Context, req *phoenixv1.GetExperimentReportRequest) (*phoenixv1.ExperimentReport, error) {
	e, err := s.seen(ctx, keyOf(req.GetNamespace(), req.GetName()))
	if err != nil {
		return nil, err
	}
	p := s.present(e)
	report := experiment.NewReport(p.spec, p.state, s.core.Now())
	report.SpecHash = p.hash()
	text, err := report.JSON()
	if err != nil {
		return nil, service.Fault(err)
	}
	answer := &phoenixv1.ExperimentReport{
		Namespace: e.Namespace, Name: e.Name, SpecSha256: report.SpecHash, Report: &structpb.Struct{}, Markdown: report.Markdown(),
	}
	if err := protojson.Unmarshal(text, answer.GetReport()); err != nil {
		return nil, service.Fault(err)
	}
	return answer, nil
}

// The phases of an analysis, as Argo Rollouts calls them.
const (
	analysisRunning      = "Running"
	analysisSuccessful   = "Successful"
	analysisFailed       = "Failed"
	analysisInconclusive = "Inconclusive"
)

// GetExperimentAnalysis returns the verdict for controllers that poll.
func (s *Service) GetExperimentAnalysis(ctx context.Context, req *phoenixv1.GetExperimentAnalysisRequest) (*phoenixv1.ExperimentAnalysis, error) {
	e, err := s.seen(ctx, keyOf(req.GetNamespace(), req.GetName()))
	if err != nil {
		return nil, err
	}
	p := s.present(e)
	report := experiment.NewReport(p.spec, p.state, s.core.Now())
	answer := &phoenixv1.ExperimentAnalysis{
		Phase: analysisRunning, Value: 0.5, Ok: !slices.ContainsFunc(report.Blockers, breach),
		ExperimentPhase: string(report.Phase), Message: report.Verdict, Saving: savings(report),
	}
	switch report.Phase {
	case experiment.PhasePromoted:
		answer.Phase, answer.Value, answer.Ok = analysisSuccessful, 1, true
	case experiment.PhaseRolledBack, experiment.PhaseFailed:
		answer.Phase, answer.Value, answer.Ok = analysisFailed, 0, false
	case experiment.PhaseInconclusive:
		answer.Phase, answer.Ok = analysisInconclusive, false
	case experiment.PhaseDraft, experiment.PhaseScheduled, experiment.PhaseRunning, experiment.PhasePaused:
	}
	return answer, nil
}

// breach says whether a reason is one, and not that something is still missing.
func breach(r experiment.Reason) bool {
	return r.Code == experiment.ReasonGuardrail || r.Code == experiment.ReasonFidelity
}

// savings are the estimates of the newest look, as far as there are any.
func savings(r experiment.Report) map[string]float64 {
	if len(r.History.Looks) == 0 {
		return nil
	}
	list := map[string]float64{}
	for _, c := range r.History.Looks[len(r.History.Looks)-1].Criteria {
		if v := float64(c.Value); !math.IsNaN(v) && !math.IsInf(v, 0) {
			list[c.Name] = v
		}
	}
	return list
}
