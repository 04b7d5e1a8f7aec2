// Package checkpoint keeps the state of the engine of package consolidation in
// a key-value storage, so that a restart, or a kill at any moment, goes on with
// it. It knows nothing of the Collector; KV is what its storage extensions have.
//
// A checkpoint is the whole state. A journal continues it: what each flush
// shows is written before it is sent.
//
//	head                   names the valid checkpoint: generation, slot, checksums of its parts
//	part/<slot>/<i>        outputs, inputs, tombstones, rules: about 1 MiB each
//	journal/<slot>/<i>     what flushes showed since, base lines of new inputs, and which flush was complete
//	aside/…                the latest state that could not be used
//
// There are two slots. A new checkpoint is written into the one that is not in
// use; one Set of the head then makes it valid; then the other slot is emptied,
// from the last key to the first, so that what a crash leaves behind is found
// and deleted by the next Load.
//
// # What holds after a kill
//
//   - What was sent is in the journal: no output shows less without a new start
//     time, and no delta is sent twice.
//   - Inputs that go on are caught up exactly, through their cumulative values.
//   - Lost is what inputs counted that ended since the checkpoint, and deltas
//     that came since. Deltas of a flush that was interrupted between Write and
//     the next component are taken for sent: see Restored.Interrupted.
//   - Rules are known from the checkpoint on. When one is put in force, a
//     checkpoint should follow at once.
//
// # What holds of the storage
//
// Every record has a checksum; the head has those of the parts, and each record
// of the journal that of the one before. What is damaged, foreign or of a newer
// version is reported, set aside and not used; a damaged record ends the
// journal, and what comes before it is used. What is read is checked for what
// the engine relies on, and no length is believed without the bytes for it.
//
// If the storage fails, the last checkpoint stays valid. If it fails while the
// head is written, nothing more is written until it says which head it has.
//
// # Format
//
// Integers are varints, times differences to the one before, doubles varints of
// their bytes in reverse. Strings, resources, scopes, metrics, rules and bounds
// are written once a record. A sum is 33 bytes an input, 24 bytes an entry of
// the journal: BenchmarkCheckpoint, BenchmarkJournal. The protobuf encoding of
// pdata was rejected for attributes: 143 bytes and 1.1 µs where this takes 14
// bytes and 0.15 µs, for four attributes whose strings occurred before.
package checkpoint
