package relabel

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// TopKState is what a TopK knows, to be stored.
type TopKState struct {
	// Floor bounds the weight of the values that are not listed.
	Floor float64
	// Values are those that have a counter, members first, each heaviest first.
	Values []RankedValue
}

// RankedValue is one value of a TopKState.
type RankedValue struct {
	// Value is its text.
	Value string
	// Weight is what it weighs at most, Error by how much that may be too much.
	Weight, Error float64
	// Streak counts the edges in a row at which it outweighed a member.
	Streak int
	// IsMember says whether it is in.
	IsMember bool
}

// State returns what the TopK knows.
func (t *TopK) State() TopKState {
	s := TopKState{Floor: t.counters.floor}
	for _, list := range [][]*counter{t.members, t.counters.heap} {
		list = slices.Clone(list)
		slices.SortFunc(list, func(a, b *counter) int { return lighterFirst(b, a) })
		for _, c := range list {
			s.Values = append(s.Values, RankedValue{
				Value: c.value, Weight: c.weight, Error: c.err, Streak: c.streak, IsMember: c.at < 0,
			})
		}
	}
	return s
}

// Restore makes a new TopK know what another knew, possibly one with other
// settings: with a smaller K the heaviest members stay. What cannot be true in
// the state is left out.
func (t *TopK) Restore(s TopKState) {
	t.counters = newCounters(t.counters.room)
	t.members = nil
	if plausible(s.Floor) {
		t.counters.floor = s.Floor
	}
	values := slices.Clone(s.Values)
	slices.SortStableFunc(values, func(a, b RankedValue) int {
		return cmp.Compare(b.Weight, a.Weight)
	})
	for _, v := range values {
		known := t.counters.byValue[v.Value] != nil
		if known || !plausible(v.Weight) || !plausible(v.Error) || v.Error > v.Weight ||
			len(v.Value) > maxRankedBytes || v.Value == t.settings.Other {
			continue
		}
		c := &counter{value: strings.Clone(v.Value), weight: v.Weight, err: v.Error, at: -1}
		if v.Streak > 0 && !v.IsMember {
			c.streak = min(v.Streak, t.settings.Patience)
		}
		t.counters.byValue[c.value] = c
		if v.IsMember && len(t.members) < t.settings.K {
			t.members = append(t.members, c)
		} else {
			t.counters.unpin(c)
		}
	}
	t.publish()
}

func plausible(weight float64) bool {
	return weight >= 0 && weight <= maxWeight && !math.IsNaN(weight)
}
