package sketch

import "sync/atomic"

// Cache remembers in fixed memory which hashes were seen in an epoch. It may
// forget a hash when another takes its slot, so a caller may be told twice
// that a hash is new; that is harmless for a sketch. All methods may be called
// by many goroutines.
type Cache struct {
	slots []atomic.Uint64
	mask  uint64
}

// NewCache returns a cache of 2^bits slots of 8 bytes.
func NewCache(bits uint8) *Cache {
	n := uint64(1) << bits
	return &Cache{slots: make([]atomic.Uint64, n), mask: n - 1}
}

// Mark records that the hash was seen in this epoch and reports whether it was
// already known to be.
func (c *Cache) Mark(hash uint64, now Epoch) bool {
	slot := &c.slots[hash>>epochBits&c.mask]
	want := hash&^epochMask | stamp(now)
	if slot.Load() == want {
		return true
	}
	slot.Store(want)
	return false
}

// Has reports whether the hash is known to have been seen in this epoch.
func (c *Cache) Has(hash uint64, now Epoch) bool {
	return c.slots[hash>>epochBits&c.mask].Load() == hash&^epochMask|stamp(now)
}
