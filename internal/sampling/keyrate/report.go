package keyrate

import (
	"cmp"
	"maps"
	"slices"
)

// Report is what a table does.
type Report struct {
	Stats Stats
	// Keys are those by which most came, the most first.
	Keys []KeyRate
	// Targets are those in force, that of all first, then by group.
	Targets []Target
}

// KeyRate is one key.
type KeyRate struct {
	Group, Label string
	// Came and Kept count items, Represented what those that came stood for.
	Came, Kept  uint64
	Represented float64
	// Probability is with what one is kept now.
	Probability float64
}

// Target is one target.
type Target struct {
	// All is set for the total, else Group says whose target it is.
	All   bool
	Group string
	// PerSecond is the target, In and Out what came and went on in the last
	// interval.
	PerSecond, In, Out float64
	// Level multiplies the rates; at 1 and above keys that come but rarely are kept
	// whole. Error is how far Out is from PerSecond, as a share of it.
	Level, Error float64
	FloorReached bool
}

// Report says what is done now, with so many keys at most. It may be called by
// any goroutine.
func (t *Table) Report(limit int) Report {
	r := Report{Stats: t.Stats()}
	for _, k := range t.all() {
		c := k.read()
		if c.came == 0 && !k.restored {
			continue
		}
		r.Keys = append(r.Keys, KeyRate{
			Group: k.group, Label: k.label, Came: uint64(c.came), Kept: uint64(c.kept), Represented: c.represented,
			Probability: k.Threshold().Probability(),
		})
	}
	slices.SortStableFunc(r.Keys, func(a, b KeyRate) int { return cmp.Compare(b.Came, a.Came) })
	r.Keys = slices.Clone(r.Keys[:min(limit, len(r.Keys))])
	t.adjusting.Lock()
	defer t.adjusting.Unlock()
	if t.total != nil {
		r.Targets = append(r.Targets, t.total.describe())
	}
	for _, group := range slices.Sorted(maps.Keys(t.groups)) {
		r.Targets = append(r.Targets, t.groups[group].describe())
	}
	return r
}

func (p *pool) describe() Target {
	return Target{
		All: p.all, Group: p.group, PerSecond: p.target, In: p.in, Out: p.out, Level: p.level, Error: p.out/p.target - 1,
		FloorReached: p.exceeded,
	}
}
