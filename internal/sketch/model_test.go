package sketch_test

import (
	"math"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// tag is what a table keeps of a hash.
func tag(hash uint64) uint64 { return hash >> 16 }

// room makes room for one more hash as the tracker does.
func room(table *sketch.Table) *sketch.Table {
	if table.Full() {
		return table.Resize(table.Fit())
	}
	return table
}

// rotate advances as the tracker does: what the table asks for is done.
func rotate(table *sketch.Table, now sketch.Epoch) *sketch.Table {
	table.Advance(now)
	if table.Sparse() || table.Stale() {
		return table.Resize(table.Fit())
	}
	return table
}

// model says the same as a table, slowly.
type model struct {
	window int
	now    sketch.Epoch
	last   map[uint64]sketch.Epoch // by tag
}

func (m *model) age(hash uint64) (epochs int, ok bool) {
	e, ok := m.last[tag(hash)]
	return int(m.now) - int(e), ok
}

func (m *model) contains(hash uint64) bool {
	age, ok := m.age(hash)
	return ok && age < m.window
}

func (m *model) touch(hash uint64) sketch.Outcome {
	outcome := sketch.New
	if m.contains(hash) {
		outcome = sketch.Known
		if m.last[tag(hash)] == m.now {
			outcome = sketch.Current
		}
	}
	m.last[tag(hash)] = m.now
	return outcome
}

func (m *model) count(epochs int) int {
	n := 0
	for _, e := range m.last {
		if int(m.now)-int(e) < min(epochs, m.window) {
			n++
		}
	}
	return n
}

// machine runs a table and its model side by side.
type machine struct {
	model

	table *sketch.Table
	pool  []uint64
}

func (m *machine) check(t *rapid.T) {
	for epochs := range m.window + 2 {
		require.Equal(t, m.count(epochs), m.table.Count(epochs), "count of %d epochs", epochs)
	}
	for _, hash := range m.pool {
		age, ok := m.age(hash)
		require.Equal(t, m.contains(hash), m.table.Contains(hash), "contains %x", hash)
		require.Equal(t, ok && age == 0, m.table.Seen(hash, m.now), "seen %x", hash)
	}
	all := map[uint64]sketch.Epoch{}
	for hash, e := range m.table.All() {
		require.NotContains(t, all, tag(hash), "listed twice")
		require.Zero(t, hash&0xffff)
		all[tag(hash)] = e
	}
	for known, e := range m.last {
		if int(m.now)-int(e) < m.window {
			require.Equal(t, e, all[known])
		}
	}
	require.Len(t, all, m.count(m.window))
}

// hashes are those that a table might place wrongly: the ends of the hash space,
// many with the same upper bits, those at the border between two slots of
// tables of odd sizes, and such as differ only in bits that no slot keeps.
func hashes() *rapid.Generator[uint64] {
	return rapid.OneOf(
		rapid.SampledFrom([]uint64{0, 1, 0xffff, 0x10000, math.MaxUint64, math.MaxUint64 - 0xffff, math.MaxUint64 - 0x10000, 1 << 63}),
		rapid.Map(rapid.Uint64Range(0, 40), func(k uint64) uint64 { return 0xabcdef<<40 | k<<16 }),
		rapid.Custom(border),
		rapid.Uint64(),
	)
}

// border draws the first hash of slot i of n, give or take one.
func border(t *rapid.T) uint64 {
	n := rapid.Uint64Range(3, 60).Draw(t, "slots")
	i := rapid.Uint64Range(1, n-1).Draw(t, "slot")
	first, _ := bits.Div64(i, 0, n)
	return first + rapid.Uint64Range(0, 2).Draw(t, "beside")
}

func TestATableSaysWhatAMapOfEpochsSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.SampledFrom([]sketch.Epoch{1, 2, 65534, 65535, 65536, 131069, 1 << 31}).Draw(t, "start")
		m := &machine{model: model{
			window: rapid.IntRange(1, 8).Draw(t, "window"), now: now, last: map[uint64]sketch.Epoch{},
		}}
		m.table = sketch.NewTable(m.window, now)
		m.pool = rapid.SliceOfN(hashes(), 1, 60).Draw(t, "pool")
		step := rapid.OneOf(
			rapid.Uint32Range(0, 3), rapid.Uint32Range(0, 20),
			rapid.SampledFrom([]uint32{32767, 32768, 65534, 65535, 65536, 65537, 2 * 65535, 2*65535 + 1, 3 * 65536, 1 << 24}))
		t.Repeat(map[string]func(*rapid.T){
			"touch one": func(t *rapid.T) { m.touchOne(t, rapid.SampledFrom(m.pool).Draw(t, "hash")) },
			"touch many": func(t *rapid.T) {
				for _, hash := range rapid.SliceOf(rapid.SampledFrom(m.pool)).Draw(t, "hashes") {
					m.touchOne(t, hash)
				}
			},
			"advance": func(t *rapid.T) {
				m.now += sketch.Epoch(step.Draw(t, "epochs"))
				m.table = rotate(m.table, m.now)
			},
			"advance one by one": func(t *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(t, "epochs") {
					m.now++
					m.table = rotate(m.table, m.now)
				}
			},
			"advance to the past": func(*rapid.T) { m.table.Advance(m.now - 1) },
			"resize": func(t *rapid.T) {
				m.table = m.table.Resize(m.table.Fit() + rapid.IntRange(0, 40).Draw(t, "more"))
			},
			"": m.check,
		})
	})
}

func (m *machine) touchOne(t *rapid.T, hash uint64) {
	m.table = room(m.table)
	require.False(t, m.table.Full(), "room was made")
	require.Equal(t, m.model.touch(hash), m.table.Touch(hash), "hash %x", hash)
}
