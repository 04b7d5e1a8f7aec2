package series_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// nesting is how deep generated values go.
const nesting = 3

func TestTheWireOfTheTestsIsThatOfTheCollector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := lists(nesting).Draw(t, "attributes")
		require.Equal(t, canonical(list), canonical(tree(decode(t, list))))
	})
}

func TestOrderOfAttributesDoesNotMatter(t *testing.T) {
	h := fixed(t)
	rapid.Check(t, func(t *rapid.T) {
		list := lists(nesting).Draw(t, "attributes")
		want := h.Map(series.Point, decode(t, list))
		shuffled := rapid.Permutation(list).Draw(t, "shuffled")
		require.Equal(t, want, h.Map(series.Point, decode(t, shuffled)))
		require.Equal(t, want, h.Map(series.Point, decode(t, reversed(list))), "nested maps have no order either")
	})
}

func TestHashesAreEqualExactlyForTheSameTypedContent(t *testing.T) {
	h := fixed(t)
	rapid.Check(t, func(t *rapid.T) {
		a, b := lists(nesting).Draw(t, "a"), lists(nesting).Draw(t, "b")
		same := canonical(a) == canonical(b)
		require.Equal(t, same, h.Map(series.Point, decode(t, a)) == h.Map(series.Point, decode(t, b)),
			"%s and %s", canonical(a), canonical(b))
	})
}

func TestOneChangedValueChangesTheHash(t *testing.T) {
	h := fixed(t)
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(lists(nesting), 1, 4).Draw(t, "lists")
		all := []attr{{"kept", "x"}}
		for _, l := range list {
			all = append(all, l...)
		}
		before := decode(t, all)
		changed := append([]attr(nil), all...)
		i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
		changed[i].value = values(nesting).Draw(t, "value")
		same := canonical(all) == canonical(changed)
		require.Equal(t, same, h.Map(series.Point, before) == h.Map(series.Point, decode(t, changed)))
	})
}

// Leaving an attribute out is one subtraction: this is what every N without a
// rests on.
func TestSubtractingAContributionDropsTheAttribute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := series.NewHasher(drawSecret(t))
		list := append(lists(nesting).Draw(t, "before"), attr{"dropped", values(nesting).Draw(t, "value")})
		list = append(list, lists(nesting).Draw(t, "after")...)
		domain := rapid.SampledFrom([]series.Domain{series.Metric, series.Resource, series.Scope, series.Point}).Draw(t, "domain")

		m := decode(t, list)
		dropped, ok := m.Get("dropped")
		require.True(t, ok)
		left := h.Map(domain, m) - h.Value(domain, "dropped", dropped)
		require.True(t, m.Remove("dropped"))
		require.Equal(t, h.Map(domain, m), left)
	})
}

func TestSubtractingAllContributionsLeavesNothing(t *testing.T) {
	h := fixed(t)
	rapid.Check(t, func(t *rapid.T) {
		m := decode(t, lists(nesting).Draw(t, "attributes"))
		left := h.Map(series.Point, m)
		for key, v := range m.All() {
			left -= h.Value(series.Point, key, v)
		}
		require.Zero(t, left)
	})
}

func TestAStringValueIsAString(t *testing.T) {
	h := fixed(t)
	rapid.Check(t, func(t *rapid.T) {
		key, text := bytesAsString().Draw(t, "key"), bytesAsString().Draw(t, "value")
		v := pcommon.NewValueStr(text)
		require.Equal(t, h.String(series.Scope, key, text), h.Value(series.Scope, key, v))
	})
}

// A key that occurs twice counts twice. Under XOR it would cancel itself.
func TestAKeyThatOccursTwiceDoesNotCancel(t *testing.T) {
	h := fixed(t)
	rapid.Check(t, func(t *rapid.T) {
		v := values(nesting).Draw(t, "value")
		none := h.Map(series.Point, decode(t, nil))
		once := h.Map(series.Point, decode(t, []attr{{"k", v}}))
		twice := h.Map(series.Point, decode(t, []attr{{"k", v}, {"k", v}}))
		require.Zero(t, none)
		require.NotEqual(t, none, once)
		require.NotEqual(t, none, twice)
		require.NotEqual(t, once, twice)
		require.Equal(t, 2*once, twice)
	})
}

func TestTheSameHasherGivesTheSameHashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := drawSecret(t)
		m := decode(t, lists(nesting).Draw(t, "attributes"))
		want := series.NewHasher(secret).Map(series.Point, m)
		require.Equal(t, want, series.NewHasher(secret).Map(series.Point, m))
	})
}

// The hash of a series reads a map and leaves it as it was.
func TestHashingChangesNothing(t *testing.T) {
	h := fixed(t)
	rapid.Check(t, func(t *rapid.T) {
		m := decode(t, lists(nesting).Draw(t, "attributes"))
		before := pcommon.NewMap()
		m.CopyTo(before)
		h.Map(series.Point, m)
		require.Equal(t, canonical(tree(before)), canonical(tree(m)))
	})
}

func bytesAsString() *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 400), func(b []byte) string { return string(b) })
}

func drawSecret(t *rapid.T) series.Secret {
	s, err := series.ParseSecret(rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "secret"))
	require.NoError(t, err)
	return s
}
