package relabel

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

func mustPlan(t require.TestingT, s Settings) *Plan {
	p, err := New(s)
	require.NoError(t, err)
	return p
}

func bare(keys ...string) []Ref {
	refs := []Ref{}
	for _, key := range keys {
		refs = append(refs, Ref{Bare, key})
	}
	return refs
}

func TestDrop(t *testing.T) {
	f := func(ref Ref, d series.Domain, key string, want Action) {
		t.Helper()
		p := mustPlan(t, Settings{Drop: []Ref{ref}})
		assert.Equal(t, want, p.Key(d, key), "%s %d %s", ref, d, key)
		assert.True(t, p.DropOnly())
	}
	// A bare name is the point's and the resource's, not the scope's
	f(Ref{Bare, "pod"}, series.Point, "pod", Goes)
	f(Ref{Bare, "pod"}, series.Resource, "pod", Goes)
	f(Ref{Bare, "pod"}, series.Scope, "pod", Stays)
	f(Ref{Bare, "pod"}, series.Point, "pods", Stays)
	f(Ref{OnResource, "pod"}, series.Point, "pod", Stays)
	f(Ref{OnScope, "lib"}, series.Scope, "lib", Goes)
	f(Ref{Bare, "k8s.*"}, series.Point, "k8s.pod.name", Goes)
	f(Ref{Bare, "k8s.*"}, series.Point, "k8s", Stays)
	f(Ref{Bare, "p?d"}, series.Resource, "pod", Goes)
	// Those behind job and instance go only when they are named
	f(Ref{OnResource, "*"}, series.Resource, "host.name", Goes)
	f(Ref{OnResource, "*"}, series.Resource, "service.name", Stays)
	f(Ref{Bare, "service.*"}, series.Resource, "service.instance.id", Stays)
	f(Ref{Bare, "service.*"}, series.Point, "service.instance.id", Goes)
	f(Ref{Bare, "service.instance.id"}, series.Resource, "service.instance.id", Goes)
	f(Ref{OnResource, "service.namespace"}, series.Resource, "service.namespace", Goes)
}

func TestKeepGovernsPointAttributesOnly(t *testing.T) {
	p := mustPlan(t, Settings{Keep: []Ref{{OnPoint, "code"}, {OnPoint, "http.*"}}, Drop: []Ref{{OnResource, "host"}}})
	assert.Equal(t, Stays, p.Key(series.Point, "code"))
	assert.Equal(t, Stays, p.Key(series.Point, "http.route"))
	assert.Equal(t, Goes, p.Key(series.Point, "pod"))
	assert.Equal(t, Stays, p.Key(series.Resource, "pod"))
	assert.Equal(t, Stays, p.Key(series.Scope, "pod"))
	assert.Equal(t, Goes, p.Key(series.Resource, "host"))

	none := mustPlan(t, Settings{Keep: []Ref{}})
	assert.Equal(t, Goes, none.Key(series.Point, "code"))
	assert.Equal(t, Stays, mustPlan(t, Settings{}).Key(series.Point, "code"))
}

func TestScopeProtectionAndFolds(t *testing.T) {
	p := mustPlan(t, Settings{DropScope: true, Drop: bare("a*"), Protect: []Ref{{OnPoint, "a1"}, {OnPoint, "f1"}}})
	assert.True(t, p.DropsScope())
	assert.Equal(t, Goes, p.Key(series.Scope, "lib"))
	assert.Equal(t, Stays, p.Key(series.Point, "a1"))
	assert.Equal(t, Goes, p.Key(series.Resource, "a1"))

	folded, err := p.WithFolds([]Ref{{OnPoint, "f1"}, {OnPoint, "f2"}})
	require.NoError(t, err)
	assert.Equal(t, Stays, folded.Key(series.Point, "f1"))
	assert.Equal(t, Goes, folded.Key(series.Point, "f2"))
	assert.Equal(t, Stays, folded.Key(series.Resource, "f2"))
	assert.Equal(t, Stays, p.Key(series.Point, "f2"), "a plan never changes")
	unfolded, err := folded.WithFolds(nil)
	require.NoError(t, err)
	assert.Equal(t, Stays, unfolded.Key(series.Point, "f2"))
	_, err = p.WithFolds([]Ref{{OnPoint, ""}})
	require.EqualError(t, err, "fold: [0]: must name an attribute")
}

