package relabel

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Keys are few and alike in their lower bits, so that they stand in each other's
// way.
func TestSightingsAgreeWithAMap(t *testing.T) {
	type entry struct {
		seen uint64
		row  Ticket
	}
	rapid.Check(t, func(t *rapid.T) {
		const grain = 3
		s, model := newSightings(0), map[uint64]entry{}
		now, rows := uint64(100), Ticket(0)
		draw := rapid.Custom(func(t *rapid.T) uint64 {
			low, high := rapid.Uint64Range(0, 3).Draw(t, "low"), rapid.Uint64Range(0, 60).Draw(t, "high")
			return place(high<<32 + low - 2) // zero and what marks a dropped one are among them
		})
		t.Repeat(map[string]func(*rapid.T){
			"see": func(t *rapid.T) {
				now += rapid.Uint64Range(0, 5).Draw(t, "later")
				key := draw.Draw(t, "key")
				e, known := model[key]
				require.Equal(t, known, s.see(key, now, grain))
				switch {
				case known && now-e.seen > grain:
					model[key] = entry{now, e.row}
				case !known:
					if s.full() {
						s = s.grown()
					}
					rows++
					s.put(key, now, rows)
					model[key] = entry{now, rows}
				}
			},
			"drop": func(t *rapid.T) {
				key := draw.Draw(t, "key")
				e, known := model[key]
				require.False(t, s.drop(key, e.row+1), "another row")
				require.Equal(t, known, s.drop(key, e.row))
				delete(model, key)
			},
			"forget": func(t *rapid.T) {
				oldest := now - rapid.Uint64Range(0, 60).Draw(t, "age")
				var gone, want []Ticket
				s = s.forget(oldest, now, func(row Ticket) { gone = append(gone, row) })
				for key, e := range model {
					if e.seen < oldest {
						want = append(want, e.row)
						delete(model, key)
					}
				}
				require.ElementsMatch(t, want, gone)
			},
			"": func(t *rapid.T) {
				for _, key := range slices.Sorted(maps.Keys(model)) {
					require.True(t, s.see(key, 0, grain))
				}
				require.GreaterOrEqual(t, s.used, len(model))
				require.LessOrEqual(t, 2*s.used, len(s.keys))
			},
		})
	})
}

func TestSightingsOfTheFutureBecomeThoseOfNow(t *testing.T) {
	s := newSightings(0)
	s.put(7, 1_000, 1)
	s.put(8, 5, 2)
	s.put(9, 1_000, 3)
	require.Same(t, s, s.forget(5, 10, nil), "nothing is gone")
	s.see(9, 1_000, 0)
	var gone []Ticket
	s = s.forget(6, 10, func(row Ticket) { gone = append(gone, row) })
	require.Equal(t, []Ticket{2}, gone)
	gone = nil
	require.True(t, s.see(7, 10, 0))
	s = s.forget(11, 12, func(row Ticket) { gone = append(gone, row) })
	require.ElementsMatch(t, []Ticket{1, 3}, gone)
	require.False(t, s.see(7, 12, 0))
}

func TestPassersForgetAtOnce(t *testing.T) {
	var none *passers
	require.False(t, none.has(7))
	p := newPassers(5)
	for key := range uint64(2_000) {
		require.False(t, p.has(key))
		p.put(key)
		require.True(t, p.has(key))
	}
	p = p.emptied()
	for key := range uint64(2_000) {
		require.False(t, p.has(key))
	}
	require.Len(t, newPassers(math.MaxInt).slots, 1<<20)
}
