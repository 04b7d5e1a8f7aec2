package keyrate

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phoenix-platform/phoenix/internal/sampling/budget"
)

// shards is how many locks there are. A batch looks up each of its keys once.
const shards = 64

// Table knows the keys of a stream. Its methods may be called by many goroutines.
type Table struct {
	settings Settings

	shards [shards]shard
	known  atomic.Int64
	// intake bounds the probability of keys that are new: 1 unless the load has
	// outgrown all rates.
	intake atomic.Pointer[map[scope]float64]

	// arrival makes room for new keys.
	arrival  sync.Mutex
	oldest   []*Key          // those that may go, the least recently used last
	shared   map[string]*Key // of groups, for keys that there is no room for
	sketches int

	evicted, crowded atomic.Uint64

	// adjusting is held by Adjust and what changes targets.
	adjusting sync.Mutex
	total     *pool
	groups    map[string]*pool
	levels    map[string]float64
	closed    bool
}

type shard struct {
	mu   sync.RWMutex
	keys map[uint64]*Key
	_    [24]byte // a cache line each
}

// Stats are what happened to keys since the table was made.
type Stats struct {
	// Keys are those that are remembered.
	Keys uint64
	// Evicted were forgotten for others; Crowded is how often a new key found no
	// room and shares one with others of its group.
	Evicted, Crowded uint64
}

// Event says that a target is exceeded though its probabilities are as low as
// they may be, or that it is kept again.
type Event struct {
	// All is set for the total, else Group says whose target it is.
	All      bool
	Group    string
	Happened budget.Happened
	// Target is how many items a second may go on, Out how many did.
	Target, Out float64
}

// New returns a table that knows no keys. It has to be closed.
func New(s Settings) (*Table, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	t := &Table{settings: s.withDefaults(), shared: map[string]*Key{}, groups: map[string]*pool{}, levels: map[string]float64{}}
	for i := range t.shards {
		t.shards[i].keys = map[uint64]*Key{}
	}
	t.intake.Store(&map[scope]float64{})
	return t, nil
}

// Close ends what the table has begun. It may be called twice.
func (t *Table) Close() {
	t.adjusting.Lock()
	defer t.adjusting.Unlock()
	t.closed = true
	t.total.close()
	for _, p := range t.groups {
		p.close()
	}
	t.total, t.groups = nil, map[string]*pool{}
}

func (t *Table) shard(id uint64) *shard { return &t.shards[id%shards] }

// Find returns a key, nil if it is not known. It takes a lock for reading, of
// which there are 64.
func (t *Table) Find(id uint64) *Key {
	s := t.shard(id)
	s.mu.RLock()
	k := s.keys[id]
	s.mu.RUnlock()
	return k
}

// Add returns a key, and makes it if it is not known. It is never nil: if there
// is no room it is one that several keys of the group share.
func (t *Table) Add(id uint64, group, label string) *Key {
	if k := t.Find(id); k != nil {
		return k
	}
	t.arrival.Lock()
	defer t.arrival.Unlock()
	if k := t.Find(id); k != nil { // somebody was faster
		return k
	}
	if t.known.Load() >= int64(t.settings.MaxKeys) && !t.makeRoom() {
		t.crowded.Add(1)
		return t.share(group)
	}
	k := newKey(id, group, label, t.begin(group))
	t.sketch(k)
	s := t.shard(id)
	s.mu.Lock()
	s.keys[id] = k
	s.mu.Unlock()
	t.known.Add(1)
	return k
}

// begin is the probability of a key that is new in a group.
func (t *Table) begin(group string) float64 {
	intake := *t.intake.Load()
	p := 1.0
	for _, of := range []scope{{all: true}, {group: group}} {
		if bound, found := intake[of]; found {
			p = min(p, bound)
		}
	}
	return max(p, t.settings.MinProbability)
}

// sketch gives a key a sketch of latencies, if there is one to be had.
func (t *Table) sketch(k *Key) {
	if t.settings.Quantile > 0 && t.sketches < maxSketches {
		t.sketches++
		k.latency.Store(newLatency(t.settings.Quantile))
	}
}

// makeRoom forgets the key that was used the longest ago, if it was not used in
// this interval.
func (t *Table) makeRoom() bool {
	for n := len(t.oldest); n > 0; n = len(t.oldest) {
		k := t.oldest[n-1]
		t.oldest = t.oldest[:n-1]
		if k.came.Load() != k.settled.Load() {
			continue // it came back
		}
		s := t.shard(k.id)
		s.mu.Lock()
		delete(s.keys, k.id)
		s.mu.Unlock()
		if k.latency.Swap(nil) != nil {
			t.sketches--
		}
		t.known.Add(-1)
		t.evicted.Add(1)
		return true
	}
	return false
}

// maxShared bounds the groups that have a key to share. Others share one.
const maxShared = 1000

// share returns the key for what there is no room for.
func (t *Table) share(group string) *Key {
	if len(t.shared) >= maxShared && t.shared[group] == nil {
		group = ""
	}
	k := t.shared[group]
	if k == nil {
		k = newKey(sharedID+uint64(len(t.shared)), group, "keys beyond the bound", t.begin(group))
		t.shared[group] = k
	}
	return k
}

// sharedID is where the ids of shared keys begin. They are for dynsampler only.
const sharedID = 1<<64 - 1 - 2*maxShared

// Stats returns what is known and what was forgotten.
func (t *Table) Stats() Stats {
	return Stats{Keys: uint64(max(0, t.known.Load())), Evicted: t.evicted.Load(), Crowded: t.crowded.Load()}
}

// all returns all keys, by id, and those that are shared.
func (t *Table) all() []*Key {
	keys := make([]*Key, 0, t.known.Load()+8)
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		for _, k := range s.keys {
			keys = append(keys, k)
		}
		s.mu.RUnlock()
	}
	t.arrival.Lock()
	for _, k := range t.shared {
		keys = append(keys, k)
	}
	t.arrival.Unlock()
	slices.SortFunc(keys, func(a, b *Key) int { return cmp.Compare(a.id, b.id) })
	return keys
}

// SetTargets replaces the targets. What is known of keys goes on.
func (t *Table) SetTargets(total, perGroup float64, groups map[string]float64) error {
	if err := validTargets(total, perGroup, groups); err != nil {
		return err
	}
	t.adjusting.Lock()
	defer t.adjusting.Unlock()
	s := Settings{Total: total, PerGroup: perGroup, Groups: groups}
	s = s.withDefaults()
	t.settings.Total, t.settings.PerGroup, t.settings.Groups = s.Total, s.PerGroup, s.Groups
	return nil
}

// SetLevel multiplies the probabilities of a group from the next Adjust on; 1 is
// as the targets have it.
func (t *Table) SetLevel(group string, level float64) {
	t.adjusting.Lock()
	defer t.adjusting.Unlock()
	if !(level > 0) || level == 1 {
		delete(t.levels, group)
		return
	}
	t.levels[group] = level
}

// target is the one of a group, 0 if it has none.
func (t *Table) target(group string) float64 {
	if own, found := t.settings.Groups[group]; found {
		return own
	}
	return t.settings.PerGroup
}

// interval is how long dynsampler counts.
func (t *Table) interval() time.Duration { return t.settings.Interval }
