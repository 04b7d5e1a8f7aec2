package cardinality

import "github.com/phoenix-platform/phoenix/internal/sketch"

// exactValues is up to how many distinct values an attribute of a large metric
// is counted exactly; its table then takes at most 64 KiB.
const exactValues = 4096

// valuesPrecision is the precision beyond: 1.1 % standard error, 8 KiB.
const valuesPrecision = 13

// values counts the distinct values of one attribute of a large metric.
type values struct {
	table *sketch.Table // nil once there are too many
	ring  []*sketch.HLL // by epoch modulo the window
	epoch sketch.Epoch
}

// valuesBytes bounds the memory of one counter.
func valuesBytes(window int) int {
	return max(sketch.TableBytes(exactValues*15/8+minTable), window*sketch.HLLBytes(valuesPrecision)) + 128
}

const minTable = 64

func newValues(window int, now sketch.Epoch) *values {
	return &values{table: sketch.NewTable(window, now), ring: make([]*sketch.HLL, window), epoch: now}
}

func (v *values) add(value uint64) {
	if v.table == nil {
		v.ring[int(v.epoch)%len(v.ring)].InsertHash(value)
		return
	}
	if v.table.Full() {
		if v.table.Count(len(v.ring)) >= exactValues {
			v.spill()
			v.add(value)
			return
		}
		v.table = v.table.Resize(v.table.Fit())
	}
	v.table.Touch(value)
}

// spill moves from the table to sketches. The 48 bits that the table kept of
// each hash are enough: the sketch needs 13 of them and a run of zeros.
func (v *values) spill() {
	for i := range v.ring {
		v.ring[i] = sketch.NewHLL(valuesPrecision)
	}
	for hash, e := range v.table.All() {
		v.ring[int(e)%len(v.ring)].InsertHash(hash)
	}
	v.table = nil
}

func (v *values) advance(now sketch.Epoch) {
	if v.table != nil {
		v.table.Advance(now)
		if v.table.Stale() || v.table.Sparse() {
			v.table = v.table.Resize(v.table.Fit())
		}
		v.epoch = now
		return
	}
	for v.epoch < now {
		v.epoch++
		v.ring[int(v.epoch)%len(v.ring)].Reset()
		if now-v.epoch > sketch.Epoch(2*len(v.ring)) { //nolint:gosec // a window is short
			v.epoch = now - sketch.Epoch(len(v.ring)) //nolint:gosec // a window is short
		}
	}
}

// count estimates the distinct values of the latest epochs.
func (v *values) count(epochs int) uint64 {
	if v.table != nil {
		return uint64(v.table.Count(epochs)) //nolint:gosec // a count
	}
	union := sketch.NewHLL(valuesPrecision)
	for i := range min(epochs, len(v.ring)) {
		if sketch.Epoch(i) < v.epoch {
			sketch.Merge(union, v.ring[int(v.epoch-sketch.Epoch(i))%len(v.ring)])
		}
	}
	return union.Estimate()
}
