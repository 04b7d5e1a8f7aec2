package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// reader reads what the append functions wrote. The first thing that is wrong
// ends it: it stays at its end from then on and returns zeros.
type reader struct {
	bytes []byte
	at    int
	err   error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: byte %d of the payload: %s", ErrDamaged, r.at, what)
	}
	r.at = len(r.bytes)
}

func (r *reader) left() int { return len(r.bytes) - r.at }

func (r *reader) byte() byte {
	if r.at >= len(r.bytes) {
		r.fail("it ends too early")
		return 0
	}
	b := r.bytes[r.at]
	r.at++
	return b
}

func (r *reader) fixed64() uint64 {
	if r.left() < 8 {
		r.fail("it ends too early")
		return 0
	}
	v := binary.LittleEndian.Uint64(r.bytes[r.at:])
	r.at += 8
	return v
}

func (r *reader) uvarint() uint64 {
	if r.at < len(r.bytes) && r.bytes[r.at] < 0x80 {
		r.at++
		return uint64(r.bytes[r.at-1])
	}
	v, n := binary.Uvarint(r.bytes[r.at:])
	if n <= 0 {
		r.fail("a number that does not end")
		return 0
	}
	r.at += n
	return v
}

func (r *reader) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1) // the zigzag of encoding/binary
}

// after reads a value that was written relative to another, and replaces that.
func (r *reader) after(last *uint64) uint64 {
	*last += uint64(r.varint()) //nolint:gosec // wraps around as it did when it was written
	return *last
}

// instant is after for a time that has to be one.
func (r *reader) instant(last *uint64) uint64 {
	t := r.after(last)
	if t > math.MaxInt64 {
		r.fail("a time past the year 2262")
	}
	return t
}

// count reads how many things follow that take at least size bytes each. What
// cannot be there is not made room for.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(r.left()/size) { //nolint:gosec // not negative
		r.fail(fmt.Sprintf("%d things where %d bytes are left", n, r.left()))
		return 0
	}
	return int(n) //nolint:gosec // at most the length of the record
}

// index reads an index into a table of n things, or n itself where the thing
// follows.
func (r *reader) index(n int) (i int, follows bool) {
	v := r.uvarint()
	if v > uint64(n) { //nolint:gosec // not negative
		r.fail(fmt.Sprintf("index %d into a table of %d", v, n))
	}
	if r.err != nil {
		return -1, false
	}
	return int(v), v == uint64(n) //nolint:gosec // at most n
}

func (r *reader) raw(n int) []byte {
	b := r.bytes[r.at : r.at+n]
	r.at += n
	return b
}

func (r *reader) literal() string { return string(r.raw(r.count(1))) }

func (r *reader) float() float64 {
	return math.Float64frombits(bits.ReverseBytes64(r.uvarint()))
}

func appendVarint(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

func appendUvarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func appendFixed64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

// appendAfter writes a value relative to the one before, which it replaces.
func appendAfter(b []byte, v uint64, last *uint64) []byte {
	b = appendVarint(b, int64(v-*last)) //nolint:gosec // wraps around, and back when it is read
	*last = v
	return b
}

func appendLiteral(b []byte, text string) []byte {
	return append(appendUvarint(b, uint64(len(text))), text...)
}

// appendFloat puts the bytes of a double that tell most first: whole numbers,
// which most metrics are, take 2 to 4 bytes.
func appendFloat(b []byte, v float64) []byte {
	return appendUvarint(b, bits.ReverseBytes64(math.Float64bits(v)))
}
