package sqlstore

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/phoenix-platform/phoenix/control/store"
)

// A page token is base64url of: version, fingerprint of the query, and the sort
// key of the last item of the page, each part a varint or a length and text.
// It is not signed: it says where to go on, and what may be seen there is the
// business of the query.
const (
	cursorVersion   = 1
	fingerprintSize = 8
	maxToken        = 4096
)

// part is the type of a part of a sort key.
type part byte

const (
	textPart part = iota
	intPart
)

var errToken = &store.InvalidError{Field: "page_token", Reason: "is not a token of this query"}

// encodeCursor writes a token. The values are strings and int64s.
func encodeCursor(fingerprint [fingerprintSize]byte, values []any) string {
	b := append([]byte{cursorVersion}, fingerprint[:]...)
	for _, value := range values {
		switch v := value.(type) {
		case string:
			b = binary.AppendUvarint(b, uint64(len(v)))
			b = append(b, v...)
		case int64:
			b = binary.AppendVarint(b, v)
		}
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// decodeCursor reads a token whose parts have to be of these types.
func decodeCursor(token string, fingerprint [fingerprintSize]byte, parts []part) ([]any, error) {
	if len(token) > maxToken {
		return nil, errToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) < 1+fingerprintSize || b[0] != cursorVersion || [fingerprintSize]byte(b[1:]) != fingerprint {
		return nil, errToken
	}
	b = b[1+fingerprintSize:]
	values := make([]any, 0, len(parts))
	for _, part := range parts {
		var value any
		if value, b, err = decodePart(b, part); err != nil {
			return nil, errToken
		}
		values = append(values, value)
	}
	if len(b) > 0 {
		return nil, errToken
	}
	return values, nil
}

var errPart = errors.New("not a part of a token")

func decodePart(b []byte, p part) (value any, rest []byte, err error) {
	if p == intPart {
		v, n := binary.Varint(b)
		if n <= 0 {
			return nil, nil, errPart
		}
		return v, b[n:], nil
	}
	size, n := binary.Uvarint(b)
	if n <= 0 || size > maxToken || int(size) > len(b)-n {
		return nil, nil, errPart
	}
	end := n + int(size)
	text := string(b[n:end])
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") { // PostgreSQL would fail
		return nil, nil, errPart
	}
	return text, b[end:], nil
}
