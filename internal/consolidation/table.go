package consolidation

// entry is one input: 24 bytes and what its class remembers.
type entry[S any] struct {
	key Key
	// to is the output that the input feeds, with flags in its top bits; or a
	// release, if that ended: the next point says where to go.
	to   uint32
	seen uint32 // when a point came last, in seconds; 0 marks a free entry
	last S
}

// The flags of entry.to.
const (
	// ended inputs are remembered, in case they return, and feed nothing.
	ended = 1 << 31
	// restored inputs have sent nothing since a restart.
	restored = 1 << 30
	// overflow inputs stand for those without room.
	overflow = 1 << 29
	// taken inputs have sent nothing since they were taken over, and passed before.
	taken = 1 << 28

	flags   = ended | restored | overflow | taken
	refMask = taken - 1
)

// table holds the inputs of one class in one shard.
type table[S any] struct {
	index index
	arena arena[entry[S]]
}

func (t *table[S]) find(key Key) (uint32, *entry[S]) {
	slots := t.index.slots
	if len(slots) == 0 {
		return 0, nil
	}
	tag := key.tag()
	for i := home(tag, len(slots)); ; {
		slot := slots[i]
		if slot == 0 {
			return 0, nil
		}
		if slot>>32 == uint64(tag) {
			ref := uint32(slot) //nolint:gosec // the lower half
			if e := t.arena.at(ref); e.key == key {
				return ref, e
			}
		}
		if i++; i == len(slots) {
			i = 0
		}
	}
}

func (t *table[S]) insert(key Key, to, seen uint32, last S) *entry[S] {
	ref, e := t.arena.add()
	*e = entry[S]{key: key, to: to, seen: seen, last: last}
	t.index.add(key.tag(), ref)
	return e
}

func (t *table[S]) remove(ref uint32, key Key) {
	t.index.remove(key.tag(), ref)
	t.arena.remove(ref)
}

// each visits every input.
func (t *table[S]) each(visit func(e *entry[S])) {
	t.arena.all(func(_ uint32, e *entry[S]) {
		if e.seen != 0 {
			visit(e)
		}
	})
}
