package relabel

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

func mustView(t require.TestingT, members []string, folds ...Ref) *View {
	set := map[string]struct{}{}
	for _, m := range members {
		set[m] = struct{}{}
	}
	for _, r := range folds {
		require.NoError(t, r.checkLiteral())
	}
	return newView(&Members{values: set}, folds)
}

// pair is an attribute in the order of the wire.
type pair struct {
	key   string
	value pcommon.Value
}

// wire makes a map that may hold a key twice, as only the wire does.
func wire(t require.TestingT, pairs []pair) pcommon.Map {
	var request []byte
	for _, p := range pairs {
		m := pmetric.NewMetrics()
		p.value.CopyTo(m.ResourceMetrics().AppendEmpty().Resource().Attributes().PutEmpty(p.key))
		one, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(m)
		require.NoError(t, err)
		// Embedded messages that occur twice are merged, so these become one resource.
		resource, n := protowire.ConsumeBytes(one[1:])
		require.Positive(t, n)
		request = append(request, resource...)
	}
	request = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), request)
	md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(request)
	require.NoError(t, err)
	return md.ResourceMetrics().At(0).Resource().Attributes()
}

func pairsOf(m pcommon.Map) (list []string) {
	for key, value := range m.All() {
		list = append(list, fmt.Sprintf("%s=%s:%s", key, value.Type(), value.AsString()))
	}
	return list
}

func TestWireKeepsAKeyTwice(t *testing.T) {
	m := wire(t, []pair{{"a", pcommon.NewValueStr("x")}, {"b", pcommon.NewValueInt(1)}, {"a", pcommon.NewValueEmpty()}})
	assert.Equal(t, []string{"a=Str:x", "b=Int:1", "a=Empty:"}, pairsOf(m))
}

func TestRewrite(t *testing.T) {
	p := mustPlan(t, Settings{
		Drop:    bare("pod"),
		Protect: []Ref{{OnPoint, "zone"}},
		Maps:    []ValueMap{{Attribute: Ref{OnPoint, "code"}, Ranges: []Range{{From: 500, To: 600, As: "5xx"}}}},
		Buckets: []HashBuckets{{Ref{OnPoint, "user"}, 8}},
		Ranked:  &Ranked{Ref{OnPoint, "shop"}, "other"},
	})
	r := p.Rewriter(series.Point, testHasher(t))
	f := func(view *View, in []pair, want []string, candidate string) {
		t.Helper()
		attrs, dst := wire(t, in), pcommon.NewMap()
		before := pairsOf(attrs)
		p.Rewrite(series.Point, attrs, view, dst)
		assert.ElementsMatch(t, want, pairsOf(dst))
		assert.Equal(t, before, pairsOf(attrs), "the input stays as it is")
		for range 2 {
			part := r.Identity(attrs, view)
			assert.Equal(t, candidate, part.Candidate)
			assert.Equal(t, candidate != "", part.IsRanked)
			checkPart(t, p, r, attrs, view)
		}
	}
	text := pcommon.NewValueStr
	in := []pair{{"pod", text("p1")}, {"code", pcommon.NewValueInt(503)}, {"shop", text("s1")}, {"zone", text("z")}}
	f(nil, in, []string{"code=Str:5xx", "shop=Str:other", "zone=Str:z"}, "s1")
	f(mustView(t, []string{"s1"}), in, []string{"code=Str:5xx", "shop=Str:s1", "zone=Str:z"}, "s1")
	f(mustView(t, nil, Ref{OnPoint, "code"}, Ref{Bare, "zone"}), in, []string{"shop=Str:other", "zone=Str:z"}, "s1")
	f(mustView(t, nil, Ref{OnResource, "code"}), in, []string{"code=Str:5xx", "shop=Str:other", "zone=Str:z"}, "s1")
	f(mustView(t, []string{"s1", "s2"}, Ref{OnPoint, "shop"}), in, []string{"code=Str:5xx", "zone=Str:z"}, "s1")
	f(nil, []pair{{"user", text("u")}, {"pod", text("a")}, {"user", text("u")}, {"code", text("1")}, {"code", text("599")}},
		[]string{"user=Str:" + Bucket("u", 8), "user=Str:" + Bucket("u", 8), "code=Str:1", "code=Str:5xx"}, "")
	f(mustView(t, []string{"2"}), []pair{{"shop", text("1")}, {"shop", pcommon.NewValueInt(2)}},
		[]string{"shop=Str:other", "shop=Int:2"}, "1")
	f(mustView(t, nil), []pair{{"shop", text(strings.Repeat("s", maxRankedBytes+1))}}, []string{"shop=Str:other"}, "")
	f(nil, nil, []string{}, "")
}

