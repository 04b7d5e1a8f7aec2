package adaptivesamplerprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// identify is the identity of the series of the current metric with these
// attributes.
func (f *metricsFeeder) identify(attributes pcommon.Map) deadband.Key {
	return deadband.Key(f.metric.identity.Add(f.attributes.pair(f.hasher, attributes)))
}

// lastAttributes are those of the last point, by their place, with what hashing
// them gave. The points of a metric have the same keys in the same order, and most
// of them the same values as the point before: comparing costs a third of hashing
// (BenchmarkIdentify).
type lastAttributes []lastAttribute

type lastAttribute struct {
	key   string
	seed  series.Seed
	value string
	pair  series.Pair // of key and value
	// hashed says that seed holds, valued that value and pair do.
	hashed, valued bool
}

// maxLastAttributes bounds them; further attributes are hashed each time.
const maxLastAttributes = 32

// pair is series.Hasher.PairMap for attributes of points.
func (l *lastAttributes) pair(h *series.Hasher, attributes pcommon.Map) (sum series.Pair) {
	place := 0
	for key, value := range attributes.All() {
		if place == maxLastAttributes {
			sum = sum.Add(h.Pair(h.Value(series.Point, key, value)))
			continue
		}
		if place == len(*l) {
			*l = append(*l, lastAttribute{})
		}
		a := &(*l)[place]
		place++
		if !a.hashed || a.key != key {
			*a = lastAttribute{key: key, seed: h.Seed(series.Point, key), hashed: true}
		}
		if value.Type() != pcommon.ValueTypeStr {
			sum = sum.Add(h.Pair(h.Seeded(a.seed, value)))
			continue
		}
		if text := value.Str(); !a.valued || a.value != text {
			a.value, a.valued, a.pair = text, true, h.Pair(h.SeededString(a.seed, text))
		}
		sum = sum.Add(a.pair)
	}
	return sum
}

// forget lets go of the texts, which belong to a batch.
func (l lastAttributes) forget() { clear(l) }
