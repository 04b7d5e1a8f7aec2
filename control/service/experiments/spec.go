package experiments

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
)

// spec reads a specification. Only what the types of the proto allow and those of
// a specification do not is a mistake here; the rest is for experiment to say.
func (m *mistakes) spec(path string, w *phoenixv1.ExperimentSpec) experiment.Spec {
	s := experiment.Spec{
		Description: w.GetDescription(), Signal: experiment.Signal(w.GetSignal()), Mode: experiment.Mode(w.GetMode()),
		Scope: w.GetScope(), Metrics: w.GetMetrics(),
		Unit: experiment.Unit{
			Kind: experiment.UnitKind(w.GetUnit().GetKind()), Attribute: w.GetUnit().GetAttribute(), WriterByArm: w.GetUnit().GetWriterByArm(),
		},
		Rules: m.rules(path+".rules", w.GetRules()),
		Schedule: experiment.Schedule{
			NotBefore: m.time(path+".schedule.not_before", w.GetSchedule().GetNotBefore()),
			NotAfter:  m.time(path+".schedule.not_after", w.GetSchedule().GetNotAfter()),
		},
		Interval: span(w.GetInterval()), MinDuration: span(w.GetMinDuration()),
		MaxDuration: span(w.GetMaxDuration()), MaxPause: span(w.GetMaxPause()),
		Fidelity: fidelityOf(w.GetFidelity()),
		Approval: experiment.Approval{Start: w.GetApproval().GetStart(), Promote: w.GetApproval().GetPromote()},
	}
	for _, step := range w.GetSteps() {
		s.Steps = append(s.Steps, experiment.WeightStep{Weight: int(step.GetWeight()), Dwell: span(step.GetDwell())})
	}
	for _, g := range w.GetGuardrails() {
		s.Guardrails = append(s.Guardrails, experiment.Guardrail{
			Name: g.GetName(), Measure: experiment.Measure(g.GetMeasure()), Query: g.GetQuery(),
			Direction: experiment.Direction(g.GetDirection()), AllowedChange: g.AllowedChange,
			Critical: g.GetCritical(), DryRun: g.GetDryRun(), MustHaveData: g.GetMustHaveData(), FailureLimit: int(g.GetFailureLimit()),
		})
	}
	for _, c := range w.GetSuccess() {
		s.Success = append(s.Success, experiment.Criterion{Measure: experiment.Measure(c.GetMeasure()), AtLeast: c.GetAtLeast()})
	}
	return s
}

// fidelityOf leaves out what the server sets.
func fidelityOf(w *phoenixv1.ExperimentFidelity) *experiment.Fidelity {
	if w == nil {
		return nil
	}
	f := &experiment.Fidelity{
		RuleFiles: documents(w.GetRuleFiles()), Dashboards: documents(w.GetDashboards()),
		MinJudged: w.MinJudged, CriticalAlerts: w.GetCriticalAlerts(), Tolerance: w.Tolerance, MeanTolerance: w.MeanTolerance,
		MaxSeries: int(w.GetMaxSeries()), MaxMemoryMiB: int(w.GetMaxMemoryMib()),
	}
	for _, q := range w.GetQueries() {
		f.Queries = append(f.Queries, experiment.Query{Name: q.GetName(), Expr: q.GetExpr()})
	}
	return f
}

func documents(list []*phoenixv1.ExperimentDocument) []experiment.Document {
	var out []experiment.Document
	for _, d := range list {
		out = append(out, experiment.Document{Name: d.GetName(), Text: d.GetText()})
	}
	return out
}

// span reads a duration; one that cannot be read becomes a value that Validate
// refuses.
func span(text string) (d experiment.Duration) {
	if text != "" {
		_ = d.UnmarshalText([]byte(text)) // it never fails
	}
	return d
}

// time is zero for none.
func (m *mistakes) time(path string, t *timestamppb.Timestamp) time.Time {
	switch {
	case t == nil:
		return time.Time{}
	case t.CheckValid() != nil:
		m.add(path, "must be a time of the years 1 to 9999")
		return time.Time{}
	}
	return t.AsTime()
}

func (m *mistakes) rules(path string, list []*phoenixv1.Rule) []policy.Rule {
	if len(list) > maxRules {
		m.add(path, "must not have more than %d entries, got %d: a promotion makes a policy of them", maxRules, len(list))
		list = list[:maxRules]
	}
	var rules []policy.Rule
	for i, w := range list {
		rules = append(rules, m.rule(fmt.Sprintf("%s[%d]", path, i), w))
	}
	return rules
}

// rule goes by way of JSON, in which both have one form.
func (m *mistakes) rule(path string, w *phoenixv1.Rule) (rule policy.Rule) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(w)
	if err == nil {
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.DisallowUnknownFields()
		err = d.Decode(&rule)
	}
	if err != nil {
		m.unread = append(m.unread, path)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		m.add(path+"."+wrong.Field, "cannot be a %s", wrong.Value)
	} else if err != nil {
		m.add(path, "%s", err)
	}
	return rule
}
