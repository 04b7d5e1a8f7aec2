package deadband

import (
	"encoding/binary"
	"math"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// Save hands all that is remembered to write, in parts of about 1 MiB, each of
// which Restore takes alone. A part belongs to write. One shard is locked at a
// time, and write is called without a lock.
//
// final says that no point comes any more: then the series go on after Restore
// as if nothing had happened. Otherwise what was sent after Save is not known
// after a crash, so the first point of each series passes, and what had been
// left out before it is not sent.
func (b *Band) Save(final bool, write func(part []byte) error) error {
	var parts [][]byte
	part := appendHeader(nil, b.identity, final)
	cut := func() {
		if len(part) >= partSize {
			parts = append(parts, seal(part))
			part = appendHeader(make([]byte, 0, partSize+partSize/16), b.identity, final)
		}
	}
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		s.numbers.each(func(_ uint32, e *number) {
			if e.seen != 0 && e.sent.time != 0 { // else all that it sent was refused
				part = e.append(part)
				cut()
			}
		})
		s.buckets.each(func(_ uint32, e *buckets) {
			if e.seen != 0 && e.sent != 0 {
				part = e.append(part)
				cut()
			}
		})
		s.mu.Unlock()
		for _, p := range parts {
			if err := write(p); err != nil {
				return err
			}
		}
		parts = parts[:0]
	}
	if len(part) > headerSize {
		return write(seal(part))
	}
	return nil
}

// Restore takes up what a part says. Series that are known already, and those
// beyond the bounds, are not taken; it returns how many were. A part that is
// damaged is used up to where the damage is; what its checksum does not cover
// cannot be.
func (b *Band) Restore(part []byte, now uint64) (restored int, err error) {
	payload, final, err := unseal(part, b.identity)
	if err != nil {
		return 0, err
	}
	r := &reader{bytes: payload}
	seen := secondsOf(now)
	for r.left() > 0 {
		kind, f := Kind(r.byte()), flags(r.byte())
		if kind >= kinds || f.has(holed) {
			r.fail("a kind of series that does not exist")
		}
		if !final {
			f |= doubtful
		}
		var taken bool
		if kind < Histogram {
			e := readNumber(r, kind, f)
			e.seen = seen
			taken = r.err == nil && b.adoptNumber(&e)
		} else {
			e := b.readBuckets(r, kind, f)
			e.seen = seen
			taken = r.err == nil && b.adoptBuckets(&e)
		}
		if taken {
			restored++
		}
	}
	return restored, r.err
}

func (b *Band) adoptNumber(e *number) bool {
	s := b.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.numbers.find(e.key); known != nil || !b.room(s, e.seen) {
		return false
	}
	_, place := s.numbers.insert(e.key)
	*place = *e
	return true
}

func (b *Band) adoptBuckets(e *buckets) bool {
	s := b.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.buckets.find(e.key); known != nil || !b.room(s, e.seen) {
		return false
	}
	_, place := s.buckets.insert(e.key)
	*place = *e
	return true
}

func appendKey(b []byte, kind Kind, f flags, k Key) []byte {
	b = append(b, byte(kind), byte(f&kept))
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, k.A), k.B)
}

// Times are written as differences: the last point to the one sent, the start
// to that.
func appendTimes(b []byte, sent, last, start uint64) []byte {
	b = binary.AppendUvarint(b, sent)
	b = binary.AppendUvarint(b, last-sent)
	return binary.AppendVarint(b, int64(start-sent)) //nolint:gosec // wraps around, and back when it is read
}

func (r *reader) times() (sent, last, start uint64) {
	sent = r.instant()
	last = sent + r.uvarint()
	if last < sent || last > math.MaxInt64 {
		r.fail("a last time out of range")
		last = sent
	}
	return sent, last, sent + uint64(r.varint()) //nolint:gosec // wraps around as it did when it was written
}

func (s *number) append(b []byte) []byte {
	b = appendKey(b, s.kind, s.flags, s.key)
	b = appendTimes(b, s.sent.time, s.last.time, s.start)
	if s.flags.has(double) {
		b = appendFloat(appendFloat(b, math.Float64frombits(s.sent.bits)), math.Float64frombits(s.last.bits))
	} else {
		b = binary.AppendVarint(b, int64(s.sent.bits))             //nolint:gosec // the bits of an int64
		b = binary.AppendVarint(b, int64(s.last.bits-s.sent.bits)) //nolint:gosec // wraps around
	}
	if s.flags.has(line) && s.flags.has(left) {
		b = appendFloat(appendFloat(b, s.door.low), s.door.high)
	}
	return b
}

