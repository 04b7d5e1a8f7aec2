package insight

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"

	"google.golang.org/protobuf/proto"
)

// cursorVersion is the first byte of a page token.
const cursorVersion = 1

var errToken = errors.New("is not a next_page_token of this list with these parameters; begin again without it")

// cursor is the last entry of a page: the next page begins after it. It says
// nothing that the page does not say, so it needs no secret, and the server
// remembers nothing.
type cursor struct {
	// query is the digest of what was asked, without the page.
	query [8]byte
	rank
}

// digestOf is the digest of a request without its page token and size: a token
// holds for the same question only.
func digestOf(request proto.Message, cleared ...string) [8]byte {
	bare := proto.Clone(request)
	fields := bare.ProtoReflect().Descriptor().Fields()
	for _, name := range cleared {
		for i := range fields.Len() {
			if string(fields.Get(i).Name()) == name {
				bare.ProtoReflect().Clear(fields.Get(i))
			}
		}
	}
	// A message that came over the wire can be marshalled, but for texts that are
	// not UTF-8; their questions have the same digest, which does no harm.
	raw, _ := proto.MarshalOptions{Deterministic: true}.Marshal(bare)
	sum := sha256.Sum256(append([]byte(bare.ProtoReflect().Descriptor().FullName()), raw...))
	return [8]byte(sum[:8])
}

func (c cursor) token() string {
	raw := append([]byte{cursorVersion}, c.query[:]...)
	raw = binary.BigEndian.AppendUint64(raw, math.Float64bits(c.value))
	for _, text := range []string{c.name, c.group, c.point} {
		raw = binary.AppendUvarint(raw, uint64(len(text)))
		raw = append(raw, text...)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func readCursor(token string, query [8]byte) (cursor, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 17 || raw[0] != cursorVersion {
		return cursor{}, errToken
	}
	c := cursor{query: [8]byte(raw[1:9])}
	c.value = math.Float64frombits(binary.BigEndian.Uint64(raw[9:17]))
	raw = raw[17:]
	for _, text := range []*string{&c.name, &c.group, &c.point} {
		length, n := binary.Uvarint(raw)
		if n <= 0 || length > uint64(len(raw)-n) { //nolint:gosec // n is at most that
			return cursor{}, errToken
		}
		*text = string(raw[n : n+int(length)]) //nolint:gosec // within raw
		raw = raw[n+int(length):]              //nolint:gosec // within raw
	}
	if len(raw) > 0 || c.query != query || math.IsNaN(c.value) {
		return cursor{}, errToken
	}
	return c, nil
}
