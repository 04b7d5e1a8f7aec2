package relabel

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// TopKSettings say which values stay and how slowly that changes.
type TopKSettings struct {
	// K is how many values stay.
	K int
	// Other is what the others become. A value of this name never takes a seat.
	Other string
	// Margin is by how much, relatively, a value must outweigh a member to take
	// its seat. Default: 0.25.
	Margin float64
	// Patience is at how many edges in a row it must do so. Default: 3.
	Patience int
	// HalfLife is after how many intervals a weight counts half. Default: 8.
	HalfLife float64
}

// What TopKSettings default to. TestTopKHardlyEverChanges has the numbers.
const (
	DefaultMargin   = 0.25
	DefaultPatience = 3
	DefaultHalfLife = 8
)

// maxRankedBytes is the longest value that may take a seat.
const maxRankedBytes = 1024

// maxSpare bounds the counters beside the members'.
const maxSpare = 1 << 16

// TopK ranks the values of an attribute by weight and keeps the heaviest in:
// weights fade, so that what was heavy long ago is not for ever.
//
// Who is in changes at Advance only, and seldom: a member stays until another
// value outweighs it by the margin at as many edges in a row as patience asks,
// and what counts for the other is the weight that it has for sure. Free seats
// are taken at the first edge. There are 8·K+64 counters at most.
//
// A TopK belongs to one goroutine at a time; Members may be shared.
type TopK struct {
	settings TopKSettings
	fade     float64
	counters *counters
	members  []*counter // pinned
	public   *Members
}

// Members are the values that are in. They are immutable and safe for use by
// many goroutines; a nil *Members has none.
type Members struct{ values map[string]struct{} }

// Has says whether a value is in.
func (m *Members) Has(value string) bool {
	if m == nil {
		return false
	}
	_, in := m.values[value]
	return in
}

// Len is how many values are in.
func (m *Members) Len() int {
	if m == nil {
		return 0
	}
	return len(m.values)
}

var errTopK = errors.New("must be positive")

// NewTopK returns a TopK that knows no values.
func NewTopK(s TopKSettings) (*TopK, error) {
	s.Margin = cmp.Or(s.Margin, DefaultMargin)
	s.Patience = cmp.Or(s.Patience, DefaultPatience)
	s.HalfLife = cmp.Or(s.HalfLife, DefaultHalfLife)
	var errs error
	for _, one := range []struct {
		name  string
		value float64
	}{{"k", float64(s.K)}, {"margin", s.Margin}, {"patience", float64(s.Patience)}, {"half_life", s.HalfLife}} {
		if !(one.value > 0) || math.IsInf(one.value, 0) {
			errs = errors.Join(errs, fmt.Errorf("%s: %w, got %v", one.name, errTopK, one.value))
		}
	}
	if errs != nil {
		return nil, errs
	}
	spare := maxSpare
	if s.K < maxSpare/8 {
		spare = 7*s.K + 64
	}
	return &TopK{settings: s, fade: math.Exp2(-1 / s.HalfLife), counters: newCounters(spare), public: &Members{}}, nil
}

// Add counts the weight of a value in the present interval: an increment, a
// number of events. The text is borrowed. Weights that are not positive, and
// values too long for a seat, are left out: they are ranked nowhere.
func (t *TopK) Add(value string, weight float64) {
	if weight > 0 && len(value) <= maxRankedBytes && value != t.settings.Other {
		t.counters.add(value, weight)
	}
}

// Members returns the values that are in until the next Advance.
func (t *TopK) Members() *Members { return t.public }

// Advance ends an interval and says whether the members changed.
func (t *TopK) Advance() bool {
	slices.SortFunc(t.members, lighterFirst)
	changed := t.replace(t.challengers())
	if changed {
		t.publish()
	}
	t.counters.age(t.fade)
	if len(t.members) == t.settings.K {
		t.counters.forget(t.members[0].weight * 1e-6)
	}
	return changed
}

// challengers are the heaviest values that are not in, at most as many as there
// are seats.
func (t *TopK) challengers() []*counter {
	list := slices.Clone(t.counters.heap)
	slices.SortFunc(list, func(a, b *counter) int {
		return cmp.Or(cmp.Compare(b.least(), a.least()), cmp.Compare(b.weight, a.weight), strings.Compare(a.value, b.value))
	})
	if len(list) > t.settings.K {
		for _, c := range list[t.settings.K:] {
			c.streak = 0
		}
		list = list[:t.settings.K]
	}
	return list
}

func lighterFirst(a, b *counter) int {
	return cmp.Or(cmp.Compare(a.weight, b.weight), strings.Compare(b.value, a.value))
}

// replace seats challengers, the heaviest first: on free seats, then in place of
// the lightest members. The i-th challenger is measured against the i-th member,
// which is what it would replace if all before it had their seats.
func (t *TopK) replace(challengers []*counter) bool {
	changed := false
	for len(t.members) < t.settings.K && len(challengers) > 0 {
		t.counters.pin(challengers[0])
		t.members = append(t.members, challengers[0])
		challengers, changed = challengers[1:], true
	}
	seat := 0
	for i, c := range challengers {
		if i >= len(t.members) || !(c.least() > t.members[i].weight*(1+t.settings.Margin)) {
			c.streak = 0
			continue
		}
		if c.streak++; c.streak < t.settings.Patience {
			continue
		}
		loser := t.members[seat]
		t.counters.pin(c)
		loser.streak = 0
		t.counters.unpin(loser)
		c.streak = 0
		t.members[seat] = c
		seat++
		changed = true
	}
	slices.SortFunc(t.members, lighterFirst)
	return changed
}

func (t *TopK) publish() {
	values := make(map[string]struct{}, len(t.members))
	for _, m := range t.members {
		values[m.value] = struct{}{}
	}
	t.public = &Members{values: values}
}
