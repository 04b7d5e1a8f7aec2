package series_test

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// distinct fails if two of the named hashes are equal.
func distinct(t *testing.T, hashes map[string]uint64) {
	t.Helper()
	seen := make(map[uint64]string, len(hashes))
	for name, hash := range hashes {
		if other, ok := seen[hash]; ok {
			require.Failf(t, "equal hashes", "%s and %s", name, other)
		}
		seen[hash] = name
	}
}

func TestLookalikesDiffer(t *testing.T) {
	h := fixed(t)
	for name, family := range map[string][][]attr{
		"values swapped between keys": {
			{{"a", "x"}, {"b", "y"}}, {{"a", "y"}, {"b", "x"}}, {{"a", "x"}, {"b", "x"}}, {{"a", "y"}, {"b", "y"}},
		},
		"keys and values exchanged": {
			{{"a", "b"}}, {{"b", "a"}}, {{"a", "a"}}, {{"b", "b"}}, {{"ab", ""}}, {{"", "ab"}}, {{"", ""}}, {},
		},
		"types of one": {
			{{"k", int64(1)}},
			{{"k", "1"}},
			{{"k", 1.0}},
			{{"k", true}},
			{{"k", []byte("1")}},
			{{"k", []byte{1}}},
			{{"k", []any{int64(1)}}},
			{{"k", []any{"1"}}},
			{{"k", []attr{{"k", int64(1)}}}},
			{{"k", []attr{{"1", nil}}}},
			{{"k", int64(math.Float64bits(1))}},
			{{"k", math.Float64frombits(1)}},
		},
		"kinds of nothing": {
			{},
			{{"k", nil}},
			{{"k", ""}},
			{{"k", int64(0)}},
			{{"k", 0.0}},
			{{"k", math.Copysign(0, -1)}},
			{{"k", false}},
			{{"k", []byte{}}},
			{{"k", []any{}}},
			{{"k", []attr{}}},
			{{"k", []any{nil}}},
			{{"k", []attr{{"", nil}}}},
			{{"k", []any{[]any{}}}},
			{{"k", []any{[]attr{}}}},
			{{"k", []attr{{"", []attr{}}}}},
		},
		"zero bytes": {
			{{"k", ""}}, {{"k", "\x00"}}, {{"k", "\x00\x00"}}, {{"k\x00", ""}}, {{"k", []byte{0}}}, {{"k", []byte{0, 0}}},
		},
		"a key that occurs twice": {
			{{"k", "a"}},
			{{"k", "a"}, {"k", "a"}},
			{{"k", "a"}, {"k", "a"}, {"k", "a"}},
			{{"k", "a"}, {"k", "b"}},
			{{"k", "b"}},
			{{"k", "b"}, {"k", "b"}},
			{{"k", []attr{{"n", "a"}}}},
			{{"k", []attr{{"n", "a"}, {"n", "a"}}}},
			{{"k", []attr{{"n", "b"}, {"n", "b"}}}},
			{{"k", []attr{{"n", "a"}, {"n", "b"}}}},
			{{"k", []attr{{"m", "a"}, {"m", "a"}}}},
		},
		"what a slice holds": {
			{{"k", []any{"a", "b"}}},
			{{"k", []any{"b", "a"}}},
			{{"k", []any{"ab"}}},
			{{"k", []any{"a", "b", ""}}},
			{{"k", []any{[]any{"a", "b"}}}},
			{{"k", []any{[]any{"a"}, "b"}}},
			{{"k", []any{"a", []any{"b"}}}},
			{{"k", []any{[]any{[]any{"a", "b"}}}}},
		},
		"what a map holds": {
			{{"k", []attr{{"a", "x"}, {"b", "y"}}}},
			{{"k", []attr{{"a", "y"}, {"b", "x"}}}},
			{{"k.a", "x"}, {"k.b", "y"}},
			{{"k", []attr{{"a", []attr{{"b", "x"}}}}}},
			{{"k", []attr{{"b", []attr{{"a", "x"}}}}}},
			{{"a", []attr{{"k", "x"}}}},
		},
		"not-a-numbers": {
			{{"k", math.NaN()}}, {{"k", math.Float64frombits(0x7ff8000000000000)}}, {{"k", math.Float64frombits(0xfff8000000000001)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			hashes := map[string]uint64{}
			for _, list := range family {
				hashes[canonical(list)] = h.Map(series.Point, decode(t, list))
			}
			require.Len(t, hashes, len(family))
			distinct(t, hashes)
		})
	}
}

func TestDomainsDiffer(t *testing.T) {
	h := fixed(t)
	for _, v := range []any{"v", int64(1), nil, []any{"v"}, []attr{{"k", "v"}}, []byte("v")} {
		hashes := map[string]uint64{}
		for _, d := range []series.Domain{series.Metric, series.Resource, series.Scope, series.Point} {
			hashes[fmt.Sprint(d)] = h.Value(d, "k", value(t, v))
		}
		distinct(t, hashes)
	}
}

// {resource a, point b} and {resource b, point a} are two series.
func TestSwappingAnAttributeBetweenDomainsDiffers(t *testing.T) {
	h := fixed(t)
	require.NotEqual(t,
		h.String(series.Resource, "a", "x")+h.String(series.Point, "b", "x"),
		h.String(series.Resource, "b", "x")+h.String(series.Point, "a", "x"))
}

// Words that make one factor of a product zero or one are the weak points of
// hashes that multiply. The first ones are the digits of π that such hashes,
// and this one, have as their constants. A stranger may send any of them.
func TestNoWordIsWeak(t *testing.T) {
	words := []uint64{
		0x243f6a8885a308d3, 0x13198a2e03707344, 0x13198a2e03707345, 0x13198a2e03707346, 0xb7e151628aed2a6b,
		0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0, 1, math.MaxUint64, 1 << 63, 1 << 32,
	}
	for _, w := range words[:8] {
		words = append(words, ^w, -w)
	}
	h := fixed(t)
	hashes := map[string]uint64{}
	for _, w := range words {
		for k := range 200 {
			key := fmt.Sprint("key-", k)
			hashes[fmt.Sprintf("%s int %x", key, w)] = h.Value(series.Point, key, pcommon.NewValueInt(int64(w)))
			hashes[fmt.Sprintf("%s double %x", key, w)] = h.Value(series.Point, key, pcommon.NewValueDouble(math.Float64frombits(w)))
		}
	}
	distinct(t, hashes)
}

func TestMetricsDiffer(t *testing.T) {
	h := fixed(t)
	hashes := map[string]uint64{}
	for _, id := range []series.Identity{
		{},
		{Name: "ab"},
		{Unit: "ab"},
		{Name: "a", Unit: "b"},
		{Name: "b", Unit: "a"},
		{Name: "abc"},
		{Name: "ab", Unit: "c"},
		{Name: "a", Unit: "bc"},
		{Unit: "abc"},
		{Name: "ab\x00"},
		{Name: "\x00ab"},
		{Name: "ab", Unit: "\x00"},
		{Name: "\xff"},
	} {
		for kind := range 256 {
			id.Kind = uint8(kind)
			hashes[fmt.Sprintf("%+v", id)] = h.Identity(id)
		}
	}
	require.Len(t, hashes, 13*256)
	distinct(t, hashes)
}

// An attribute in the domain of metrics is not the metric, and the name of a
// table's entry is neither.
func TestNamesOfDifferentUsesDiffer(t *testing.T) {
	h := fixed(t)
	distinct(t, map[string]uint64{
		"identity":         h.Identity(series.Identity{Name: "n", Unit: "u"}),
		"attribute":        h.String(series.Metric, "u", "n"),
		"entry":            h.Name("n", "u"),
		"exchanged entry":  h.Name("u", "n"),
		"joined entry":     h.Name("nu", ""),
		"joined group":     h.Name("", "nu"),
		"empty entry":      h.Name("", ""),
		"entry, no group":  h.Name("n", ""),
		"group, no metric": h.Name("", "u"),
	})
}

func TestCombineIsOfOrderedPairs(t *testing.T) {
	h := fixed(t)
	hashes := map[string]uint64{}
	for a := range 100 {
		for b := range 100 {
			hashes[fmt.Sprint(a, ",", b)] = h.Combine(
				h.String(series.Point, "a", strconv.Itoa(a)), h.String(series.Point, "a", strconv.Itoa(b)))
		}
	}
	distinct(t, hashes)
	require.NotEqual(t, h.Combine(0, 1), h.Combine(1, 0))
	require.NotEqual(t, h.Combine(0, 0), h.Combine(0, 1), "0 stands for an attribute that is not there")
}

func TestCombineIsKeyed(t *testing.T) {
	require.NotEqual(t, fixed(t).Combine(1, 2), hasherOf(t, "ff112233445566778899aabbccddeeff").Combine(1, 2))
}

// The bytes count as they are: nothing is replaced by U+FFFD.
func TestInvalidUTF8CountsAsItIs(t *testing.T) {
	h := fixed(t)
	hashes := map[string]uint64{"replacement": h.String(series.Point, "k", "�")}
	for b := 0x80; b <= 0xff; b++ {
		text := string([]byte{byte(b)})
		hashes[fmt.Sprintf("value %x", b)] = h.String(series.Point, "k", text)
		hashes[fmt.Sprintf("key %x", b)] = h.String(series.Point, text, "k")
		require.Equal(t, h.String(series.Point, "k", text), h.Value(series.Point, "k", value(t, text)), "over the wire")
	}
	distinct(t, hashes)
}

// Every length takes another path through the string hash; each must depend on
// every byte and on the key.
func TestEveryByteOfAStringCounts(t *testing.T) {
	h := fixed(t)
	for n := range 300 {
		text := make([]byte, n)
		hashes := map[string]uint64{
			"plain":     h.String(series.Point, "k", string(text)),
			"other key": h.String(series.Point, "l", string(text)),
			"as key":    h.String(series.Point, string(text), "k"),
		}
		for i := range text {
			text[i] = 1
			hashes[fmt.Sprint("value ", i)] = h.String(series.Point, "k", string(text))
			hashes[fmt.Sprint("key ", i)] = h.String(series.Point, string(text), "k")
			hashes[fmt.Sprint("bytes ", i)] = h.Value(series.Point, "k", value(t, text[:n:n]))
			text[i] = 0
		}
		distinct(t, hashes)
	}
}
