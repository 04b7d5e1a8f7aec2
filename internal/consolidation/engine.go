package consolidation

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// Defaults of Settings.
const (
	DefaultStaleness  = 5 * time.Minute
	DefaultHeartbeat  = 2 * time.Minute
	DefaultMaxStreams = 1_000_000
	DefaultShards     = 64
)

// Settings are the bounds of an Engine. What is 0 takes its default.
type Settings struct {
	// Staleness is how long an input is remembered, and part of its output,
	// after its last point. Default: 5m.
	Staleness time.Duration
	// Heartbeat is after what time an output shows its value again though
	// nothing came. Default: 2m.
	Heartbeat time.Duration
	// MaxStreams bounds the inputs. Default: 1,000,000.
	MaxStreams int
	// MaxTombstones bounds what is known of forgotten inputs, and likewise of
	// forgotten outputs; 20 to 30 bytes each. Default: MaxStreams.
	MaxTombstones int
	// Buckets is the limit of an exponential histogram, a side. Default:
	// spatial.DefaultBuckets.
	Buckets int
	// Bases lets the engine note the base lines of new inputs, for a journal that
	// asks Bases at every edge.
	Bases bool
	// Shards is rounded up to a power of two, at most 128. Default: 64.
	Shards int
}

func (s Settings) withDefaults() Settings {
	if s.Staleness <= 0 {
		s.Staleness = DefaultStaleness
	}
	if s.Heartbeat <= 0 {
		s.Heartbeat = DefaultHeartbeat
	}
	if s.MaxStreams <= 0 {
		s.MaxStreams = DefaultMaxStreams
	}
	if s.MaxTombstones <= 0 {
		s.MaxTombstones = s.MaxStreams
	}
	if s.Buckets <= 0 {
		s.Buckets = spatial.DefaultBuckets
	}
	if s.Shards <= 0 {
		s.Shards = DefaultShards
	}
	return s
}

// Engine adds up streams. Feed may be called by many goroutines at any time;
// all else by one at a time.
type Engine struct {
	settings  Settings
	staleness uint32 // in seconds
	shift     uint8
	shards    []shard
	directory []directory
	inputs    atomic.Int64
	folded    atomic.Int64 // what the overflow outputs add to inputs

	edge     uint64 // of the latest flush
	crash    uint64 // see Part.Crash
	complete uint64 // see Part.Complete; without a crash, what it would be
	crashed  bool   // before the snapshot that was restored
	watches  watches
	shapes   shapes

	generation atomic.Uint64 // of snapshots
}

// New returns an engine without streams.
func New(settings Settings) *Engine {
	settings = settings.withDefaults()
	width := bits.Len(uint(min(settings.Shards, maxShards) - 1))
	n := 1 << width
	e := &Engine{
		settings: settings, staleness: uint32(max(1, settings.Staleness/time.Second)), //nolint:gosec // seconds
		shift: uint8(64 - width), shards: make([]shard, n), directory: make([]directory, n), //nolint:gosec // at most 64
		watches: watches{since: map[RuleID]uint64{}},
	}
	for i := range e.shards {
		e.shards[i].buckets, e.shards[i].notesBases, e.shards[i].watches = settings.Buckets, settings.Bases, &e.watches
		e.shards[i].gone.limit = settings.MaxTombstones / n
		e.directory[i].gone.limit = settings.MaxTombstones / n
	}
	return e
}

func (e *Engine) part(k Key) int { return int(k.mark() >> e.shift) } //nolint:gosec // below the number of shards

// Watch says that a rule begins to watch now, and returns since when it
// does: that is an earlier time if the rule is known, say after a restart.
//
// A rule goes on with the inputs of those that are retired in the same change,
// which lasts from the first Retire to the next Flush or Settle. Inputs that were
// let go in an earlier one begin anew, from a base line, unless a Coverer says
// that none of their points passed meanwhile.
func (e *Engine) Watch(rule RuleID, now uint64) (activation uint64) {
	return e.watches.watch(rule, now)
}

// Settle ends a change of rules: see Watch. No rule that begins from now on has an
// activation up to the time that it returns, also if the clock was set back.
func (e *Engine) Settle() (over uint64) { return e.watches.settle() }

// Feed takes one point. A point of a known input costs one lock and allocates
// nothing; d is asked only when an output is new.
//
// A rule that does not Watch is one that was retired while the point was under
// way: the point counts, and its output ends at the next edge.
func (e *Engine) Feed(p *Point, d Describer) Outcome {
	if p.Stale {
		return e.end(p)
	}
	s := &e.shards[e.part(p.Output)]
	s.mu.Lock()
	out, known := s.feedKnown(p)
	s.mu.Unlock()
	if known {
		return out
	}
	return e.feedNew(p, d)
}

// Stats are the sizes of an engine.
type Stats struct {
	// Inputs are those remembered, Ended those of them that a stale marker ended.
	Inputs, Ended int
	Outputs       int
	// Tombstones are forgotten inputs and outputs of which the time is known.
	Tombstones int
}

// Stats counts. It takes each lock in turn.
func (e *Engine) Stats() Stats {
	var st Stats
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		st.Outputs += s.outputs.size()
		st.Tombstones += s.gone.size()
		s.eachInput(func(c *cursor) {
			st.Inputs++
			if *c.to&ended != 0 {
				st.Ended++
			}
		})
		s.mu.Unlock()
		d := &e.directory[i]
		d.mu.Lock()
		st.Tombstones += d.gone.size()
		d.mu.Unlock()
	}
	return st
}
