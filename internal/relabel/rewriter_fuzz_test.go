package relabel

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// FuzzRewriter takes the attributes of any request that decodes.
func FuzzRewriter(f *testing.F) {
	seed := func(pairs ...pair) {
		m := pmetric.NewMetrics()
		wire(f, pairs).CopyTo(m.ResourceMetrics().AppendEmpty().Resource().Attributes())
		request, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(m)
		require.NoError(f, err)
		f.Add(request, "a", "b")
	}
	text := pcommon.NewValueStr
	seed()
	seed(pair{"a", text("x")}, pair{"b", text("y")}, pair{"a", text("x")})
	seed(pair{"a", text("\xff\xfe")}, pair{"", text("")}, pair{"b", pcommon.NewValueDouble(math.NaN())})
	seed(pair{"a", nestedIn(80, "x")}, pair{"c", text("/users/7?q")}, pair{"b", text("1e999")}, pair{"c", pcommon.NewValueInt(7)})
	seed(pair{"e", text("503")}, pair{"e", pcommon.NewValueBytes()}, pair{"d", text(strings.Repeat("a", 5000))})
	f.Add([]byte("not a message"), "", "")

	p, err := New(Settings{
		Drop: []Ref{{Bare, "dropped*"}}, Protect: []Ref{{Bare, "f"}},
		Maps: []ValueMap{
			{Attribute: Ref{Bare, "c"}, Paths: []string{"/users/{id}", "/{all...}"}},
			{Attribute: Ref{Bare, "d"}, Regex: "(?s)(a*)(.*)", Template: "$2$1"},
			{Attribute: Ref{Bare, "e"}, Ranges: []Range{{From: 500, To: 600, As: "5xx"}}, Other: "none"},
		},
		Buckets: []HashBuckets{{Ref{Bare, "a"}, 1 << 20}},
		Ranked:  &Ranked{Ref{Bare, "b"}, "other"},
	})
	require.NoError(f, err)
	r := p.Rewriter(series.Resource, testHasher(f))
	f.Fuzz(func(t *testing.T, request []byte, member, fold string) {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(request)
		if err != nil {
			return
		}
		views := []*View{nil, mustView(t, []string{member})}
		if ref := (Ref{Bare, fold}); ref.checkLiteral() == nil {
			views = append(views, mustView(t, []string{"", member}, ref))
		}
		for _, rm := range md.ResourceMetrics().All() {
			for _, view := range slices.Concat(views, views) {
				checkPart(t, p, r, rm.Resource().Attributes(), view)
			}
		}
	})
}

var sinkPart Part

// What a changed value takes beyond one that stays is the difference to none.
func BenchmarkRewriter(b *testing.B) {
	attrs, s := twelve()
	for key, value := range attrs.All() {
		value.SetStr(value.AsString() + " of " + key[:4])
	}
	one := []pcommon.Map{attrs}
	var many []pcommon.Map // with as many values
	for i := range 10_000 {
		m := pcommon.NewMap()
		attrs.CopyTo(m)
		m.PutStr("http.route", fmt.Sprintf("/users/%08d", i))
		many = append(many, m)
	}
	run := func(name string, maps []pcommon.Map, s Settings, view *View) {
		r := mustPlan(b, s).Rewriter(series.Point, testHasher(b))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				sinkPart = r.Identity(maps[i%len(maps)], view)
			}
		})
	}
	ranked, bucketed := s, s
	ranked.Ranked = &Ranked{Ref{OnPoint, "http.route"}, "other"}
	view := mustView(b, []string{"value-2-of-it of http"})
	run("none", one, s, nil)
	run("fold", one, s, mustView(b, nil, Ref{OnPoint, "error.type"}))
	run("ranked", one, ranked, view)
	for _, key := range []string{"http.route", "url.scheme", "server.address", "server.port"} {
		bucketed.Buckets = append(bucketed.Buckets, HashBuckets{Ref{OnPoint, key}, 64})
	}
	run("four buckets", one, bucketed, nil)
	run("many values/none", many, s, nil)
	run("many values/ranked", many, ranked, view)
	bucketed.Buckets = bucketed.Buckets[:1]
	run("many values/one bucket", many, bucketed, nil)
}
