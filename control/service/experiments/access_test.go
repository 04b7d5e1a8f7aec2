package experiments_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service/experiments"
	"github.com/phoenix-platform/phoenix/control/store"
)

func key(namespace, name string) store.ExperimentKey {
	return store.ExperimentKey{Namespace: namespace, Name: name}
}

// rpc is each call about one experiment that is there or not.
type rpc struct {
	name string
	// changes: it takes If-Match. reasoned: it takes a reason.
	changes, reasoned bool
	do                func(context.Context, *experiments.Service, store.ExperimentKey) error
}

func rpcs() []rpc {
	type ctx = context.Context
	type service = experiments.Service
	type id = store.ExperimentKey
	return []rpc{
		{"get", false, false, func(c ctx, s *service, k id) error {
			_, err := s.GetExperiment(c, &phoenixv1.GetExperimentRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"report", false, false, func(c ctx, s *service, k id) error {
			_, err := s.GetExperimentReport(c, &phoenixv1.GetExperimentReportRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"analysis", false, false, func(c ctx, s *service, k id) error {
			_, err := s.GetExperimentAnalysis(c, &phoenixv1.GetExperimentAnalysisRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"update", true, false, func(c ctx, s *service, k id) error {
			_, err := s.UpdateExperiment(c, &phoenixv1.UpdateExperimentRequest{Experiment: wire(k.Namespace, k.Name, "a")})
			return err
		}},
		{"start", true, false, func(c ctx, s *service, k id) error {
			_, err := s.StartExperiment(c, &phoenixv1.StartExperimentRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"pause", true, true, func(c ctx, s *service, k id) error {
			_, err := s.PauseExperiment(c, &phoenixv1.PauseExperimentRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"resume", true, false, func(c ctx, s *service, k id) error {
			_, err := s.ResumeExperiment(c, &phoenixv1.ResumeExperimentRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"promote", true, true, func(c ctx, s *service, k id) error {
			_, err := s.PromoteExperiment(c, &phoenixv1.PromoteExperimentRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"approve", true, true, func(c ctx, s *service, k id) error {
			_, err := s.ApproveExperiment(c, &phoenixv1.ApproveExperimentRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"abort", true, true, func(c ctx, s *service, k id) error {
			_, err := s.AbortExperiment(c, &phoenixv1.AbortExperimentRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
		{"delete", true, false, func(c ctx, s *service, k id) error {
			_, err := s.DeleteExperiment(c, &phoenixv1.DeleteExperimentRequest{Namespace: k.Namespace, Name: k.Name})
			return err
		}},
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	const look, edit, operate = "get, report, analysis", ", update, delete", ", start, pause, resume, promote, approve, abort"
	r := newRig(t)
	n := 0
	for who, allowed := range map[string]string{
		"admin": look + edit + operate, "shop-admin": look + edit + operate, "shop-operator": look + edit + operate,
		"shop-editor": look + edit, "shop-viewer": look,
	} {
		for _, one := range rpcs() {
			t.Run(fmt.Sprintf("%s %s", who, one.name), func(t *testing.T) {
				n++
				name := fmt.Sprintf("e%d", n)
				r.created(t, name)
				before := len(r.audit(t))
				err := one.do(as(who), r.Service, key("shop", name))
				if slices.Contains(strings.Split(allowed, ", "), one.name) {
					if err != nil { // the state does not allow it
						assert.Contains(t, []fault.Reason{fault.WrongPhase, fault.NothingToApprove}, fault.Of(err).Reason)
					}
					return
				}
				refused(t, err, fault.Forbidden)
				records := r.audit(t)
				require.Len(t, records, before+1, "each refusal is in the audit log")
				assert.Equal(t, store.OutcomeRefused, records[before].Outcome)
				assert.Equal(t, "certificate:"+who, records[before].Principal)
				assert.Equal(t, "Draft", r.get(t, name).GetStatus().GetPhase())
			})
		}
	}
}

// An experiment that is not there, one that cannot be, and one that the caller
// does not see are answered alike.
func TestWhatIsNotSeenIsNotThere(t *testing.T) {
	r := newRig(t)
	r.created(t, "a")
	for _, one := range rpcs() {
		t.Run(one.name, func(t *testing.T) {
			var answers []string
			for _, c := range []struct {
				who string
				key store.ExperimentKey
			}{
				{"bank-operator", key("shop", "a")}, {"bank-operator", key("nowhere", "a")}, {"admin", key("shop", "none")}, {"admin", key("nowhere", "a")},
			} {
				f := refusal(t, one.do(as(c.who), r.Service, c.key), fault.NotFound)
				answers = append(answers, fmt.Sprintf("%q %v %v", f.Detail, f.Violations, f.Suggestions))
			}
			for _, a := range answers {
				assert.Equal(t, answers[0], a)
			}
			if one.name == "update" {
				return // says what is wrong with the name
			}
			for _, name := range []string{"", "a/b", "a\x00"} {
				refused(t, one.do(as("admin"), r.Service, key("shop", name)), fault.NotFound)
			}
		})
	}
	_, err := r.CreateExperiment(as("bank-operator"), create("a"))
	refused(t, err, fault.NotFound) // not: it exists already
	_, err = r.CreateExperiment(as("shop-viewer"), create("b"))
	refused(t, err, fault.Forbidden)
	_, err = r.CreateExperiment(context.Background(), create("b"))
	refused(t, err, fault.Unauthenticated)
	_, err = r.ListExperiments(as("nobody"), &phoenixv1.ListExperimentsRequest{})
	refused(t, err, fault.Forbidden)
	e, err := r.CreateExperiment(as("admin"), &phoenixv1.CreateExperimentRequest{Experiment: wire("", "d", "d")})
	require.NoError(t, err)
	assert.Equal(t, "default", e.GetNamespace())
}
