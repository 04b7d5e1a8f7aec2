package routing

import (
	"encoding/binary"
	"math/bits"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// The hashes of units are public: replicas that share nothing must agree on them.
// Changing this text, or anything else here, moves units of running experiments;
// TestHashesNeverChange guards it.
var public = hasher("706866786e69782e726f7574696e6731")

// Seeds of hashes of text, so that an id and an equal value have nothing in common.
const (
	seedExperiment = 0x7363616c65746c79
	seedValue      = 0x756e69742e76616c
)

// parts is into how many the range of hashes is divided: weights are in percent.
const parts = 100

func hasher(text string) *series.Hasher {
	secret, err := series.ParseSecret(text)
	if err != nil {
		panic(err) // a constant of this file
	}
	return series.NewHasher(secret)
}

// ResourceHash is the part of a series' hash that its resource has. It is the
// same for all experiments, so that it is computed once a resource.
func ResourceHash(attributes pcommon.Map) uint64 { return public.Map(series.Resource, attributes) }

// ScopeHash is the part that the instrumentation scope has: name, version and
// attributes.
func ScopeHash(scope pcommon.InstrumentationScope) uint64 {
	return public.String(series.Scope, "\x00name", scope.Name()) +
		public.String(series.Scope, "\x00version", scope.Version()) +
		public.Map(series.Scope, scope.Attributes())
}

// MetricHash is the part that the metric has: name, unit, type, temporality and
// monotonicity.
func MetricHash(name, unit string, points *walk.Points) uint64 {
	kind := uint8(points.Type())<<3 | uint8(points.Temporality())<<1 //nolint:gosec // small enumerations
	if points.Monotonic() {
		kind |= 1
	}
	return public.Identity(series.Identity{Name: name, Unit: unit, Kind: kind})
}

// PointHash is the part that the point has. The sum of all four is the hash of a
// series.
func PointHash(attributes pcommon.Map) uint64 { return public.Map(series.Point, attributes) }

// ResourceUnit is the unit of a resource by its ResourceHash.
func (e *Experiment) ResourceUnit(hash uint64) uint64 { return e.unit(hash) }

// SeriesUnit is the unit of a series by the sum of its hashes.
func (e *Experiment) SeriesUnit(hash uint64) uint64 { return e.unit(hash) }

// AttributeUnit is the unit of a value of an attribute. Values compare as text:
// 200 and "200" are one unit.
func (e *Experiment) AttributeUnit(value pcommon.Value) uint64 {
	return e.unit(xxh3.HashStringSeed(text(value), seedValue))
}

// TraceUnit is the unit of a trace. ok is false for what belongs to none.
func (e *Experiment) TraceUnit(id pcommon.TraceID) (unit uint64, ok bool) {
	first, second := binary.LittleEndian.Uint64(id[:8]), binary.LittleEndian.Uint64(id[8:])
	return e.unit(public.Combine(first, second)), !id.IsEmpty()
}

// unit mixes a hash with the experiment: not linearly, so that two experiments
// have nothing in common.
func (e *Experiment) unit(hash uint64) uint64 { return public.Combine(e.salt, hash) }

// UnitValue finds the value that is the unit of UnitAttribute. Without the
// attribute there is no unit, and the data stays with the baseline.
func (e *Experiment) UnitValue(resource, scope, point pcommon.Map) (pcommon.Value, bool) {
	key := e.UnitAttribute.Key
	switch e.UnitAttribute.Level {
	case LevelResource:
		return resource.Get(key)
	case LevelScope:
		return scope.Get(key)
	case LevelPoint:
		return point.Get(key)
	case LevelAny:
	}
	if v, ok := point.Get(key); ok {
		return v, true
	}
	return resource.Get(key)
}

// Candidate says whether a unit is the candidate's at a weight in percent. Who is
// the candidate's at a weight is so at every higher one; at 0 nobody is, at 100
// everybody.
func Candidate(unit uint64, weight int) bool { return Percentile(unit) < weight }

// Percentile is the highest weight at which a unit is still the baseline's: 0 to 99.
func Percentile(unit uint64) int {
	part, _ := bits.Mul64(unit, parts)
	return int(part) //nolint:gosec // below 100
}
