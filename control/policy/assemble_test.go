package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
)

func TestAssembleKeepsTheOrderOfTheParts(t *testing.T) {
	part := func(names ...string) policy.Checked {
		t.Helper()
		var rules []policy.Rule
		for _, name := range names {
			rules = append(rules, policy.Rule{Name: name, Match: policy.Match{Metric: "m"}, Role: policy.RoleCommon})
		}
		c, err := policy.Check(rules)
		require.NoError(t, err)
		require.Equal(t, len(names), c.Len())
		rules[0].Name = "changed" // what was checked is a copy
		return c
	}
	a, b := part("a", "b"), part("c")
	s, err := policy.Assemble(7, []policy.Checked{b, a, {}})
	require.NoError(t, err)
	var names []string
	for _, r := range s.Rules {
		names = append(names, r.Name)
	}
	assert.Equal(t, []string{"c", "a", "b"}, names)
	assert.EqualValues(t, 7, s.Version)

	_, err = policy.Assemble(8, []policy.Checked{a, b, part("x", "b")})
	require.EqualError(t, err, `rules[4].name: "b" is the name of rules[1] already`)

	empty, err := policy.Assemble(9, nil)
	require.NoError(t, err)
	assert.NotNil(t, empty.Rules, "no rules are a list, too")
}

func TestCheckDemandsWhatNewSnapshotDoes(t *testing.T) {
	_, err := policy.Check([]policy.Rule{{Name: "a"}, {Name: "a", Match: policy.Match{Metric: "m"}, Role: policy.RoleCommon}})
	_, same := policy.NewSnapshot(1, []policy.Rule{{Name: "a"}, {Name: "a", Match: policy.Match{Metric: "m"}, Role: policy.RoleCommon}})
	require.EqualError(t, err, "rules[0].match.metric: must not be empty\n"+`rules[1].name: "a" is the name of rules[0] already`+
		"\nrules[0].role: must be common or candidate in a snapshot")
	assert.Equal(t, same, err)
}