// checkPart compares everything that a Rewriter says with what Rewrite does.
func checkPart(t require.TestingT, p *Plan, r *Rewriter, attrs pcommon.Map, view *View) {
	h, d := r.keys.hasher, r.keys.domain
	part := r.Identity(attrs, view)
	folded, unfolded := pcommon.NewMap(), pcommon.NewMap()
	p.Rewrite(d, attrs, view, folded)
	p.Rewrite(d, attrs, newView(view.Members(), nil), unfolded)
	require.Equal(t, h.PairMap(d, attrs), part.All)
	require.Equal(t, h.PairMap(d, unfolded), part.Unfolded, "%v → %v", pairsOf(attrs), pairsOf(unfolded))
	require.Equal(t, h.PairMap(d, folded), part.Stays, "%v → %v", pairsOf(attrs), pairsOf(folded))

	labels := r.Labels(nil, attrs, view)
	var want []string
	for key, value := range unfolded.All() {
		want = append(want, fmt.Sprint(key, h.Value(d, key, value)))
	}
	var got []string
	for _, l := range labels {
		require.Equal(t, d, l.Domain)
		got = append(got, fmt.Sprint(l.Key, l.Hash))
	}
	require.ElementsMatch(t, want, got)
}

var drawLiteral = rapid.Custom(func(t *rapid.T) Ref {
	return Ref{drawLevels.Draw(t, "levels"), rapid.SampledFrom([]string{"a", "b", "ab", "ba", "service.name"}).Draw(t, "key")}
})

func drawChanging(t *rapid.T) Settings {
	s := drawSettings(t)
	s.Maps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ValueMap {
		m := ValueMap{Attribute: drawLiteral.Draw(t, "attribute"), Other: rapid.SampledFrom([]string{"", "", "o", "1"}).Draw(t, "other")}
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			m.Regex, m.Template = "(.)(.*)", "$1"
		case 1:
			m.Ranges = []Range{{From: 0, To: 1, As: "0"}, {From: 1, To: math.Inf(1), As: "many"}}
		default:
			m.Paths = []string{"/a/{x}", "/{rest...}"}
		}
		return m
	}), 0, 3).Draw(t, "maps")
	taken := map[attribute]bool{} // an attribute is bucketed or ranked once
	free := func(r Ref) bool {
		ok := true
		for _, d := range domains {
			if r.Levels&On(d) != 0 {
				ok = ok && !taken[attribute{d, r.Key}]
				taken[attribute{d, r.Key}] = true
			}
		}
		return ok
	}
	for range rapid.IntRange(0, 2).Draw(t, "buckets") {
		if r := drawLiteral.Draw(t, "bucketed"); free(r) {
			s.Buckets = append(s.Buckets, HashBuckets{r, rapid.IntRange(1, 3).Draw(t, "n")})
		}
	}
	if r := drawLiteral.Draw(t, "ranked"); rapid.Bool().Draw(t, "ranks") && free(r) {
		s.Ranked = &Ranked{r, "other"}
	}
	return s
}

// drawValue draws of all types; few and alike.
func drawValue(t *rapid.T) pcommon.Value {
	v := pcommon.NewValueEmpty()
	raw := rapid.SampledFrom([]any{
		nil, "", "0", "1", "a", "/a/b", "/a/c?q", "other", "\xff\xfe", strings.Repeat("x", maxRankedBytes+1), strings.Repeat("/", MaxValueBytes+1),
		int64(0), int64(1), int64(-7), 0.0, math.Copysign(0, -1), 1.5, math.NaN(), math.Inf(1), true, false, []byte("1"),
		[]byte{},
		[]any{},
		[]any{"a", int64(1)},
		[]any{int64(1), "a"},
		map[string]any{},
		map[string]any{"a": "b", "c": []any{1.0}},
	}).Draw(t, "value")
	require.NoError(t, v.FromRaw(raw))
	return v
}

func drawView(t *rapid.T) *View {
	if rapid.IntRange(0, 3).Draw(t, "no view") == 0 {
		return nil
	}
	members := rapid.SliceOfN(rapid.SampledFrom([]string{"", "0", "1", "a", "/", "many", "/a/{x}", "o", `["a",1]`}), 0, 4).Draw(t, "members")
	return mustView(t, members, rapid.SliceOfN(drawLiteral, 0, 2).Draw(t, "folds")...)
}

// The one promise of this file: what a Rewriter computes without making the
// output is the identity of the output that is made.
func TestIdentityIsThatOfTheRewrittenMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := mustPlan(t, drawChanging(t))
		if rapid.Bool().Draw(t, "old folds") { // they do not count here
			var err error
			p, err = p.WithFolds([]Ref{{Bare, "a"}})
			require.NoError(t, err)
		}
		r := p.Rewriter(drawDomain.Draw(t, "domain"), testHasher(t))
		views := []*View{drawView(t), drawView(t)}
		for range rapid.IntRange(1, 5).Draw(t, "maps") {
			var list []pair
			for range rapid.IntRange(0, 5).Draw(t, "attributes") {
				list = append(list, pair{drawKey.Draw(t, "key"), drawValue(t)})
			}
			attrs := wire(t, list)
			for _, view := range views {
				checkPart(t, p, r, attrs, view)
			}
		}
	})
}

// nestedIn puts a value into so many slices.
func nestedIn(levels int, text string) pcommon.Value {
	top := pcommon.NewValueEmpty()
	v := top
	for range levels {
		v = v.SetEmptySlice().AppendEmpty()
	}
	v.SetStr(text)
	return top
}

