package series_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// FuzzMap hashes the attributes of any request that decodes: nothing panics,
// the order of the wire does not matter and the sum is that of its parts.
func FuzzMap(f *testing.F) {
	for _, seed := range [][]attr{
		nil,
		{{"http.route", "/users/{id}"}, {"http.status_code", int64(200)}},
		{{"same", "a"}, {"same", "b"}, {"same", "a"}},
		{{"", nil}, {"\xff\xfe", "\xc3\x28"}, {"nan", math.NaN()}, {"bytes", []byte{0, 1, 0xff}}},
		{{"list", []any{"a", int64(1), 1.0, true, nil, []any{[]any{}}}}},
		{{"map", []attr{{"b", []attr{{"a", false}, {"a", true}}}, {"a", []byte{}}}}},
		{{"deep", nest(80, "x")}},
	} {
		f.Add(encode(seed))
	}
	f.Add([]byte{0x0a, 0x80})
	f.Add([]byte("not a message"))

	h := fixed(f)
	f.Fuzz(func(t *testing.T, request []byte) {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(request)
		if err != nil {
			return
		}
		for _, m := range attributeMaps(md) {
			want := h.Map(series.Point, m)
			require.Equal(t, want, h.Map(series.Point, decode(t, reversed(tree(m)))))
			sum := uint64(0)
			for key, v := range m.All() {
				sum += h.Value(series.Point, key, v)
			}
			require.Equal(t, want, sum)
		}
	})
}

// attributeMaps lists the attributes of resources, scopes and points.
func attributeMaps(md pmetric.Metrics) (list []pcommon.Map) {
	for _, rm := range md.ResourceMetrics().All() {
		list = append(list, rm.Resource().Attributes())
		for _, sm := range rm.ScopeMetrics().All() {
			list = append(list, sm.Scope().Attributes())
			for _, m := range sm.Metrics().All() {
				points, _ := walk.Of(m)
				for i := range points.Len() {
					list = append(list, points.Attributes(i))
				}
			}
		}
	}
	return slices.Clip(list)
}
