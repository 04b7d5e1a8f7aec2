package cardinality

import (
	"sync"
	"sync/atomic"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// reason is an option whose bound was met.
type reason uint8

const (
	reasonAttributes reason = iota
	reasonMemory
	reasonMetrics

	reasons
)

func (r reason) String() string {
	return [reasons]string{"max_attributes_per_metric", "max_memory_mib", "max_metrics"}[r]
}

// overflowBits sizes the cache that keeps known series of the overflow from
// taking its lock: 2^16 slots, 512 KiB, made when the first bound is met.
const overflowBits = 16

// overflowPrecision gives 0.8 % standard error.
const overflowPrecision = 14

// overflow is the one entry for all that has no room.
type overflow struct {
	points atomic.Uint64
	cache  atomic.Pointer[sketch.Cache]
	met    [reasons]atomic.Uint32 // the epoch in which the bound was met last

	mu      sync.Mutex
	epoch   sketch.Epoch
	series  []*sketch.HLL // by epoch modulo the window
	metrics []*sketch.HLL
}

func (o *overflow) init(window int) {
	o.epoch = 1
	o.series = make([]*sketch.HLL, window)
	o.metrics = make([]*sketch.HLL, window)
}

// open makes the state of the overflow when it is first needed.
func (o *overflow) open() *sketch.Cache {
	if c := o.cache.Load(); c != nil {
		return c
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cache.Load() == nil {
		for i := range o.series {
			o.series[i], o.metrics[i] = sketch.NewHLL(overflowPrecision), sketch.NewHLL(overflowPrecision)
		}
		o.cache.Store(sketch.NewCache(overflowBits))
	}
	return o.cache.Load()
}

// note records that a bound was met.
func (o *overflow) note(why reason, now sketch.Epoch) { o.met[why].Store(uint32(now)) }

// knows counts a point if its series is known to be in the overflow.
func (o *overflow) knows(stream uint64, now sketch.Epoch) bool {
	c := o.cache.Load()
	if c == nil || !c.Has(stream, now) {
		return false
	}
	o.points.Add(1)
	return true
}

// add counts one point of a series that has no room.
func (o *overflow) add(stream uint64, now sketch.Epoch, why reason) {
	o.points.Add(1)
	o.note(why, now)
	if o.open().Mark(stream, now) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.series[int(o.epoch)%len(o.series)].InsertHash(stream)
}

// addMetric counts the points of a metric that has no entry.
func (o *overflow) addMetric(metric uint64, hashes []uint64, now sketch.Epoch) {
	o.points.Add(uint64(len(hashes)))
	cache := o.open()
	known := cache.Mark(metric, now)
	for _, h := range hashes {
		if cache.Mark(h, now) {
			continue
		}
		o.mu.Lock()
		o.series[int(o.epoch)%len(o.series)].InsertHash(h)
		o.mu.Unlock()
	}
	if known {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.metrics[int(o.epoch)%len(o.metrics)].InsertHash(metric)
}

func (o *overflow) advance(now sketch.Epoch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.epoch = now
	if o.cache.Load() != nil {
		o.series[int(now)%len(o.series)].Reset()
		o.metrics[int(now)%len(o.metrics)].Reset()
	}
}

// Overflow is what was counted beyond the bounds in the window.
type Overflow struct {
	// Metrics and Series are estimates of what has no entry of its own; Points
	// counts its points since the start.
	Metrics, Series, Points uint64
	// Folded counts metrics with attributes that are counted as one rest.
	Folded uint64
	// Reasons names the options whose bound was met within the window.
	Reasons []string
}

// report returns nil if nothing overflowed within the window.
func (o *overflow) report() *Overflow {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := &Overflow{Points: o.points.Load()}
	for why := range reasons {
		last := sketch.Epoch(o.met[why].Load())
		if last > 0 && int(o.epoch-last) < len(o.series) {
			r.Reasons = append(r.Reasons, why.String())
		}
	}
	if len(r.Reasons) == 0 {
		return nil
	}
	if o.cache.Load() != nil {
		scratch := sketch.NewHLL(overflowPrecision)
		r.Series = sketch.Union(scratch, o.series...).Estimate()
		r.Metrics = sketch.Union(scratch, o.metrics...).Estimate()
	}
	return r
}
