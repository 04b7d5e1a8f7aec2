package routing

import (
	"slices"
	"strings"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// index finds what was put under conditions that all hold. Conditions on the same
// keys are one set, and a look-up costs a hash of the values a set, so it does
// not depend on how many conditions there are. When there are many sets, only
// those are looked at whose rarest key the attributes have.
type index[T any] struct {
	sets  []keySet[T]
	place map[string]int   // of a set, by its keys; only until finish
	byKey map[string][]int // the sets whose rarest key it is; nil if sets are few
	open  []int            // with byKey: the set without keys, which always holds
}

// keySet holds conditions on the same keys.
type keySet[T any] struct {
	keys  []string
	cells map[uint64][]*cell[T] // by the hash of all values
}

// cell is what is under one set of conditions.
type cell[T any] struct {
	conditions []Attribute
	what       T
}

// fewSets is up to how many sets all are looked at: a look at a set whose first
// key is missing costs less than finding the sets by the keys of the attributes
// (BenchmarkResource/sets).
const fewSets = 4

// put returns the place for what is under conditions, which are sorted by key.
func (x *index[T]) put(conditions []Attribute) *T {
	var name strings.Builder
	for _, c := range conditions {
		name.WriteString(c.Key)
		name.WriteByte(0)
	}
	if x.place == nil {
		x.place = map[string]int{}
	}
	i, ok := x.place[name.String()]
	if !ok {
		i = len(x.sets)
		x.place[name.String()] = i
		s := keySet[T]{cells: map[uint64][]*cell[T]{}}
		for _, c := range conditions {
			s.keys = append(s.keys, c.Key)
		}
		x.sets = append(x.sets, s)
	}
	return x.sets[i].put(conditions)
}

func (s *keySet[T]) put(conditions []Attribute) *T {
	hash := uint64(0)
	for _, c := range conditions {
		hash = xxh3.HashStringSeed(c.Value, hash)
	}
	for _, c := range s.cells[hash] {
		if slices.Equal(c.conditions, conditions) {
			return &c.what
		}
	}
	c := &cell[T]{conditions: conditions}
	s.cells[hash] = append(s.cells[hash], c)
	return &c.what
}

// finish is called once, after the last put.
func (x *index[T]) finish() {
	x.place = nil
	if len(x.sets) <= fewSets {
		return
	}
	uses := map[string]int{}
	for i := range x.sets {
		for _, key := range x.sets[i].keys {
			uses[key]++
		}
	}
	x.byKey = map[string][]int{}
	for i := range x.sets {
		keys := x.sets[i].keys
		if len(keys) == 0 {
			x.open = append(x.open, i)
			continue
		}
		rarest := slices.MinFunc(keys, func(a, b string) int { return uses[a] - uses[b] })
		x.byKey[rarest] = append(x.byKey[rarest], i)
	}
}

func (x *index[T]) empty() bool { return len(x.sets) == 0 }

// all calls f with all that is in the index.
func (x *index[T]) all(f func(T)) {
	for i := range x.sets {
		for _, cells := range x.sets[i].cells {
			for _, c := range cells {
				f(c.what)
			}
		}
	}
}

// find adds to what is found all whose conditions hold.
func (x *index[T]) find(attributes pcommon.Map, found *few[T]) {
	if x.byKey == nil {
		for i := range x.sets {
			x.sets[i].find(attributes, found)
		}
		return
	}
	for _, i := range x.open {
		x.sets[i].find(attributes, found)
	}
	for key := range attributes.All() {
		for _, i := range x.byKey[key] {
			x.sets[i].find(attributes, found)
		}
	}
}

func (s *keySet[T]) find(attributes pcommon.Map, found *few[T]) {
	hash := uint64(0)
	for _, key := range s.keys {
		value, ok := attributes.Get(key)
		if !ok {
			return
		}
		hash = xxh3.HashStringSeed(text(value), hash)
	}
	for _, c := range s.cells[hash] {
		if c.holds(attributes) {
			found.add(c.what)
			return
		}
	}
}

// holds makes sure: hashes of values may meet.
func (c *cell[T]) holds(attributes pcommon.Map) bool {
	for _, want := range c.conditions {
		if value, ok := attributes.Get(want.Key); !ok || text(value) != want.Value {
			return false
		}
	}
	return true
}

// few is a list that allocates only when it is long.
type few[T any] struct {
	n      int
	inline [3]T
	more   []T
}

func (f *few[T]) add(what T) {
	if f.n < len(f.inline) {
		f.inline[f.n] = what
	} else {
		f.more = append(f.more, what)
	}
	f.n++
}

func (f *few[T]) at(i int) T {
	if i < len(f.inline) {
		return f.inline[i]
	}
	return f.more[i-len(f.inline)]
}
