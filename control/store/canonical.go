package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf16"
)

// Digest is a SHA-256. The zero value means none.
type Digest [sha256.Size]byte

// SumSHA256 returns the digest of b.
func SumSHA256(b []byte) Digest { return sha256.Sum256(b) }

// String is the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero says whether there is none.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText is String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	var read Digest
	if n, err := hex.Decode(read[:], text[:min(len(text), 2*len(read))]); err != nil || n != len(read) || len(text) != 2*n {
		return fmt.Errorf("%q is not a SHA-256 in hexadecimal", text)
	}
	*d = read
	return nil
}

// text is String, or empty if there is none.
func (d Digest) text() string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

// canonicalTimeLayout always has microseconds, so that one time has one form.
const canonicalTimeLayout = "2006-01-02T15:04:05.000000Z"

func canonicalTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(canonicalTimeLayout)
}

// object is a JSON object of which canonical JSON (RFC 8785) is written. Values
// are strings, integers of less than 2^53, booleans, lists of strings and
// objects.
//
// encoding/json was rejected: how it escapes strings is not promised to stay,
// and every hash of the audit log depends on it.
type object map[string]any

func (o object) append(dst []byte) []byte {
	keys := slices.SortedFunc(maps.Keys(o), func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSONString(dst, key), ':')
		dst = appendJSONValue(dst, o[key])
	}
	return append(dst, '}')
}

func appendJSONValue(dst []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return appendJSONString(dst, v)
	case bool:
		return strconv.AppendBool(dst, v)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	case []string:
		dst = append(dst, '[')
		for i, s := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONString(dst, s)
		}
		return append(dst, ']')
	case object:
		return v.append(dst)
	}
	panic(fmt.Sprintf("store: canonical JSON of %T", value))
}

// appendJSONString escapes what RFC 8785 wants escaped and nothing else.
func appendJSONString(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch b := s[i]; {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b == '\b':
			dst = append(dst, `\b`...)
		case b == '\t':
			dst = append(dst, `\t`...)
		case b == '\n':
			dst = append(dst, `\n`...)
		case b == '\f':
			dst = append(dst, `\f`...)
		case b == '\r':
			dst = append(dst, `\r`...)
		case b < ' ':
			dst = append(dst, `\u00`...)
			dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '"')
}

func digestOf(o object) Digest { return SumSHA256(o.append(nil)) }
