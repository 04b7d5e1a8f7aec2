package policy_test

import (
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
)

func TestSnapshotSharesNothingWithWhatItWasMadeFrom(t *testing.T) {
	text, err := os.ReadFile("testdata/every-option.yaml")
	require.NoError(t, err)
	rules := decode(t, string(text))
	for i := range rules {
		rules[i].Role = policy.RoleCandidate
	}
	s, err := policy.NewSnapshot(7, rules)
	require.NoError(t, err)
	assert.EqualValues(t, 7, s.Version)
	require.Equal(t, rules, s.Rules)
	assertApart(t, "rules", reflect.ValueOf(rules), reflect.ValueOf(s.Rules))
}

// assertApart fails for each pointer, slice and map that two equal values share.
func assertApart(t *testing.T, path string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Pointer:
		if !a.IsNil() {
			assert.NotEqual(t, a.Pointer(), b.Pointer(), path)
			assertApart(t, path, a.Elem(), b.Elem())
		}
	case reflect.Map:
		if a.Len() > 0 {
			assert.NotEqual(t, a.Pointer(), b.Pointer(), path)
		}
	case reflect.Slice:
		if a.Len() > 0 {
			assert.NotEqual(t, a.Pointer(), b.Pointer(), path)
		}
		for i := range a.Len() {
			assertApart(t, path, a.Index(i), b.Index(i))
		}
	case reflect.Struct:
		for i := range a.NumField() {
			assertApart(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	}
}

// merge takes from r what into lacks.
func merge(into *policy.Rule, r policy.Rule) {
	var fill func(a, b reflect.Value)
	fill = func(a, b reflect.Value) {
		switch {
		case b.IsZero():
		case a.Kind() == reflect.Struct:
			for i := range a.NumField() {
				fill(a.Field(i), b.Field(i))
			}
		case a.Kind() == reflect.Slice:
			a.Set(reflect.AppendSlice(a, b))
		case a.IsZero():
			a.Set(b)
		}
	}
	fill(reflect.ValueOf(into).Elem(), reflect.ValueOf(r))
}

// assertNoZeroFields fails for each option that no rule uses.
func assertNoZeroFields(t *testing.T, r policy.Rule) {
	t.Helper()
	var check func(path string, list []reflect.Value)
	check = func(path string, list []reflect.Value) {
		var given []reflect.Value
		for _, v := range list {
			switch {
			case v.IsZero():
			case v.Kind() == reflect.Pointer:
				given = append(given, v.Elem())
			default:
				given = append(given, v)
			}
		}
		if !assert.NotEmpty(t, given, path) {
			return
		}
		switch given[0].Kind() {
		case reflect.Struct:
			for i := range given[0].NumField() {
				var fields []reflect.Value
				for _, v := range given {
					fields = append(fields, v.Field(i))
				}
				check(path+"."+given[0].Type().Field(i).Name, fields)
			}
		case reflect.Slice:
			var elements []reflect.Value
			for _, v := range given {
				for i := range v.Len() {
					elements = append(elements, v.Index(i))
				}
			}
			check(path, elements)
		}
	}
	check("rule", []reflect.Value{reflect.ValueOf(r)})
}

func TestSnapshotRefuses(t *testing.T) {
	good := policy.Rule{Name: "a", Match: policy.Match{Metric: "*"}, Role: policy.RoleCommon}
	bad := good
	bad.Name, bad.Role, bad.Gauge = "b", "", "median"
	_, err := policy.NewSnapshot(1, []policy.Rule{good, bad})
	require.EqualError(t, err, "rules[1].gauge: must be sum, mean, min, max, last or count, got \"median\"\n"+
		"rules[1].role: must be common or candidate in a snapshot")
}

func TestSnapshotForRole(t *testing.T) {
	rule := func(name string, role policy.Role) policy.Rule {
		return policy.Rule{Name: name, Match: policy.Match{Metric: "*"}, Role: role}
	}
	s, err := policy.NewSnapshot(1, []policy.Rule{rule("a", policy.RoleCommon), rule("b", policy.RoleCandidate), rule("c", policy.RoleCommon)})
	require.NoError(t, err)
	assert.Equal(t, []policy.Rule{s.Rules[0], s.Rules[2]}, s.For(policy.RoleCommon))
	assert.Equal(t, []policy.Rule{s.Rules[1]}, s.For(policy.RoleCandidate))
	assert.Empty(t, (&policy.Snapshot{}).For(policy.RoleCommon))
}
