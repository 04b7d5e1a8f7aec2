package adaptivesamplerprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// What is remembered of the point before never shows in an identity.
func TestIdentityIsThatOfTheAttributes(t *testing.T) {
	h := series.NewHasher(series.NewSecret())
	rapid.Check(t, func(t *rapid.T) {
		var last lastAttributes
		for range rapid.IntRange(1, 10).Draw(t, "points") {
			attributes := pcommon.NewMap()
			for range rapid.IntRange(0, 3).Draw(t, "attributes") {
				to := attributes.PutEmpty(rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "key"))
				switch rapid.IntRange(0, 3).Draw(t, "type") {
				case 0:
					to.SetStr(rapid.SampledFrom([]string{"", "1", "x"}).Draw(t, "value"))
				case 1:
					to.SetInt(rapid.Int64Range(0, 1).Draw(t, "number"))
				case 2:
					to.SetBool(rapid.Bool().Draw(t, "flag"))
				}
			}
			require.Equal(t, h.PairMap(series.Point, attributes), last.pair(h, attributes))
			if rapid.IntRange(0, 4).Draw(t, "another batch") == 0 {
				last.forget()
			}
		}
	})
	many := pcommon.NewMap()
	for i := range 2 * maxLastAttributes {
		many.PutInt(string(rune('A'+i)), int64(i))
	}
	var last lastAttributes
	require.Equal(t, h.PairMap(series.Point, many), last.pair(h, many))
}

func BenchmarkIdentify(b *testing.B) {
	points := benchBatch(0, 0).ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Histogram().DataPoints()
	h := series.NewHasher(series.Secret{})
	var sum series.Pair
	b.Run("each attribute hashed", func(b *testing.B) {
		for i := range b.N {
			sum = sum.Add(h.PairMap(series.Point, points.At(i%benchPoints).Attributes()))
		}
	})
	b.Run("those of the point before known", func(b *testing.B) {
		var last lastAttributes
		for i := range b.N {
			sum = sum.Add(last.pair(h, points.At(i%benchPoints).Attributes()))
		}
	})
	require.NotZero(b, sum)
}
