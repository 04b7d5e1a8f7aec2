package series_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/series"
)

func TestPairExtendsTheHash(t *testing.T) {
	h := series.NewHasher(series.NewSecret())
	m := pcommon.NewMap()
	m.PutStr("pod", "a")
	m.PutInt("code", 200)
	p := h.PairMap(series.Point, m)
	require.Equal(t, h.Map(series.Point, m), p.A)
	pod := h.Pair(h.String(series.Point, "pod", "a"))
	m.Remove("pod")
	require.Equal(t, h.PairMap(series.Point, m), p.Sub(pod))
	require.Equal(t, p, p.Sub(pod).Add(pod))
	require.NotEqual(t, p.A, p.B)
}

func TestPairSumsAreMixedApart(t *testing.T) {
	h := series.NewHasher(series.Secret{})
	const n = 100_000
	firsts, seconds, differences, bitsSet := map[uint64]bool{}, map[uint64]bool{}, map[uint64]bool{}, 0
	for i := range n {
		p := h.Pair(h.String(series.Point, "k", strconv.Itoa(i)))
		firsts[p.A], seconds[p.B], differences[p.A-p.B] = true, true, true
		for b := p.A ^ p.B; b != 0; b &= b - 1 {
			bitsSet++
		}
	}
	require.Len(t, firsts, n)
	require.Len(t, seconds, n)
	require.Len(t, differences, n)
	require.InDelta(t, 32, float64(bitsSet)/n, 0.1)
	// Attributes that swap their values differ in both sums.
	a := h.Pair(h.String(series.Point, "x", "1")).Add(h.Pair(h.String(series.Point, "y", "2")))
	b := h.Pair(h.String(series.Point, "x", "2")).Add(h.Pair(h.String(series.Point, "y", "1")))
	require.NotEqual(t, a.A, b.A)
	require.NotEqual(t, a.B, b.B)
	other := series.NewHasher(series.NewSecret())
	require.NotEqual(t, h.Pair(1).B, other.Pair(1).B, "keyed")
}
