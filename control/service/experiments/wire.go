package experiments

import (
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/service"
)

// wire is an experiment as the API shows it.
func (s *Service) wire(p present) *phoenixv1.Experiment {
	return &phoenixv1.Experiment{
		Namespace: p.Namespace, Name: p.Name, Spec: wireSpec(p.Spec), Status: p.status(s.core.Now()),
		Etag: service.ETag(p.Revision), SpecSha256: p.hash(),
		CreatedAt: timestamp(p.CreatedAt), CreatedBy: p.CreatedBy, UpdatedAt: timestamp(p.UpdatedAt), UpdatedBy: p.UpdatedBy,
	}
}

// brief is wire without the texts of documents, which can be long.
func (s *Service) brief(p present) *phoenixv1.Experiment {
	w := s.wire(p)
	for _, list := range [][]*phoenixv1.ExperimentDocument{w.GetSpec().GetFidelity().GetRuleFiles(), w.GetSpec().GetFidelity().GetDashboards()} {
		for _, d := range list {
			d.Text = ""
		}
	}
	return w
}

// wireSpec reads a stored specification, whose JSON is that of the API with the
// id, which is no field there.
func wireSpec(text []byte) *phoenixv1.ExperimentSpec {
	spec := &phoenixv1.ExperimentSpec{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, spec); err != nil {
		return nil
	}
	return spec
}

func (p *present) status(now time.Time) *phoenixv1.ExperimentStatus {
	r := experiment.NewReport(p.spec, p.state, now)
	st := &phoenixv1.ExperimentStatus{
		Phase: string(r.Phase), Since: timestamp(r.Since), Reasons: wireReasons(r.Reasons), Blockers: wireReasons(r.Blockers),
		BaselineWeight: percent(r.Weights.Baseline), CandidateWeight: percent(r.Weights.Candidate), Mirror: r.Mirror,
		StartedAt: timestamp(r.StartedAt), EndedAt: timestamp(r.EndedAt),
		Ran: r.Ran.String(), Unbroken: r.Unbroken.String(), MinimumRun: r.MinimumRun.String(),
		Looks: float64(r.History.Total), Verdict: r.Verdict, PromotedPolicy: p.PromotedPolicy, Warnings: p.warnings,
	}
	if p.spec.Fidelity != nil {
		st.Queries = r.Queries
	}
	return st
}

func wireReasons(list []experiment.Reason) []*phoenixv1.ExperimentReason {
	var out []*phoenixv1.ExperimentReason
	for _, r := range list {
		out = append(out, &phoenixv1.ExperimentReason{Code: string(r.Code), Subject: r.Subject, Text: r.Text})
	}
	return out
}

// percent is a weight, which is 0 to 100 in every state that can be read.
func percent(weight int) uint32 { return uint32(max(0, min(weight, 100))) }

// timestamp is nil for none.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
