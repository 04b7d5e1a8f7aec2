package consistent_test

import (
	"math"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	c "github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

// V11: 25 % come in, an equalizing stage of 10 % follows.
func TestEqualizing(t *testing.T) {
	full, err := sampling.ProbabilityToThreshold(0.1)
	require.NoError(t, err)
	require.Equal(t, "e6666666666666", full.TValue())
	ours := c.FromProbability(0.1)
	require.Equal(t, "e666", ours.TValue(), "four digits of it")
	require.InEpsilon(t, full.Probability(), ours.Probability(), 1.0/8192)

	var r c.Reader
	in := r.Read("ot=th:c", high)
	require.Equal(t, 4.0, c.Represented(in))
	d := c.Decide(in, ours)
	require.Equal(t, c.Decision{Threshold: ours, Keep: true, Changed: true}, d)
	require.Equal(t, "ot=th:e666", r.Write("ot=th:c", d.Threshold))
}

func TestFromProbability(t *testing.T) {
	for _, tt := range []struct {
		p    float64
		want string
	}{
		{1, "0"},
		{2, "0"},
		{math.Inf(1), "0"},
		{math.NaN(), "0"},
		{0.5, "8"},
		{0.25, "c"},
		{1.0 / 3, "aaab"},
		{0.1, "e666"},
		{0.01, "fd70a"},
		{0.001, "ffbe77"},
		{1e-6, "ffffef39"},
		{0.999, "004189"},
		{1 - 1e-9, "000000044b8"},
		{0x1p-56, "ffffffffffffff"},
		{1e-20, "ffffffffffffff"},
		{0, "ffffffffffffff"},
		{-1, "ffffffffffffff"},
		{math.Inf(-1), "ffffffffffffff"},
	} {
		require.Equal(t, tt.want, c.FromProbability(tt.p).TValue(), "%g", tt.p)
	}
}

func TestPrecision(t *testing.T) {
	check(t, 2000, func(rt *rapid.T) {
		p := math.Exp2(-rapid.Float64Range(0, 43).Draw(rt, "log2"))
		got := c.FromProbability(p).Probability()
		if math.Abs(got-p)/p > 1.0/8192 {
			rt.Fatalf("%g became %g", p, got)
		}
		if q := min(1, p*(1+rapid.Float64Range(0, 1).Draw(rt, "more"))); sampling.ThresholdGreater(c.FromProbability(q), c.FromProbability(p)) {
			rt.Fatalf("%g has a greater threshold than %g", q, p)
		}
	})
}

func TestNeverIsNever(t *testing.T) {
	var r c.Reader
	require.False(t, c.Decide(r.Read("ot=rv:ffffffffffffff", high), sampling.NeverSampleThreshold).Keep)
}
