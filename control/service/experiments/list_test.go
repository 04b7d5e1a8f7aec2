package experiments_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/service/filter"
	"github.com/phoenix-platform/phoenix/control/store"
)

// listed is an experiment that a list may have.
type listed struct{ namespace, name, phase string }

// fill stores experiments of several phases in two namespaces.
func (r *rig) fill(t *testing.T, n int) (all []listed) {
	t.Helper()
	require.NoError(t, r.store.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
		for i := range n {
			e := listed{
				[]string{"bank", "shop"}[i%2], fmt.Sprintf("e-%03d-%s", i, []string{"pod", "node"}[i/2%2]),
				[]string{"Draft", "Promoted", "RolledBack"}[i%3],
			}
			state := experiment.NewState(r.core.Now())
			state.Phase = experiment.Phase(e.phase)
			text, err := experiment.EncodeState(state)
			if err != nil {
				return err
			}
			_, err = tx.CreateExperiment(ctx, store.NewExperiment{
				ExperimentKey: key(e.namespace, e.name), Spec: fmt.Appendf(nil, `{"id":"%s/%s","mode":"mirror"}`, e.namespace, e.name),
				State: text, Phase: e.phase,
			}, store.Entry{Principal: "test", Action: "fill"})
			if err != nil {
				return err
			}
			all = append(all, e)
		}
		return nil
	}))
	slices.SortFunc(all, func(a, b listed) int {
		return slices.Compare([]string{a.namespace, a.name}, []string{b.namespace, b.name})
	})
	return all
}

// Whatever is asked for, the pages together are what a look at every experiment
// finds, each once and in order.
func TestPagesAreWhatWasAskedFor(t *testing.T) {
	r := newRig(t)
	all := r.fill(t, 60)
	rapid.Check(t, func(t *rapid.T) {
		who := rapid.SampledFrom([]string{"admin", "shop-viewer"}).Draw(t, "who")
		text := rapid.SampledFrom([]string{
			"", `phase = "Draft"`, `phase != "Draft"`, `phase = "R*" AND name = "e-0*"`, `name = "*-node"`, `name : "01"`,
			`namespace = "shop"`, `namespace != "shop"`, `name = "e-003-node"`, `phase = "Nothing"`,
		}).Draw(t, "filter")
		request := &phoenixv1.ListExperimentsRequest{Filter: text, PageSize: rapid.SampledFrom([]uint32{0, 1, 7, 1000}).Draw(t, "size")}
		if rapid.Bool().Draw(t, "in one") {
			request.Namespace = "shop"
		}
		conditions, err := filter.Parse(text, map[string]filter.Kind{"phase": filter.Text, "name": filter.Text, "namespace": filter.Text})
		require.NoError(t, err)
		var want, got []listed
		for _, e := range all {
			seen := e.namespace == "shop" || who == "admin" && request.GetNamespace() == ""
			for _, c := range conditions {
				seen = seen && c.MatchText(map[string]string{"phase": e.phase, "name": e.name, "namespace": e.namespace}[c.Field])
			}
			if seen {
				want = append(want, e)
			}
		}
		for range 100 {
			page, err := r.ListExperiments(as(who), request)
			require.NoError(t, err, text)
			for _, e := range page.GetExperiments() {
				got = append(got, listed{e.GetNamespace(), e.GetName(), e.GetStatus().GetPhase()})
			}
			if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
				break
			}
		}
		require.Equal(t, want, got, text)
	})
}

func TestListsThatAreRefused(t *testing.T) {
	r := newRig(t)
	f := func(request *phoenixv1.ListExperimentsRequest, field string) {
		t.Helper()
		_, err := r.ListExperiments(as("admin"), request)
		assert.Equal(t, field, refusal(t, err, fault.Invalid).Violations[0].Field)
	}
	f(&phoenixv1.ListExperimentsRequest{PageSize: 1001}, "page_size")
	f(&phoenixv1.ListExperimentsRequest{PageToken: "x"}, "page_token")
	f(&phoenixv1.ListExperimentsRequest{Filter: "phase ="}, "filter")
	f(&phoenixv1.ListExperimentsRequest{Filter: `spec = "a"`}, "filter")
	_, err := r.ListExperiments(as("shop-viewer"), &phoenixv1.ListExperimentsRequest{Namespace: "bank"})
	refused(t, err, fault.NotFound)
	list, err := r.ListExperiments(as("admin"), &phoenixv1.ListExperimentsRequest{Namespace: "nowhere"})
	require.NoError(t, err)
	assert.Empty(t, list.GetExperiments())
}

// What another version wrote is shown as far as this one knows it.
func TestWhatCannotBeReadIsShown(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.store.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.CreateExperiment(ctx, store.NewExperiment{
			ExperimentKey: key("shop", "new"), Spec: []byte(`{"mode":{"kind":"new"}}`), State: []byte(`{"version":1000}`), Phase: "Draft",
		}, store.Entry{Principal: "test", Action: "fill"})
		return err
	}))
	e := r.get(t, "new")
	assert.Equal(t, "Draft", e.GetStatus().GetPhase())
	require.Len(t, e.GetStatus().GetWarnings(), 2)
	assert.Contains(t, e.GetStatus().GetWarnings()[0], "this version of Phoenix cannot read the specification")
	assert.Contains(t, e.GetStatus().GetWarnings()[1], "this version of Phoenix cannot read the state")
}
