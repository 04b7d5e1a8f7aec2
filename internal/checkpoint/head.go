package checkpoint

import (
	"encoding/hex"
	"fmt"
	"math"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// Identity is what must not change with a restart.
type Identity struct {
	// Secret keys the hashes that name inputs and outputs.
	Secret series.Secret
	// Writer tells this writer of outputs from others.
	Writer string
}

// head is the record that makes a checkpoint valid: it names all the others.
type head struct {
	generation uint64
	slot       uint8
	identity   Identity
	taken      uint64
	extra      []byte
	parts      []uint64 // their checksums
	sum        uint64   // of the head itself
}

// slots are the two sets of keys that checkpoints use in turn.
const slots = 2

func (h *head) encode() []byte {
	b := make([]byte, headerSize, headerSize+len(h.extra)+len(h.identity.Writer)+8*len(h.parts)+64)
	b = appendUvarint(append(b, h.slot), h.taken)
	b = append(b, secretBytes(h.identity.Secret)...)
	b = appendLiteral(b, h.identity.Writer)
	b = appendLiteral(b, string(h.extra))
	b = appendUvarint(b, uint64(len(h.parts)))
	for _, sum := range h.parts {
		b = appendFixed64(b, sum)
	}
	record, sum := seal(b, header{kind: headRecord, generation: h.generation})
	h.sum = sum
	return record
}

func decodeHead(record []byte) (head, error) {
	got, payload, sum, err := open(record)
	if err != nil {
		return head{}, err
	}
	if want := (header{kind: headRecord, generation: got.generation}); got != want {
		return head{}, fmt.Errorf("%w: it is %s, not a head", ErrForeign, got)
	}
	r := reader{bytes: payload}
	h := head{generation: got.generation, sum: sum, slot: r.byte(), taken: r.uvarint()}
	if h.generation == 0 || h.slot >= slots || h.taken > math.MaxInt64 {
		r.fail("a generation, a slot or a time out of range")
	}
	h.identity = Identity{Secret: r.secret(), Writer: r.literal()}
	h.extra = []byte(r.literal())
	h.parts = make([]uint64, r.count(8))
	for i := range h.parts {
		h.parts[i] = r.fixed64()
	}
	if r.left() > 0 {
		r.fail("more than a head")
	}
	return h, r.err
}

const secretSize = 16

func secretBytes(s series.Secret) []byte {
	text, _ := s.MarshalText() // never fails
	raw, _ := hex.DecodeString(string(text))
	return raw
}

func (r *reader) secret() series.Secret {
	if r.left() < secretSize {
		r.fail("it ends too early")
		return series.Secret{}
	}
	s, _ := series.ParseSecret(hex.EncodeToString(r.raw(secretSize))) // any 16 bytes are one
	return s
}
