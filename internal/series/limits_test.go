package series_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// nest puts a value into so many slices and maps, in turn.
func nest(levels int, innermost any) any {
	v := innermost
	for i := range levels {
		if i%2 == 0 {
			v = []any{v}
		} else {
			v = []attr{{"k", v}}
		}
	}
	return v
}

func TestContentCountsDownToTheBoundOfDepth(t *testing.T) {
	const bound = 64
	h := fixed(t)
	hash := func(levels int, innermost string) uint64 {
		return h.Value(series.Point, "k", value(t, nest(levels, innermost)))
	}
	hashes := map[string]uint64{}
	for levels := range bound + 1 {
		hashes[fmt.Sprint(levels, " a")] = hash(levels, "a")
		hashes[fmt.Sprint(levels, " b")] = hash(levels, "b")
	}
	distinct(t, hashes)
	for _, levels := range []int{bound + 1, bound + 2, 100, 101} {
		require.Equal(t, hash(levels, "a"), hash(levels, "b"), "%d levels", levels)
	}
}

// Values that are nested too deep differ by what is left and right of the deep
// end.
func TestAnEndTooDeepTakesNothingElseWithIt(t *testing.T) {
	h := fixed(t)
	distinct(t, map[string]uint64{
		"a": h.Value(series.Point, "k", value(t, []any{nest(100, "x"), "a"})),
		"b": h.Value(series.Point, "k", value(t, []any{nest(100, "x"), "b"})),
		"c": h.Value(series.Point, "k", value(t, []attr{{"a", nest(100, "x")}, {"b", "c"}})),
		"d": h.Value(series.Point, "k", value(t, []attr{{"a", nest(100, "x")}, {"b", "d"}})),
		"e": h.Value(series.Point, "l", value(t, []attr{{"a", nest(100, "x")}, {"b", "d"}})),
	})
}

func TestAVeryDeepValueDoesNotExhaustTheStack(t *testing.T) {
	m := pcommon.NewMap()
	v := m.PutEmpty("k")
	for range 100_000 {
		v = v.SetEmptySlice().AppendEmpty()
	}
	h := fixed(t)
	want := h.Map(series.Point, m)
	v.SetStr("too deep to count")
	require.Equal(t, want, h.Map(series.Point, m))
}

func TestTenThousandAttributesCount(t *testing.T) {
	const n = 10_000
	h := fixed(t)
	list := make([]attr, n)
	want := uint64(0)
	for i := range list {
		list[i] = attr{fmt.Sprint("key-", i), int64(i)}
		want += h.Value(series.Point, list[i].key, pcommon.NewValueInt(int64(i)))
	}
	m := decode(t, list)
	require.Equal(t, n, m.Len())
	require.Equal(t, want, h.Map(series.Point, m))
	list[n/2].value = int64(-1)
	require.NotEqual(t, want, h.Map(series.Point, decode(t, list)))
	require.NotEqual(t, h.Value(series.Point, "k", value(t, list)), h.Value(series.Point, "k", value(t, list[1:])), "nested")
}

func TestTheZeroMapCountsNothing(t *testing.T) {
	require.Zero(t, fixed(t).Map(series.Point, pcommon.NewMap()))
}

func TestHashingDoesNotAllocate(t *testing.T) {
	h := fixed(t)
	for name, list := range map[string][]attr{
		"scalar values": {
			{"http.request.method", "GET"},
			{"empty", ""},
			{"none", nil},
			{"http.response.status_code", int64(200)},
			{"ratio", 0.5},
			{"retry", true},
			{"id", []byte("0123456789abcdef")},
		},
		"long strings":  {{"stack", strings.Repeat("frame\n", 1000)}, {strings.Repeat("key", 100), "v"}},
		"nested values": {{"list", []any{"a", int64(1), []any{"b"}}}, {"map", []attr{{"a", "x"}, {"b", []attr{{"c", 1.0}}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := decode(t, list)
			sum := uint64(0)
			require.Zero(t, testing.AllocsPerRun(100, func() { sum += h.Map(series.Point, m) }))
			require.NotZero(t, sum)
		})
	}
	t.Run("single parts", func(t *testing.T) {
		v, sum := value(t, "v"), uint64(0)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			sum += h.String(series.Point, "k", "v") + h.Value(series.Point, "k", v) + h.Name("metric", "group") +
				h.Combine(1, 2) + h.Identity(series.Identity{Name: "metric", Unit: "s", Kind: 3})
		}))
		require.NotZero(t, sum)
	})
}