// Such values have equal contributions, but become different ones.
func TestNestedValuesAreNotMistakenForOthers(t *testing.T) {
	p := mustPlan(t, Settings{Buckets: []HashBuckets{{Ref{OnPoint, "k"}, 1 << 30}}})
	h := testHasher(t)
	r := p.Rewriter(series.Point, h)
	once := wire(t, []pair{{"k", nestedIn(100, "a")}})
	other := wire(t, []pair{{"k", nestedIn(100, "b")}})
	require.Equal(t, h.Map(series.Point, once), h.Map(series.Point, other))
	checkPart(t, p, r, once, nil)
	checkPart(t, p, r, other, nil)

	two := func(first, second string) pcommon.Map {
		inner := wire(t, []pair{{"x", pcommon.NewValueStr(first)}, {"x", pcommon.NewValueStr(second)}})
		v := pcommon.NewValueMap()
		inner.CopyTo(v.Map())
		return wire(t, []pair{{"k", v}})
	}
	require.Equal(t, h.Map(series.Point, two("a", "b")), h.Map(series.Point, two("b", "a")))
	checkPart(t, p, r, two("a", "b"), nil)
	checkPart(t, p, r, two("b", "a"), nil)
}

func TestRewriterIsBounded(t *testing.T) {
	p := mustPlan(t, Settings{Buckets: []HashBuckets{{Ref{OnPoint, "user"}, 8}}, Ranked: &Ranked{Ref{OnPoint, "shop"}, "other"}})
	r := p.Rewriter(series.Point, testHasher(t))
	view := mustView(t, []string{"s7"})
	m := pcommon.NewMap()
	for i := range 2*maxResolved + 100 {
		m.PutStr("user", fmt.Sprint("u", i))
		r.Identity(m, view)
		require.LessOrEqual(t, len(r.values), maxResolved)
		require.Len(t, r.index, len(r.values))
	}
	require.Len(t, r.values, 100, "emptied twice")
	m.Remove("user")
	long := strings.Repeat("s", maxRankedBytes-10)
	for i := range 3 * maxTexts / len(long) {
		m.PutStr("shop", fmt.Sprint(long, i))
		r.Identity(m, view)
		require.LessOrEqual(t, r.texts, maxTexts)
	}
	texts := 0
	for i := range r.values {
		texts += len(r.values[i].candidate)
	}
	require.Equal(t, r.texts, texts)
	m.PutStr("shop", "s7")
	checkPart(t, p, r, m, view)
}

// A substring would keep the request alive that it was part of.
func TestCandidatesMayBeKept(t *testing.T) {
	p := mustPlan(t, Settings{
		Maps:   []ValueMap{{Attribute: Ref{OnPoint, "shop"}, Regex: "(x.*)", Template: "$1"}},
		Ranked: &Ranked{Ref{OnPoint, "shop"}, "other"},
	})
	r := p.Rewriter(series.Point, testHasher(t))
	whole := strings.Repeat("0123456789", 100)
	for range 2 {
		m := pcommon.NewMap()
		m.PutStr("shop", whole[10:20])
		kept := r.Identity(m, nil).Candidate
		require.Equal(t, "0123456789", kept)
		require.NotSame(t, unsafe.StringData(whole[10:20]), unsafe.StringData(kept))
		m.PutEmptySlice("shop").AppendEmpty().SetStr("nested")
		nested := r.Identity(m, nil).Candidate
		m.PutEmptySlice("shop").AppendEmpty().SetStr("another")
		r.Identity(m, nil)
		require.Equal(t, `["nested"]`, nested)
	}
}

func TestRewriterDoesNotAllocate(t *testing.T) {
	attrs, s := twelve()
	s.Maps = []ValueMap{{Attribute: Ref{OnPoint, "http.route"}, Regex: "value(.*)", Template: "$1"}}
	s.Buckets = []HashBuckets{{Ref{OnPoint, "url.scheme"}, 5}}
	s.Ranked = &Ranked{Ref{OnPoint, "server.address"}, "other"}
	r := mustPlan(t, s).Rewriter(series.Point, testHasher(t))
	views := []*View{nil, mustView(t, []string{"value-4-of-it"}), mustView(t, nil, Ref{OnPoint, "error.type"})}
	labels := r.Labels(nil, attrs, nil)
	for _, view := range views {
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			r.Identity(attrs, view)
			labels = r.Labels(labels[:0], attrs, view)
		}))
	}
}

// Outputs are kept for long, so a rewritten map has no room for what went.
func TestRewriteLeavesNoRoom(t *testing.T) {
	attrs, s := twelve()
	p := mustPlan(t, s)
	maps := []pcommon.Map{pcommon.NewMap(), pcommon.NewMap()} // AllocsPerRun has a run before it counts
	for _, m := range maps {
		p.Rewrite(series.Point, attrs, nil, m)
		require.Equal(t, 10, m.Len())
	}
	require.Equal(t, 1.0, testing.AllocsPerRun(1, func() {
		maps[0].EnsureCapacity(11)
		maps = maps[1:]
	}))
}
