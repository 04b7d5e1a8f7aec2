// Package sketch holds the small data structures that count distinct hashes
// over a moving window: a table that remembers in which sub-window a hash was
// last seen, a lossy cache of the same, and a ring of HyperLogLog sketches.
//
// Time comes in as an Epoch, the number of a sub-window. The window is the
// current epoch and the ones before it.
package sketch

// Epoch numbers sub-windows. The first is 1; 0 means never.
type Epoch uint32

// slot values hold the upper 48 bits of a hash and 16 bits of the epoch. Two
// hashes that agree in 48 bits count as one: among n hashes that happens with
// probability n²/2^49, for a million 0.2 %, and then costs one in a million.
const (
	epochBits = 16
	epochMask = 1<<epochBits - 1
	// epochCycle is after how many epochs the stored number repeats. It is one
	// short of 2^16 because 0 marks an empty slot.
	epochCycle = epochMask
)

// stamp is the stored form of an epoch; it is never 0.
func stamp(e Epoch) uint64 { return uint64(e)%epochCycle + 1 }

// age is the number of epochs from a stored stamp to now.
func age(now Epoch, stored uint64) int {
	a := int(stamp(now)) - int(stored) //nolint:gosec // both are below 2^16
	if a < 0 {
		a += epochCycle
	}
	return a
}
