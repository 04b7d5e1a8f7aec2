package relabel

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

func testHasher(t require.TestingT) *series.Hasher {
	secret, err := series.ParseSecret(strings.Repeat("5a", 16))
	require.NoError(t, err)
	return series.NewHasher(secret)
}

// twelve are the attributes of a point of a usual service, of which two go.
func twelve() (pcommon.Map, Settings) {
	m := pcommon.NewMap()
	for i, key := range []string{
		"http.request.method", "http.response.status_code", "http.route", "url.scheme", "server.address", "server.port",
		"network.protocol.name", "network.protocol.version", "k8s.pod.name", "k8s.pod.uid", "k8s.namespace.name", "error.type",
	} {
		if i%6 == 5 {
			m.PutInt(key, int64(8080+i))
		} else {
			m.PutStr(key, fmt.Sprintf("value-%d-of-it", i))
		}
	}
	return m, Settings{Drop: []Ref{{Bare, "k8s.pod.*"}}}
}

func TestPairsOfWhatStays(t *testing.T) {
	attrs, s := twelve()
	h := testHasher(t)
	keys := mustPlan(t, s).Keys(series.Point, h)
	left := pcommon.NewMap()
	attrs.CopyTo(left)
	left.RemoveIf(func(key string, _ pcommon.Value) bool { return strings.HasPrefix(key, "k8s.pod.") })
	for range 3 {
		all, stays := keys.Pairs(attrs)
		assert.Equal(t, h.PairMap(series.Point, attrs), all)
		assert.Equal(t, h.PairMap(series.Point, left), stays)
	}
	keys.Reset(mustPlan(t, Settings{}))
	all, stays := keys.Pairs(attrs)
	assert.Equal(t, all, stays)
	keys.Reset(mustPlan(t, Settings{Keep: []Ref{}}))
	_, stays = keys.Pairs(attrs)
	assert.Zero(t, stays)
	keys.Reset(mustPlan(t, s))
	_, stays = keys.Pairs(attrs)
	assert.Equal(t, h.PairMap(series.Point, left), stays)
}

// Keys of many names take each other's slots, and long ones have none.
func TestKeysAgreeWithThePlanUnderChurn(t *testing.T) {
	p := mustPlan(t, Settings{Drop: []Ref{{OnPoint, "*7*"}, {OnPoint, "k1"}}})
	keys := p.Keys(series.Point, testHasher(t))
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		key := fmt.Sprint("k", r.IntN(2_000))
		if r.IntN(20) == 0 {
			key = strings.Repeat(key, 100)
		}
		require.Equal(t, p.Key(series.Point, key), keys.Key(r.IntN(80), key), key)
	}
}

// There are many of them: one a rule, level and goroutine.
func TestKeysGrowWithTheKeys(t *testing.T) {
	attrs, s := twelve()
	keys := mustPlan(t, s).Keys(series.Point, testHasher(t))
	require.Len(t, keys.slots, keyWays)
	keys.Pairs(attrs)
	require.LessOrEqual(t, len(keys.slots), 64)
	for i := range 5_000 {
		keys.Key(0, fmt.Sprint("key", i))
		keys.Key(1, strings.Repeat("long", i))
	}
	require.Len(t, keys.slots, maxSlots)
	for i := range keys.slots {
		require.LessOrEqual(t, len(keys.slots[i].key), maxKeyBytes)
	}
	_, stays := keys.Pairs(attrs)
	require.NotZero(t, stays)
}

func TestKeysRememberNoBorrowedText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := mustPlan(t, Settings{Drop: []Ref{{OnPoint, "a*"}}})
		keys := p.Keys(series.Point, testHasher(t))
		buffer := []byte("a1")
		keys.Key(0, string(buffer))
		for range 5 {
			copy(buffer, rapid.SampledFrom([]string{"a1", "b1", "a2"}).Draw(t, "key"))
			require.Equal(t, p.Key(series.Point, string(buffer)), keys.Key(0, string(buffer)))
		}
	})
}

func TestKeysDoNotAllocate(t *testing.T) {
	attrs, s := twelve()
	h := testHasher(t)
	keys := mustPlan(t, s).Keys(series.Point, h)
	var churn []string
	for i := range 1_000 {
		churn = append(churn, fmt.Sprintf("key-%03d", i))
	}
	for _, key := range churn {
		keys.Key(0, key)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { keys.Pairs(attrs) }))
	assert.Zero(t, testing.AllocsPerRun(5, func() {
		for _, key := range churn {
			keys.Key(0, key)
		}
	}), "a slot keeps its memory")
}

var sinkAction Action

// The decisions alone, in steady and in changing order.
func BenchmarkKeys(b *testing.B) {
	attrs, s := twelve()
	var names []string
	for key := range attrs.All() {
		names = append(names, strings.Clone(key))
	}
	run := func(b *testing.B, step int) {
		keys := mustPlan(b, s).Keys(series.Point, testHasher(b))
		b.ReportAllocs()
		shift := 0
		for b.Loop() {
			for i := range names {
				sinkAction |= keys.Key((i+shift)%12, names[i])
			}
			shift += step
		}
	}
	b.Run("steady", func(b *testing.B) { run(b, 0) })
	b.Run("shifting", func(b *testing.B) { run(b, 1) })
}

var sinkPair series.Pair

// What Pairs takes beyond hashing is its difference from map.
func BenchmarkKeysPairs(b *testing.B) {
	attrs, s := twelve()
	for key, value := range attrs.All() {
		value.SetStr(value.AsString() + " of " + key[:4])
	}
	h := testHasher(b)
	b.Run("map", func(b *testing.B) {
		for b.Loop() {
			sinkPair.A += h.Map(series.Point, attrs)
		}
	})
	b.Run("pair map", func(b *testing.B) {
		for b.Loop() {
			sinkPair = sinkPair.Add(h.PairMap(series.Point, attrs))
		}
	})
	b.Run("pairs", func(b *testing.B) {
		keys := mustPlan(b, s).Keys(series.Point, testHasher(b))
		b.ReportAllocs()
		for b.Loop() {
			all, stays := keys.Pairs(attrs)
			sinkPair = sinkPair.Add(all).Add(stays)
		}
	})
}
