package cardinality

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// Tracker counts the series of all metrics that pass one measuring point.
// Metric and Observe may be called by many goroutines; Rotate by one.
type Tracker struct {
	settings Settings
	epoch    atomic.Uint32
	bytes    atomic.Int64
	count    atomic.Int64
	overflow overflow
	sketches *hllPool
	shards   [shardCount]shard

	mu     sync.Mutex  // guards starts
	starts []time.Time // by epoch modulo the window: when it began
}

// shardCount divides the table of metrics, so that a new metric copies a small
// map. Readers take no lock.
const shardCount = 256

type shard struct {
	mu      sync.Mutex
	metrics atomic.Pointer[map[uint64]*Metric] // never written, only replaced
}

// New returns a tracker. It starts no goroutine: the caller calls Rotate when
// a sub-window ends.
func New(settings Settings) *Tracker {
	t := &Tracker{
		settings: settings,
		starts:   make([]time.Time, settings.SubWindows),
		sketches: newHLLPool(settings.Precision),
	}
	t.epoch.Store(1)
	t.starts[1%settings.SubWindows] = settings.Start
	t.overflow.init(settings.SubWindows)
	for i := range t.shards {
		t.shards[i].metrics.Store(&map[uint64]*Metric{})
	}
	return t
}

// Metric returns the entry of a metric in a budget group, or nil if there is
// no room for another one; its points then belong to Overflow.
func (t *Tracker) Metric(d Descriptor, group string) *Metric {
	key := t.settings.Hasher.Name(d.Name, group)
	s := &t.shards[key%shardCount]
	m := (*s.metrics.Load())[key]
	if m == nil {
		m = t.addMetric(s, key, d, group)
		if m == nil {
			return nil
		}
	}
	if old := m.types.Load(); old&uint32(d.Type) == 0 {
		m.types.Or(uint32(d.Type))
	}
	return m
}

func (t *Tracker) addMetric(s *shard, key uint64, d Descriptor, group string) *Metric {
	now := sketch.Epoch(t.epoch.Load())
	if t.count.Load() >= int64(t.settings.MaxMetrics) { // without the lock: every batch comes here then
		t.overflow.note(reasonMetrics, now)
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := *s.metrics.Load()
	if m := known[key]; m != nil {
		return m
	}
	if t.count.Add(1) > int64(t.settings.MaxMetrics) {
		t.count.Add(-1)
		t.overflow.note(reasonMetrics, now)
		return nil
	}
	bytes := int64(metricBytes + sketch.TableBytes(16) + len(d.Name) + len(group))
	if !t.reserve(bytes) {
		t.count.Add(-1)
		t.overflow.note(reasonMemory, now)
		return nil
	}
	// The batch's memory is not ours to keep.
	d.Name, d.Unit, group = strings.Clone(d.Name), strings.Clone(d.Unit), strings.Clone(group)
	m := newMetric(t, d, group, now)
	m.reserved = bytes
	m.reserved += int64(m.rows.bytes())
	t.bytes.Add(int64(m.rows.bytes()))
	next := make(map[uint64]*Metric, len(known)+1)
	maps.Copy(next, known)
	next[key] = m
	s.metrics.Store(&next)
	return m
}

// Overflow counts the points of a metric that has no entry.
func (t *Tracker) Overflow(d Descriptor, group string, hashes []uint64) {
	t.overflow.addMetric(t.settings.Hasher.Name(d.Name, group), hashes, sketch.Epoch(t.epoch.Load()))
}

// reserve takes bytes from the bound.
func (t *Tracker) reserve(bytes int64) bool {
	if t.bytes.Add(bytes) > t.settings.MaxBytes && bytes > 0 {
		t.bytes.Add(-bytes)
		return false
	}
	return true
}

// Rotate ends the sub-window. It closes it for every metric, forgets metrics
// that sent nothing for a window, and looks for correlated attributes.
func (t *Tracker) Rotate(now time.Time) {
	t.mu.Lock()
	epoch := sketch.Epoch(t.epoch.Load()) + 1
	t.starts[int(epoch)%len(t.starts)] = now
	t.epoch.Store(uint32(epoch))
	t.mu.Unlock()
	t.overflow.advance(epoch)
	for i := range t.shards {
		t.rotateShard(&t.shards[i], epoch)
	}
}

func (t *Tracker) rotateShard(s *shard, epoch sketch.Epoch) {
	var idle []uint64
	for key, m := range *s.metrics.Load() {
		m.mu.Lock()
		m.advance(epoch)
		empty := m.streams() == 0
		m.mu.Unlock()
		if empty {
			idle = append(idle, key)
			continue
		}
		m.correlate()
	}
	if len(idle) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(*s.metrics.Load())
	for _, key := range idle {
		m := next[key]
		m.mu.Lock()
		if m.streams() == 0 { // a point may have come since
			delete(next, key)
			m.gone = true
			t.bytes.Add(-m.reserved)
			m.reserved = 0
			t.count.Add(-1)
		}
		m.mu.Unlock()
	}
	s.metrics.Store(&next)
}

// all returns every metric.
func (t *Tracker) all() []*Metric {
	list := make([]*Metric, 0, t.count.Load())
	for i := range t.shards {
		for _, m := range *t.shards[i].metrics.Load() {
			list = append(list, m)
		}
	}
	return list
}

// Began returns when an epoch began; of epochs before the window, when the
// window began.
func (t *Tracker) Began(e sketch.Epoch) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, window := sketch.Epoch(t.epoch.Load()), sketch.Epoch(len(t.starts)) //nolint:gosec // a window is short
	if now >= window {
		e = max(e, now-window+1)
	}
	return t.starts[int(e)%len(t.starts)]
}
