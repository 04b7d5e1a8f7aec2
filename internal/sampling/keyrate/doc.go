// Package keyrate finds with what probability the items of each key are kept, so
// that about as many go on as a target allows: all together, and those of each
// group. It is pure but for the goroutines of dynsampler; time comes in as a
// value.
//
// # How a probability comes about
//
// Once an interval, Adjust looks at what came of each key since the one before.
//
//   - dynsampler's EMA throughput divides each target among its keys: every key
//     gets a share in proportion to the logarithm of its count, so that rare keys
//     are kept whole and frequent ones pay. Its rate N is one of N items.
//   - N is a whole number and follows within a few intervals; conditions keep
//     items whatever N says; samplers before this one have thresholds of their
//     own. So the rates of a target are multiplied by its level: p = min(1, level/N).
//     The level is not found by trial: what goes on at a level can be computed from
//     what came, and the level is the one at which that is the target. What went on
//     besides in the last intervals is taken off the target first, up to three
//     quarters of it. That does not depend on the level before, so nothing can
//     swing.
//   - Keys of rate 1, the rare ones, are kept whole whatever the level, as long as
//     they are no more than half of the target.
//   - A total and the target of a group both hold: the smaller probability counts.
//
// Averages smooth what came. A load above the average is followed at once, one
// below it in a few intervals: after a step of ten up the target is kept from the
// second interval on, after one down it is used again within five.
//
// Counts are represented ones: an item that came with a probability of 1/4
// stands for four. Rates are shares of all that there was, as thresholds are.
//
// # Unbiasedness
//
// A probability in force is that of earlier intervals. It does not depend on the
// randomness of the items at hand, which sums of adjusted counts need to be right.
//
// # Why dynsampler is called so
//
// All calls come from Adjust: GetSampleRateMulti takes a lock. Its own detection
// of bursts is off (BurstMultiple below 0), since it reads a counter that its
// goroutine writes without the lock; the level does that work. SaveState is not
// called, since it reads a map that its goroutine may be writing: averages are
// kept here, and a sampler that begins is primed with them by LoadState.
//
// # Bounds
//
// Beyond MaxKeys a new key takes the place of the one that was used the longest
// ago. If all were used within the interval, new keys of a group share one.
// Latencies are sketched for at most 10,000 keys, each in at most 4 KiB.
package keyrate
