// Package consolidation is the engine behind the tag_consolidation processor:
// it adds up streams whose labels a rule took away, and decides at the edge of
// every interval what is emitted. It is pure: no pdata, no goroutine, no clock;
// time comes in as a value. The arithmetic is that of package spatial.
//
// An input is a stream as it arrived, an output one that stays. Both have a
// 128-bit Key that the caller computes (package series).
//
//	Engine
//	├─ shard      by output: the outputs, and the inputs that feed them, under one lock
//	└─ directory  by input: in which shard an input is, and which were forgotten
//
// An input lives in the shard of its output. A point of a known input costs
// one lock, and what a shard holds is consistent by itself: an increment is in
// the output if and only if the input's last value includes it. That is what
// makes a snapshot, shard by shard, exact. The directory is asked only when
// an input is not where its point says: it is new, or it moves to another
// output because a rule changed or a label folded. It then takes its last
// value along, so nothing is lost or counted twice.
//
// Sharding inputs and outputs apart was rejected: an increment would be under
// way between two locks, and a consistent snapshot would have to stop all.
//
// # What holds
//
//   - Cumulative outputs never fall without a new start time.
//   - No output has more values than its inputs had points; the stale marker
//     at its end comes on top.
//   - A point that cannot be counted rightly is not counted, and Outcome says so.
//   - Everything is bounded: by MaxStreams, MaxTombstones, and the bounds of spatial.
package consolidation
