package series

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Secret keys the hashes of one installation. Sketches that are to be merged
// must have been filled under the same secret. The zero Secret is valid and
// gives hashes that are the same everywhere; use it in tests only.
type Secret struct {
	a, b uint64
}

// secretSize is the length of an encoded secret: 128 bits.
const secretSize = 16

var errSecret = errors.New("a secret is 32 hexadecimal digits")

// NewSecret returns a secret from the system's random source.
func NewSecret() Secret {
	var raw [secretSize]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24: it ends the process instead
	return Secret{a: binary.LittleEndian.Uint64(raw[:8]), b: binary.LittleEndian.Uint64(raw[8:])}
}

// ParseSecret reads what MarshalText wrote.
func ParseSecret(text string) (Secret, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != secretSize {
		return Secret{}, fmt.Errorf("%w, got %d characters", errSecret, len(text))
	}
	return Secret{a: binary.LittleEndian.Uint64(raw[:8]), b: binary.LittleEndian.Uint64(raw[8:])}, nil
}

// MarshalText returns the secret as 32 hexadecimal digits.
func (s Secret) MarshalText() ([]byte, error) {
	var raw [secretSize]byte
	binary.LittleEndian.PutUint64(raw[:8], s.a)
	binary.LittleEndian.PutUint64(raw[8:], s.b)
	return hex.AppendEncode(nil, raw[:]), nil
}

// String hides the secret from logs and error messages.
func (Secret) String() string { return redacted }

// Format hides it from the verbs that do not ask String: %d, %#v and others.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

const redacted = "[REDACTED]"