func TestApplyGoesInOrder(t *testing.T) {
	p := mustPlan(t, Settings{
		Drop: bare("gone"),
		Maps: []ValueMap{
			{Attribute: Ref{OnPoint, "code"}, Ranges: []Range{{From: 200, To: 300, As: "2xx"}, {From: 7, To: 8, As: "7"}}},
			{Attribute: Ref{OnPoint, "code"}, Regex: "[a-z]+", Template: "word", Other: "strange"},
			{Attribute: Ref{OnPoint, "code"}, Regex: "X", Template: "ex", Other: "stranger"},
			{Attribute: Ref{Bare, "gone"}, Regex: ".*", Template: "x"},
			{Attribute: Ref{OnPoint, "user"}, Regex: "(u)[0-9]+", Template: "$1"},
			{Attribute: Ref{OnPoint, "shop"}, Regex: "s([0-9])", Template: "$1"},
		},
		Buckets: []HashBuckets{{Ref{OnPoint, "user"}, 16}},
		Ranked:  &Ranked{Ref{Bare, "shop"}, "the rest"},
	})
	assert.False(t, p.DropOnly())
	members := &Members{values: map[string]struct{}{"1": {}, "x": {}}}
	f := func(key string, v Value, want Outcome) {
		t.Helper()
		assert.Equal(t, want, p.Apply(series.Point, key, v, members))
	}
	becomes := func(text string) Outcome { return Outcome{Action: Becomes, Text: text} }
	f("gone", String("x"), Outcome{Action: Goes})
	f("free", String("x"), Outcome{})
	f("code", Int(204), becomes("2xx"))
	f("code", String("204"), becomes("2xx"))
	f("code", Int(7), becomes("7")) // the text is another value
	f("code", String("7"), Outcome{})
	f("code", String("ok"), becomes("word"))
	f("code", String("word"), Outcome{}) // is what it becomes
	f("code", String("X"), becomes("ex"))
	f("code", Int(500), becomes("strange"))
	f("user", String("u17"), becomes(Bucket("u", 16)))
	f("user", Int(17), becomes(Bucket("17", 16)))
	f("shop", String("s1"), Outcome{Action: Becomes, Text: "1", IsRanked: true, Candidate: "1"})
	f("shop", String("s2"), Outcome{Action: Becomes, Text: "the rest", IsRanked: true, Candidate: "2"})
	f("shop", Int(1), Outcome{IsRanked: true, Candidate: "1"}) // stays an integer
	f("shop", Text("x"), Outcome{IsRanked: true, Candidate: "x"})
	f("shop", String("the rest"), Outcome{IsRanked: true, Candidate: "the rest"})
	assert.Equal(t, Stays, p.Apply(series.Resource, "user", String("u1"), nil).Action)
	assert.Equal(t, becomes("the rest").Text, p.Apply(series.Resource, "shop", String("1"), nil).Text)
}

