package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"strings"
)

// An API key is phx_, an id, _, a secret, and a checksum, all in base62:
//
//	phx_8Vn3kQ0xTb2L_4bGm…27 more…pQ1j8r9X
//	    id (12)      secret (30) checksum (6)
//
// The secret has 30 × log₂62 = 178 bits. The checksum is the CRC-32 of what
// stands before it, so that what was mistyped or cut off is told from what is
// unknown without asking the store, and scanners for leaked secrets have next to
// no false alarms; GitHub does the same
// (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/).
const (
	keyPrefix      = "phx_"
	keyIDLength    = 12
	secretLength   = 30
	checksumLength = 6
	keyLength      = len(keyPrefix) + keyIDLength + 1 + secretLength + checksumLength

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// KeyPattern is a regular expression for scanners that look for leaked keys.
const KeyPattern = `phx_[0-9A-Za-z]{12}_[0-9A-Za-z]{36}`

var keyPattern = regexp.MustCompile(KeyPattern)

// Redact replaces every API key in a text, such as a path that goes to a log.
func Redact(text string) string {
	return keyPattern.ReplaceAllStringFunc(text, func(key string) string {
		return redacted(key[len(keyPrefix) : len(keyPrefix)+keyIDLength])
	})
}

func redacted(id string) string { return keyPrefix + id + "_REDACTED" }

// Key is an API key with its secret. Only Reveal gives that away: whatever
// prints, logs or encodes a Key gets its id. The text is held by a function, for
// packages that print by reflection look into fields of other structs without
// asking the type.
type Key struct {
	id   string
	text func() string
}

// NewKey makes a key from the random numbers of the operating system.
func NewKey() Key {
	return newKey(draw(rand.Reader, keyIDLength), draw(rand.Reader, secretLength))
}

func newKey(id, secret string) Key {
	text := keyPrefix + id + "_" + secret
	text += checksum(text)
	return Key{id: id, text: func() string { return text }}
}

// ParseKey reads a key that somebody presents. The error is a *Refusal; it does
// not repeat the text.
func ParseKey(text string) (Key, error) {
	rest, found := strings.CutPrefix(text, keyPrefix)
	switch {
	case !found:
		return Key{}, unauthenticated("an API key begins with %s", keyPrefix)
	case len(text) != keyLength:
		return Key{}, unauthenticated("an API key has %d characters, this one has %d", keyLength, len(text))
	case !keyPattern.MatchString(text): // as long as the text, so it is all of it
		return Key{}, unauthenticated("an API key has letters and digits only, and _ after its id")
	}
	id, secret := rest[:keyIDLength], rest[keyIDLength+1:][:secretLength]
	key := newKey(id, secret)
	if key.text() != text {
		return Key{}, unauthenticated("the checksum of the API key does not fit: it was mistyped or cut off")
	}
	return key, nil
}

// KeyIn returns the API key in the value of an Authorization header, or of the
// gRPC metadata of that name. Other bearer tokens are for the authentication
// extension.
func KeyIn(authorization string) (text string, found bool) {
	scheme, text, _ := strings.Cut(authorization, " ")
	text = strings.TrimSpace(text)
	if !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(text, keyPrefix) {
		return "", false
	}
	return text, true
}

// ID is public: lists, logs and the audit log call the key by it.
func (k Key) ID() string { return k.id }

// Reveal is the whole text, to be shown once to whoever created the key.
func (k Key) Reveal() string {
	if k.text == nil {
		return ""
	}
	return k.text()
}

// Hash is what is stored instead of the key.
//
// It is one round of SHA-256. Slow and salted hashes such as bcrypt protect what
// people can remember: here 2^178 secrets are equally likely, so that whoever
// has the hashes cannot try a part worth mentioning of them at any speed, and
// two keys do not have the same. They would make each request take as long as an
// attacker's guess. A pepper, a key for the hash, adds nothing to such a secret
// but one more secret to keep. The whole text is hashed, so that a hash that is
// moved to another id fits no key.
func (k Key) Hash() KeyHash { return KeyHash{sum: sha256.Sum256([]byte(k.Reveal()))} }

// String is the id and not the secret.
func (k Key) String() string { return redacted(k.id) }

// GoString is String.
func (k Key) GoString() string { return k.String() }

// Format writes String for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText is String; JSON and YAML use it.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// KeyHash is the hash of a key. It has no ==, only Equal.
type KeyHash struct {
	_   [0]func()
	sum [sha256.Size]byte
}

// HashOf is for a hash that comes back from the store.
func HashOf(sum [sha256.Size]byte) KeyHash { return KeyHash{sum: sum} }

// Sum is for the store.
func (h KeyHash) Sum() [sha256.Size]byte { return h.sum }

// Equal takes the same time wherever the hashes differ.
func (h KeyHash) Equal(other KeyHash) bool {
	return subtle.ConstantTimeCompare(h.sum[:], other.sum[:]) == 1
}

// String says nothing.
func (KeyHash) String() string { return "(hash)" }

// draw returns n characters that are independent and equally likely.
func draw(random io.Reader, n int) string {
	const fair = 256 / len(base62) * len(base62) // bytes above would favour the first characters
	text := make([]byte, 0, n)
	var buf [64]byte
	for len(text) < n {
		if _, err := io.ReadFull(random, buf[:]); err != nil {
			panic("access: no random numbers: " + err.Error()) // crypto/rand ends the program itself
		}
		for _, b := range buf {
			if int(b) < fair && len(text) < n {
				text = append(text, base62[int(b)%len(base62)])
			}
		}
	}
	return string(text)
}

// checksum is the CRC-32 (IEEE) of the text in base62, the highest digit first.
func checksum(text string) string {
	var digits [checksumLength]byte
	sum := crc32.ChecksumIEEE([]byte(text))
	for i := range digits {
		digits[len(digits)-1-i] = base62[sum%uint32(len(base62))]
		sum /= uint32(len(base62))
	}
	return string(digits[:])
}
