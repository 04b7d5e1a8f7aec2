package experiment

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf16"
)

// Hash is the SHA-256, in hexadecimal, of the specification with its defaults as
// canonical JSON (RFC 8785). It is in every report, and an experiment that has
// started goes on only with the same. A specification with numbers that JSON
// cannot hold, which no Validate passes, has none: it is empty.
func (s Spec) Hash() string {
	text, err := s.canonical()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// canonical goes through encoding/json, for names and for numbers, whose form
// there is that of ECMAScript, as RFC 8785 wants it, and documented. How it
// orders keys and escapes strings is not promised to stay and is done here.
func (s Spec) canonical() ([]byte, error) {
	text, err := json.Marshal(s.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("encode the experiment %q: %w", s.ID, err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, fmt.Errorf("encode the experiment %q: %w", s.ID, err)
	}
	return appendCanonical(nil, value), nil
}

func appendCanonical(dst []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return fmt.Appendf(dst, "%t", v)
	case json.Number:
		return append(dst, v...)
	case string:
		return appendCanonicalString(dst, v)
	case []any:
		dst = append(dst, '[')
		for i, element := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendCanonical(dst, element)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for i, key := range slices.SortedFunc(maps.Keys(v), compareUTF16) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendCanonicalString(dst, key), ':')
			dst = appendCanonical(dst, v[key])
		}
		return append(dst, '}')
	}
	return dst // encoding/json makes nothing else
}

// compareUTF16 is the order of keys of RFC 8785, section 3.2.3.
func compareUTF16(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

// appendCanonicalString escapes what RFC 8785, section 3.2.2.2, wants escaped.
func appendCanonicalString(dst []byte, s string) []byte {
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
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '"')
}