func TestMistakesAreReportedTogether(t *testing.T) {
	_, err := New(Settings{
		Drop:    []Ref{{Bare, ""}, {0, "x"}, {Bare, "/x.*/"}},
		Keep:    []Ref{{Bare, "\xff*"}},
		Protect: []Ref{{Levels: 1, Key: "y"}},
		Maps: []ValueMap{
			{Attribute: Ref{Bare, "x*"}, Regex: "a", Template: "b"},
			{Attribute: Ref{Bare, "x"}},
			{Attribute: Ref{Bare, "x"}, Regex: "a)|(b", Template: "c"},
			{Attribute: Ref{Bare, "x"}, Regex: "a", Template: "$"},
			{Attribute: Ref{Bare, "x"}, Regex: "(a)", Template: "$2"},
			{Attribute: Ref{Bare, "x"}, Regex: "(?P<n>a)", Template: "${m}"},
			{Attribute: Ref{Bare, "x"}, Regex: "a"},
			{Attribute: Ref{Bare, "x"}, Regex: strings.Repeat("(a{1000}|b)", 200), Template: "c"},
			{Attribute: Ref{Bare, "x"}, Ranges: []Range{{From: 1, To: 1, As: "a"}, {From: math.NaN(), To: 2}}},
			{Attribute: Ref{Bare, "x"}, Paths: []string{"users", "/a?b", "/a{b}", "/{a...}/b"}},
		},
		Buckets: []HashBuckets{{Ref{Bare, "x"}, 0}, {Ref{Bare, "y"}, 1}, {Ref{OnPoint, "y"}, 1}},
		Ranked:  &Ranked{Ref{Bare, "y"}, ""},
	})
	require.Error(t, err)
	for _, want := range []string{
		"drop: [0]: must name an attribute", `[1]: "x": must name a level`, `[2]: "/x.*/": must be a name or a glob (* and ?), not a regular expression`,
		"keep: [0]: ", `protect: [0]: "y": must name a level`,
		`map[0]: "x*": must name one attribute, not a glob`, "map[1]: exactly one of regex, ranges and paths must be given, got 0",
		"map[2]: error parsing regexp", `map[3]: the template has a $ without a group; $$ stands for a dollar sign, got "$"`,
		"map[4]: the group is not in the expression: $2", "map[5]: the group is not in the expression: ${m}", "map[6]: the template must not be empty",
		"map[7]: the expression is too large", "map[8]: ranges[0]: from must be less than to, got 1 and 1", "ranges[1]: as must not be empty",
		`map[9]: paths[0]: must begin with a slash, got "users"`, "paths[1]: must not have a query", "paths[2]: a segment must be", "paths[3]: {name...} must be the last",
		"hash_buckets[0]: buckets must be positive, got 0", "hash_buckets[2]: has hash_buckets already", "top_k: other must not be empty",
	} {
		require.ErrorContains(t, err, want)
	}
	_, err = New(Settings{Buckets: []HashBuckets{{Ref{Bare, "y"}, 1}}, Ranked: &Ranked{Ref{Bare, "y"}, "other"}})
	require.EqualError(t, err, "top_k: has hash_buckets already")
}

// slowGlob tries every way.
func slowGlob(glob, text string) bool {
	if glob == "" {
		return text == ""
	}
	if glob[0] == '*' {
		return slowGlob(glob[1:], text) || text != "" && slowGlob(glob, text[1:])
	}
	return text != "" && (glob[0] == '?' || glob[0] == text[0]) && slowGlob(glob[1:], text[1:])
}

func slowHas(refs []Ref, d series.Domain, key string) bool {
	for _, r := range refs {
		named := r.Key == key
		if strings.ContainsAny(r.Key, "*?") {
			named = slowGlob(r.Key, key) && (d != series.Resource || !strings.HasPrefix(key, "service."))
		}
		if r.Levels&On(d) != 0 && named {
			return true
		}
	}
	return false
}

var (
	drawLevels = rapid.SampledFrom([]Levels{Bare, OnPoint, OnResource, OnScope})
	drawDomain = rapid.SampledFrom(domains[:])
	drawKey    = rapid.SampledFrom([]string{"a", "b", "ab", "ba", "service.name", "service.instance.id", ""})
)

func drawRefs(t *rapid.T, label string) []Ref {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Ref {
		key := rapid.SampledFrom([]string{"a", "b", "a*", "?", "*", "b?", "service.name", "service.*", "*.name"})
		return Ref{drawLevels.Draw(t, "levels"), key.Draw(t, "key")}
	}), 0, 4).Draw(t, label)
}

func drawSettings(t *rapid.T) Settings {
	s := Settings{DropScope: rapid.Bool().Draw(t, "scope"), Drop: drawRefs(t, "drop"), Protect: drawRefs(t, "protect")}
	if rapid.Bool().Draw(t, "keeps") {
		s.Keep = drawRefs(t, "keep")
	}
	return s
}

func TestKeysAgreeWithASlowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSettings(t)
		folds := drawRefs(t, "folds")
		p, err := mustPlan(t, s).WithFolds(folds)
		require.NoError(t, err)
		d := drawDomain.Draw(t, "domain")
		keys := p.Keys(d, testHasher(t))
		for range 30 {
			key := drawKey.Draw(t, "key")
			want := Stays
			if s.DropScope && d == series.Scope || slowHas(s.Drop, d, key) || slowHas(folds, d, key) ||
				s.Keep != nil && d == series.Point && !slowHas(s.Keep, d, key) {
				want = Goes
			}
			if slowHas(s.Protect, d, key) {
				want = Stays
			}
			require.Equal(t, want, p.Key(d, key), "%d %s", d, key)
			require.Equal(t, want, keys.Key(rapid.IntRange(-1, 70).Draw(t, "position"), key), "%d %s", d, key)
			require.Equal(t, want, p.Apply(d, key, String("x"), nil).Action)
		}
	})
}
