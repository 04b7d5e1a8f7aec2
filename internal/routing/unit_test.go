package routing_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// compiled returns the experiment as a table has it.
func compiled(tb testing.TB, e routing.Experiment) *routing.Experiment {
	tb.Helper()
	table, err := routing.Compile([]routing.Experiment{e})
	require.NoError(tb, err)
	match := table.Resource(pcommon.NewMap())
	found, ok := match.Whole()
	require.True(tb, ok)
	require.NotNil(tb, found)
	return found
}

// series is the hash of a counter with one attribute, as real labels have them.
func series(resource, scope, point pcommon.Map, name string) uint64 {
	m := pmetric.NewMetric()
	m.SetName(name)
	m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	points, _ := walk.Of(m)
	s := pcommon.NewInstrumentationScope()
	scope.CopyTo(s.Attributes())
	return routing.ResourceHash(resource) + routing.ScopeHash(s) + routing.MetricHash(name, "1", &points) + routing.PointHash(point)
}

func one(key, value string) pcommon.Map {
	m := pcommon.NewMap()
	m.PutStr(key, value)
	return m
}

// unitsOf makes the unit of a number, by every kind.
func unitsOf(tb testing.TB, id string) map[string]func(k int) uint64 {
	tb.Helper()
	e := compiled(tb, routing.Experiment{ID: id})
	none := pcommon.NewMap()
	return map[string]func(k int) uint64{
		"resource": func(k int) uint64 {
			return e.ResourceUnit(routing.ResourceHash(one("k8s.pod.name", "checkout-7d9f8b6c5d-"+strconv.Itoa(k))))
		},
		"resource by number": func(k int) uint64 {
			m := pcommon.NewMap()
			m.PutInt("shard", int64(k))
			return e.ResourceUnit(routing.ResourceHash(m))
		},
		"series": func(k int) uint64 {
			return e.SeriesUnit(series(one("service.name", "shop"), none, one("user", "u"+strconv.Itoa(k)), "requests"))
		},
		"series by name": func(k int) uint64 {
			return e.SeriesUnit(series(none, none, none, "m"+strconv.Itoa(k)))
		},
		"attribute":           func(k int) uint64 { return e.AttributeUnit(pcommon.NewValueStr("tenant-" + strconv.Itoa(k))) },
		"attribute of number": func(k int) uint64 { return e.AttributeUnit(pcommon.NewValueInt(int64(k))) },
		"trace": func(k int) uint64 {
			var id pcommon.TraceID
			binary.BigEndian.PutUint64(id[8:], uint64(k)+1)
			unit, ok := e.TraceUnit(id)
			require.True(tb, ok)
			return unit
		},
	}
}

// Units of running experiments must never move: these values are for ever.
func TestHashesNeverChange(t *testing.T) {
	want := map[string]uint64{
		"resource":            0x7693a812aa03476a,
		"resource by number":  0xe22878ee3f142f19,
		"series":              0xd9cda26ab030dee9,
		"series by name":      0xd0040c8bd45ac27c,
		"attribute":           0x6245ac5913466aa7,
		"attribute of number": 0xe621a54f97136832,
		"trace":               0xba0b9f02698d28c9,
	}
	for name, unit := range unitsOf(t, "team/experiment") {
		require.Equal(t, want[name], unit(7), name)
	}
}

func TestSharesMatchWeights(t *testing.T) {
	const n = 1 << 16
	for name, unit := range unitsOf(t, "team/experiment") {
		t.Run(name, func(t *testing.T) {
			var parts [100]int
			for k := range n {
				parts[routing.Percentile(unit(k))]++
			}
			require.NoError(t, even(parts[:], n), "χ² over 100 parts")
			for _, weight := range []int{1, 5, 25, 50, 75, 99} {
				share := 0
				for _, c := range parts[:weight] {
					share += c
				}
				p := float64(weight) / 100
				require.InDelta(t, p*n, share, 4.5*math.Sqrt(n*p*(1-p)), "at %d %%", weight)
			}
		})
	}
}

// even compares counts that are to be equal with a χ² test: six standard
// deviations are allowed, and the inputs are fixed, so the test cannot flicker.
func even(counts []int, n int) error {
	want := float64(n) / float64(len(counts))
	sum := 0.0
	for _, c := range counts {
		sum += (float64(c) - want) * (float64(c) - want) / want
	}
	free := float64(len(counts) - 1)
	if limit := free + 6*math.Sqrt(2*free); sum > limit {
		return fmt.Errorf("χ² of %.0f, at most %.0f expected", sum, limit)
	}
	return nil
}

func TestTheTestOfSharesSeesABias(t *testing.T) {
	require.NoError(t, even([]int{250, 260, 240, 250}, 1000))
	require.Error(t, even([]int{350, 200, 200, 250}, 1000))
}

// What one experiment does with a unit tells nothing about another: all pairs of
// parts of two experiments are as frequent.
func TestExperimentsAreIndependent(t *testing.T) {
	const n = 1 << 15
	for _, ids := range [][2]string{{"team/a", "team/b"}, {"a", "aa"}, {"exp-1", "exp-2"}, {"\x00", "\x01"}} {
		first, second := unitsOf(t, ids[0]), unitsOf(t, ids[1])
		for name := range first {
			t.Run(fmt.Sprintf("%q %s", ids, name), func(t *testing.T) {
				var pairs [400]int
				var flips [64]int
				for k := range n {
					a, b := first[name](k), second[name](k)
					pairs[routing.Percentile(a)/5*20+routing.Percentile(b)/5]++
					for rest := a ^ b; rest != 0; rest &= rest - 1 {
						flips[bits.TrailingZeros64(rest)]++
					}
				}
				require.NoError(t, even(pairs[:], n), "χ² over 20 × 20 parts")
				for bit, c := range flips {
					require.InDelta(t, n/2, c, 6*math.Sqrt(n)/2, "bit %d", bit)
				}
			})
		}
	}
}