func readNumber(r *reader, kind Kind, f flags) number {
	e := number{kind: kind, flags: f, key: Key{r.fixed64(), r.fixed64()}, door: open}
	e.sent.time, e.last.time, e.start = r.times()
	if f.has(double) {
		e.sent.bits, e.last.bits = math.Float64bits(r.float()), math.Float64bits(r.float())
	} else {
		e.sent.bits = uint64(r.varint())               //nolint:gosec // the bits of an int64
		e.last.bits = e.sent.bits + uint64(r.varint()) //nolint:gosec // wraps around
	}
	if f.has(line) && f.has(left) {
		e.door = door{r.float(), r.float()}
	}
	return e
}

func (s *buckets) append(b []byte) []byte {
	b = appendKey(b, s.kind, s.flags, s.key)
	b = appendTimes(b, s.sent, s.last, s.start)
	b = s.layout.append(append(b, byte(s.layout.known)), s.kind)
	b = binary.AppendUvarint(b, s.count)
	for _, v := range s.moments {
		b = appendFloat(b, v)
	}
	b = binary.AppendUvarint(b, uint64(len(s.counts)))
	for _, c := range s.counts {
		b = binary.AppendUvarint(b, c)
	}
	for _, v := range s.values {
		b = appendFloat(b, v)
	}
	for _, d := range s.doors {
		b = appendFloat(appendFloat(b, d.low), d.high)
	}
	return b
}

func (l *layout) append(b []byte, kind Kind) []byte {
	if kind == Histogram {
		b = binary.AppendUvarint(b, uint64(len(l.bounds.Edges())))
		for _, e := range l.bounds.Edges() {
			b = appendFloat(b, e)
		}
		return b
	}
	b = appendFloat(binary.AppendVarint(b, int64(l.scale)), l.threshold)
	for _, s := range [...]side{l.negative, l.positive} {
		b = binary.AppendUvarint(binary.AppendVarint(b, int64(s.offset)), uint64(s.length))
	}
	return b
}

func (b *Band) readBuckets(r *reader, kind Kind, f flags) buckets {
	e := buckets{kind: kind, flags: f, key: Key{r.fixed64(), r.fixed64()}}
	e.sent, e.last, e.start = r.times()
	b.readLayout(r, &e)
	e.count = r.uvarint()
	for i := range e.moments {
		e.moments[i] = r.finite()
	}
	e.counts = make([]uint64, r.count(1))
	for i := range e.counts {
		e.counts[i] = r.uvarint()
	}
	if want := int(e.layout.negative.length) + 1 + int(e.layout.positive.length); kind == Exponential && len(e.counts) != want ||
		kind == Histogram && len(e.counts) != e.layout.bounds.Buckets() && len(e.counts)+len(e.layout.bounds.Edges()) > 0 {
		r.fail("more or fewer buckets than the layout has")
		return e
	}
	if r.left() < fixed+len(e.counts) {
		r.fail("it ends too early")
		return e
	}
	e.values = make([]float64, fixed+len(e.counts))
	for i := range e.values {
		e.values[i] = r.finite()
	}
	if f.has(line) && r.left() >= 2*len(e.values) {
		e.doors = make([]door, len(e.values))
		for i := range e.doors {
			e.doors[i] = door{r.float(), r.float()}
		}
	} else if f.has(line) {
		r.fail("it ends too early")
	}
	return e
}

func (b *Band) readLayout(r *reader, e *buckets) {
	l := &e.layout
	l.known = spatial.Fields(r.byte())
	if e.kind == Histogram {
		edges := make([]float64, r.count(1))
		for i := range edges {
			edges[i] = r.float()
		}
		bounds, v := b.Bounds(edges)
		if v.Refused() {
			r.fail("bounds that are none")
		}
		l.bounds = bounds
		return
	}
	scale := r.varint()
	if scale < spatial.MinScale || scale > spatial.MaxScale {
		r.fail("a scale out of range")
	}
	l.scale, l.threshold = int32(scale), r.finite() //nolint:gosec // in range
	for _, s := range [...]*side{&l.negative, &l.positive} {
		offset, length := r.varint(), r.uvarint()
		if offset != int64(int32(offset)) || length > spatial.MaxListed { //nolint:gosec // that is the question
			r.fail("a side out of range")
			return
		}
		*s = side{int32(offset), uint32(length)} //nolint:gosec // in range
	}
}
