package publish_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

func stored(t *testing.T, namespace, name string, state store.PolicyState, s publish.Spec) store.Policy {
	t.Helper()
	text, err := publish.EncodeSpec(s)
	require.NoError(t, err)
	return storedText(namespace, name, state, string(text))
}

func storedText(namespace, name string, state store.PolicyState, text string) store.Policy {
	return store.Policy{
		PolicyKey: store.PolicyKey{Namespace: namespace, Name: name}, State: state, Revision: 3,
		Spec: []byte(text), SpecSHA256: store.SumSHA256([]byte(text)),
	}
}

func TestPoliciesAreTriedByPriorityThenByName(t *testing.T) {
	named := spec(0, "a", "b")
	named.Rules[1].Name, named.Rules[1].Role = "own", policy.RoleCandidate
	rules, leftOut, err := publish.Compile(store.PolicySet{Policies: []store.Policy{
		stored(t, "b", "x", store.StateEnforced, spec(0, "a")),
		stored(t, "a", "y", store.StatePreview, named),
		stored(t, "a", "x", store.StateEnforced, spec(0, "a")),
		stored(t, "z", "z", store.StatePreview, spec(5, "a")),
		stored(t, "a", "a", store.StateEnforced, spec(-5, "a")),
	}}, "")
	require.NoError(t, err)
	assert.Empty(t, leftOut)
	assert.Equal(t, []string{"z/z/rule-1?", "a/x/rule-1", "a/y/rule-1?", "a/y/own?", "b/x/rule-1", "a/a/rule-1"},
		names(&policy.Snapshot{Rules: rules}))
	assert.Equal(t, policy.RoleCommon, rules[0].Role)
	assert.Equal(t, policy.RoleCandidate, rules[3].Role)
	assert.Equal(t, policy.ModePreview, rules[0].Mode)
	assert.Equal(t, policy.ModeEnforce, rules[1].Mode)
}

func TestAPolicyThatIsRefusedIsLeftOut(t *testing.T) {
	good := stored(t, "a", "good", store.StateEnforced, spec(0, "a"))
	rules, leftOut, err := publish.Compile(store.PolicySet{Policies: []store.Policy{
		storedText("a", "broken", store.StateEnforced, `{`),
		good,
		storedText("a", "newer", store.StatePreview, `{"rules":[{"match":{"metric":"a"},"sample":0.5}]}`),
		storedText("a", "wrong", store.StateEnforced, `{"rules":[{"match":{"metric":"a"}},{"match":{"metric":"/(/"}}]}`),
		storedText("a", "twice", store.StateEnforced, `{"rules":[{"name":"rule-2","match":{"metric":"a"}},{"match":{"metric":"b"}}]}`),
	}}, "")
	require.NoError(t, err)
	assert.Equal(t, []string{"a/good/rule-1"}, names(&policy.Snapshot{Rules: rules}))
	var problems []string
	for _, l := range leftOut {
		assert.EqualValues(t, 3, l.Revision)
		problems = append(problems, l.Name+": "+l.Problem)
	}
	text := strings.Join(problems, "\n")
	for _, want := range []string{"broken: read the spec", `unknown field "sample"`, "wrong: rules[1].match.metric:", `twice: rules[1].name: "a/twice/rule-2" is`} {
		assert.Contains(t, text, want)
	}
	assert.Len(t, leftOut, 4)
}

func TestRulesOfANamespaceAreForItsTelemetry(t *testing.T) {
	own := spec(0, "a")
	own.Rules[0].Match.Resource = []policy.Condition{{Attribute: "k8s.namespace.name", Value: "*"}}
	rules, leftOut, err := publish.Compile(store.PolicySet{Policies: []store.Policy{
		stored(t, "default", "all", store.StateEnforced, spec(9, "a")),
		stored(t, "shop", "one", store.StateEnforced, own),
		stored(t, "sh*p", "star", store.StateEnforced, spec(-1, "a")),
		stored(t, "sh.p?", "mark", store.StateEnforced, spec(-2, "a")),
	}}, "k8s.namespace.name")
	require.NoError(t, err)
	require.Empty(t, leftOut[min(2, len(leftOut)):])
	assert.Empty(t, rules[0].Match.Resource)
	assert.Equal(t, []policy.Condition{
		{Attribute: "k8s.namespace.name", Value: "*"}, {Attribute: "k8s.namespace.name", Value: "shop"},
	}, rules[1].Match.Resource, "what the author asks for must hold, too")
}

// With a namespace attribute a rule never meets one of another namespace, or any
// other telemetry than that of its namespace.
func TestNamespacesNeverMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z*?/.+]{1,5}`)
		a := name.Filter(func(s string) bool { return !strings.Contains(s[1:], "/") && s != "default" }).Draw(t, "a")
		b := name.Draw(t, "b")
		k := store.PolicyKey{Namespace: a, Name: "x"}
		c, err := publish.CompileSpec(k, store.StateEnforced, spec(0, "m"), "ns")
		if err != nil {
			return // the rule has no name: it is left out
		}
		s, err := policy.Assemble(1, []policy.Checked{c})
		require.NoError(t, err)
		other := s.Rules[0]
		other.Name = "other"
		other.Match.Resource = []policy.Condition{{Attribute: "ns", Value: b}}
		if strings.ContainsAny(b, "*?/") {
			return // a pattern, not a namespace
		}
		overlaps, _ := policy.Overlaps([]policy.Rule{s.Rules[0], other}, 1)
		require.Equal(t, a == b, len(overlaps) > 0, "%s and %s", a, b)
	})
}

func TestCompileSharesNothingWithTheSpecification(t *testing.T) {
	s := spec(0, "a")
	s.Rules[0].Match.Resource = slices.Grow([]policy.Condition{{Attribute: "a", Value: "b"}}, 4)
	k := store.PolicyKey{Namespace: "shop", Name: "x"}
	_, err := publish.CompileSpec(k, store.StateEnforced, s, "ns")
	require.NoError(t, err)
	assert.Empty(t, s.Rules[0].Match.Resource[:2][1], "nothing was appended to what the author holds")
	assert.Empty(t, s.Rules[0].Name)
}