// A change of weight moves exactly the units between the two weights, and no
// other.
func TestAChangeMovesTheUnitsBetween(t *testing.T) {
	const n = 20_000
	unit := unitsOf(t, "team/experiment")["series"]
	units := make([]uint64, n)
	for k := range units {
		units[k] = unit(k)
	}
	for before := range 101 {
		for after := range 101 {
			low, high := min(before, after), max(before, after)
			for _, u := range units[:2000] {
				moved := routing.Candidate(u, before) != routing.Candidate(u, after)
				if between := routing.Percentile(u) >= low && routing.Percentile(u) < high; moved != between {
					t.Fatalf("from %d to %d: unit %x moves: %v, is between: %v", before, after, u, moved, between)
				}
				if moved && routing.Candidate(u, after) != (after > before) {
					t.Fatalf("from %d to %d: unit %x moves to the arm whose weight fell", before, after, u)
				}
			}
		}
	}
	for _, u := range units {
		require.False(t, routing.Candidate(u, 0))
		require.True(t, routing.Candidate(u, 100))
	}
}

func TestTheEndsOfTheRange(t *testing.T) {
	require.Equal(t, 0, routing.Percentile(0))
	require.Equal(t, 99, routing.Percentile(math.MaxUint64))
	require.True(t, routing.Candidate(math.MaxUint64, 100))
	require.False(t, routing.Candidate(0, 0))
	require.True(t, routing.Candidate(0, 1))
	rapid.Check(t, func(t *rapid.T) {
		u, w := rapid.Uint64().Draw(t, "unit"), rapid.IntRange(0, 99).Draw(t, "weight")
		if routing.Candidate(u, w) {
			require.True(t, routing.Candidate(u, w+1))
		}
	})
}

// The order of attributes does not matter, where they stand does.
func TestASeriesIsItsContent(t *testing.T) {
	a, b := pcommon.NewMap(), pcommon.NewMap()
	a.PutStr("x", "1")
	a.PutStr("y", "2")
	b.PutStr("y", "2")
	b.PutStr("x", "1")
	none := pcommon.NewMap()
	require.Equal(t, series(a, none, b, "m"), series(b, none, a, "m"))
	require.NotEqual(t, series(a, none, none, "m"), series(none, none, a, "m"))
	require.NotEqual(t, series(none, a, none, "m"), series(none, none, a, "m"))
	require.NotEqual(t, series(none, none, none, "m"), series(none, none, none, "n"))
	named, attribute := pcommon.NewInstrumentationScope(), pcommon.NewInstrumentationScope()
	named.SetName("n")
	attribute.SetVersion("n")
	require.NotEqual(t, routing.ScopeHash(named), routing.ScopeHash(attribute))

	kinds := map[uint64]string{}
	for _, become := range []func(pmetric.Metric){
		func(m pmetric.Metric) { m.SetEmptyGauge() },
		func(m pmetric.Metric) { m.SetEmptySummary() },
		func(m pmetric.Metric) { m.SetEmptySum() },
		func(m pmetric.Metric) { m.SetEmptySum().SetIsMonotonic(true) },
		func(m pmetric.Metric) { m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta) },
		func(m pmetric.Metric) {
			m.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		},
		func(m pmetric.Metric) {
			m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		},
		func(m pmetric.Metric) {
			m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		},
	} {
		m := pmetric.NewMetric()
		become(m)
		points, ok := walk.Of(m)
		require.True(t, ok)
		hash := routing.MetricHash("m", "1", &points)
		require.Empty(t, kinds[hash])
		kinds[hash] = m.Type().String()
		require.NotEqual(t, hash, routing.MetricHash("m", "s", &points))
	}
}

func TestTheUnitOfAnAttribute(t *testing.T) {
	resource, scope, point := one("tenant", "of-resource"), one("tenant", "of-scope"), one("tenant", "of-point")
	f := func(level routing.Level, r, s, p pcommon.Map, want string) {
		t.Helper()
		e := routing.Experiment{ID: "e", Unit: routing.UnitAttribute, UnitAttribute: routing.AttributeRef{Level: level, Key: "tenant"}}
		v, ok := e.UnitValue(r, s, p)
		require.Equal(t, want != "", ok)
		if ok {
			require.Equal(t, want, v.Str())
		}
	}
	none := pcommon.NewMap()
	f(routing.LevelAny, resource, scope, point, "of-point")
	f(routing.LevelAny, resource, scope, none, "of-resource")
	f(routing.LevelAny, none, scope, none, "")
	f(routing.LevelResource, resource, scope, point, "of-resource")
	f(routing.LevelResource, none, scope, point, "")
	f(routing.LevelScope, resource, scope, point, "of-scope")
	f(routing.LevelScope, resource, none, point, "")
	f(routing.LevelPoint, resource, scope, point, "of-point")
	f(routing.LevelPoint, resource, scope, none, "")

	e := compiled(t, routing.Experiment{ID: "e"})
	require.Equal(t, e.AttributeUnit(pcommon.NewValueStr("200")), e.AttributeUnit(pcommon.NewValueInt(200)), "values compare as text")
	require.Equal(t, e.AttributeUnit(pcommon.NewValueStr("true")), e.AttributeUnit(pcommon.NewValueBool(true)))
	_, ok := e.TraceUnit(pcommon.NewTraceIDEmpty())
	require.False(t, ok)
}
