package deadband

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// What can be wrong with a part that is restored.
var (
	// ErrDamaged is a part that is not what was saved.
	ErrDamaged = errors.New("damaged state")
	// ErrForeign is something else, or was saved under another identity.
	ErrForeign = errors.New("foreign state")
	// ErrNewerVersion is a format that this program does not know yet.
	ErrNewerVersion = errors.New("state of a newer version")
)

// A part is one record. Its envelope is the same in all versions:
//
//	magic     4 bytes  "PHXD"
//	version   1 byte
//	final     1 byte   1 if no point came after it was saved
//	identity  8 bytes  of the keys, little endian like all that follows
//	payload
//	checksum  8 bytes  XXH64 over all before
const (
	magic      = "PHXD"
	version    = 1
	headerSize = len(magic) + 1 + 1 + 8
	sumSize    = 8
	// partSize is where a part ends and the next one begins. A series is never
	// split.
	partSize = 1 << 20
)

func appendHeader(b []byte, identity uint64, final bool) []byte {
	b = append(append(b, magic...), version, 0)
	if final {
		b[len(b)-1] = 1
	}
	return binary.LittleEndian.AppendUint64(b, identity)
}

func seal(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b)) }

// unseal takes a record out of its envelope.
func unseal(record []byte, identity uint64) (payload []byte, final bool, err error) {
	end := len(record) - sumSize
	switch {
	case end < headerSize:
		return nil, false, fmt.Errorf("%w: %d bytes are no part", ErrDamaged, len(record))
	case string(record[:len(magic)]) != magic:
		return nil, false, fmt.Errorf("%w: it begins with %q, not %q", ErrForeign, record[:len(magic)], magic)
	case xxhash.Sum64(record[:end]) != binary.LittleEndian.Uint64(record[end:]):
		return nil, false, fmt.Errorf("%w: the checksum does not match", ErrDamaged)
	}
	switch v := record[len(magic)]; {
	case v > version:
		return nil, false, fmt.Errorf("%w: version %d, this program knows up to %d", ErrNewerVersion, v, version)
	case v == 0 || record[len(magic)+1] > 1:
		return nil, false, fmt.Errorf("%w: a header that nobody writes", ErrDamaged)
	case binary.LittleEndian.Uint64(record[len(magic)+2:]) != identity:
		return nil, false, fmt.Errorf("%w: its keys are hashed otherwise", ErrForeign)
	}
	return record[headerSize:end], record[len(magic)+1] == 1, nil
}

// appendFloat puts the bytes of a double that tell most first: whole numbers,
// which most metrics are, take 2 to 4 bytes.
func appendFloat(b []byte, v float64) []byte {
	return binary.AppendUvarint(b, bits.ReverseBytes64(math.Float64bits(v)))
}

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
	if r.left() < 1 {
		r.fail("it ends too early")
		return 0
	}
	r.at++
	return r.bytes[r.at-1]
}

func (r *reader) fixed64() uint64 {
	if r.left() < 8 {
		r.fail("it ends too early")
		return 0
	}
	r.at += 8
	return binary.LittleEndian.Uint64(r.bytes[r.at-8:])
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.bytes[r.at:])
	if n <= 0 {
		r.fail("a number that does not end")
		return 0
	}
	r.at += n
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.bytes[r.at:])
	if n <= 0 {
		r.fail("a number that does not end")
		return 0
	}
	r.at += n
	return v
}

func (r *reader) float() float64 { return math.Float64frombits(bits.ReverseBytes64(r.uvarint())) }

// finite is float for what has to be a number.
func (r *reader) finite() float64 {
	v := r.float()
	if v-v != 0 {
		r.fail("no number where one has to be")
		return 0
	}
	return v
}

// count reads how many things follow that take at least size bytes each. What
// cannot be there is not made room for.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(r.left()/size) { //nolint:gosec // not negative
		r.fail(fmt.Sprintf("%d things where %d bytes are left", n, r.left()))
		return 0
	}
	return int(n) //nolint:gosec // at most the length of the part
}

// instant reads a time that has to be one.
func (r *reader) instant() uint64 {
	t := r.uvarint()
	if t == 0 || t > math.MaxInt64 {
		r.fail("a time out of range")
		return 1
	}
	return t
}
