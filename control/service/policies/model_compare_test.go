package policies_test

import (
	"errors"
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/store"
)

// compare looks at all that can be seen.
func (m *model) compare(t *rapid.T, r *rig) {
	got := []string{}
	for _, rule := range r.publisher.Policy().Rules {
		mode := map[string]string{"preview": "preview", "enforce": "enforced"}[string(rule.Mode)]
		got = append(got, rule.Name+" "+rule.Match.Metric+" "+mode)
	}
	require.Equal(t, m.snapshot(), got)
	require.Len(t, r.audit(t), m.audit)
	for _, namespace := range []string{"shop", "bank"} {
		for _, name := range []string{"a", "b"} {
			m.comparePolicy(t, r, policyKey(namespace, name))
		}
	}
}

func (m *model) comparePolicy(t *rapid.T, r *rig, k store.PolicyKey) {
	want, there := m.present(k)
	p, err := r.GetPolicy(as("admin"), &phoenixv1.GetPolicyRequest{Namespace: k.Namespace, Name: k.Name})
	if !there {
		refused(t, err, fault.NotFound)
	} else {
		require.NoError(t, err)
		require.Equal(t, want.state, p.GetState())
		require.EqualValues(t, len(m.history[k]), p.GetRevision())
		require.Equal(t, want.metric, p.GetSpec().GetRules()[0].GetMatch().GetMetric())
		require.Equal(t, want.description, p.GetSpec().GetDescription())
		require.EqualValues(t, want.priority, p.GetSpec().GetPriority())
		if since := m.previewedSince(k); since.IsZero() {
			require.Nil(t, p.GetPreviewedSince())
		} else {
			require.Equal(t, since, p.GetPreviewedSince().AsTime())
		}
	}
	list, err := r.ListPolicyRevisions(as("admin"), &phoenixv1.ListPolicyRevisionsRequest{Namespace: k.Namespace, Name: k.Name, PageSize: 1000})
	if len(m.history[k]) == 0 {
		var f *fault.Fault
		require.True(t, errors.As(err, &f) && f.Reason == fault.NotFound)
		return
	}
	require.NoError(t, err)
	var states, modelled []string
	for _, one := range slices.Backward(list.GetRevisions()) {
		states = append(states, one.GetState())
	}
	for _, one := range m.history[k] {
		modelled = append(modelled, one.state)
	}
	require.Equal(t, modelled, states)
}
