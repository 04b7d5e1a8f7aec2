package series_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

func TestASeedStandsForItsKey(t *testing.T) {
	h := fixed(t)
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom([]series.Domain{series.Metric, series.Resource, series.Scope, series.Point}).Draw(t, "domain")
		key, raw := rapid.String().Draw(t, "key"), values(2).Draw(t, "value")
		seed := h.Seed(d, key)
		require.Equal(t, h.Value(d, key, value(t, raw)), h.Seeded(seed, value(t, raw)))
		if text, ok := raw.(string); ok {
			require.Equal(t, h.String(d, key, text), h.SeededString(seed, text))
		}
	})
}

func TestSeedsDiffer(t *testing.T) {
	h := fixed(t)
	seeds := map[string]uint64{
		"point":        uint64(h.Seed(series.Point, "k")),
		"resource":     uint64(h.Seed(series.Resource, "k")),
		"another key":  uint64(h.Seed(series.Point, "kk")),
		"other secret": uint64(hasherOf(t, "10112233445566778899aabbccddeeff").Seed(series.Point, "k")),
	}
	distinct(t, seeds)
}

func TestSeedingDoesNotAllocate(t *testing.T) {
	h, sum := fixed(t), uint64(0)
	seed, text, number := h.Seed(series.Point, "k"), value(t, "text"), value(t, int64(7))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		sum += h.Seeded(seed, text) + h.Seeded(seed, number) + h.SeededString(seed, "text") + uint64(h.Seed(series.Point, "k"))
	}))
	require.NotZero(t, sum)
}
