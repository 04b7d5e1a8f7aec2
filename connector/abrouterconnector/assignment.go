package abrouterconnector

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// assignment says which units of a split are the candidate's:
// routing.Candidate(unit, weight). It is not written to after it was made, but
// for what is counted in it.
type assignment struct {
	// weight is the candidate's share in percent, before what it was until
	// changedAt.
	weight, before int
	changedAt      time.Time
	// live says that this process saw the change happen: what moved streams sent
	// before it went to the arm that they left. Otherwise the change is from
	// before a restart.
	live bool
	// generation is that of the view which made it.
	generation uint64

	// units are the distinct units of the arms.
	units [sides]units
	// moved are the streams that were given to both arms since the change.
	moved movedStreams
}

// units counts distinct units. It may be used by many goroutines.
type units struct {
	// recent are units that were counted, by their lower bits: most points are of
	// one of them and take no lock.
	recent [recentUnits]atomic.Uint64

	mu    sync.Mutex
	count sketch.Distinct
	// estimate is what a sketch said at a time: control asks for all experiments
	// four times a second.
	estimate    uint64
	estimatedAt time.Time
}

const (
	recentUnits = 64
	// Up to 3072 units are counted exactly, in 32 KiB; then by a sketch of 4 KiB
	// with a standard error of 1.6 %.
	unitSlots     = 4096
	unitPrecision = 12
)

// add counts a unit.
func (u *units) add(unit uint64) {
	unit = max(unit, 1) // 0 is an empty slot
	slot := &u.recent[unit%recentUnits]
	if slot.Load() == unit {
		return
	}
	u.mu.Lock()
	u.count.Add(unit, unitSlots, unitPrecision)
	u.mu.Unlock()
	slot.Store(unit)
}

var none sketch.Distinct

// estimateEvery is how old an estimate may be.
const estimateEvery = 5 * time.Second

// len is how many there are.
func (u *units) len() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, _ := sketch.CountEither(&u.count, &none, unitPrecision)
	return n
}

// recently is len, or what it was a short while ago if it is an estimate.
func (u *units) recently(now time.Time) uint64 {
	u.mu.Lock()
	fresh := u.count.Sketched() && !u.estimatedAt.IsZero() && now.Sub(u.estimatedAt) < estimateEvery
	estimate := u.estimate
	u.mu.Unlock()
	if fresh {
		return estimate
	}
	n := u.len()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.estimate, u.estimatedAt = n, now
	return n
}
