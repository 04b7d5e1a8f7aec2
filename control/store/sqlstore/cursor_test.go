package sqlstore

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/store"
)

func TestATokenComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var values []any
		var parts []part
		for range rapid.IntRange(0, 4).Draw(t, "parts") {
			if rapid.Bool().Draw(t, "text") {
				values, parts = append(values, rapid.StringMatching(`[^\x00]{0,20}`).Draw(t, "value")), append(parts, textPart)
			} else {
				values, parts = append(values, rapid.Int64().Draw(t, "value")), append(parts, intPart)
			}
		}
		fingerprint := [fingerprintSize]byte(rapid.SliceOfN(rapid.Byte(), fingerprintSize, fingerprintSize).Draw(t, "fingerprint"))
		token := encodeCursor(fingerprint, values)
		read, err := decodeCursor(token, fingerprint, parts)
		require.NoError(t, err)
		require.Len(t, read, len(values))
		for i := range values {
			require.Equal(t, values[i], read[i])
		}
		other := fingerprint
		other[rapid.IntRange(0, fingerprintSize-1).Draw(t, "at")]++
		_, err = decodeCursor(token, other, parts)
		require.ErrorIs(t, err, store.ErrInvalid)
		_, err = decodeCursor(token, fingerprint, append(parts, intPart))
		require.ErrorIs(t, err, store.ErrInvalid)
	})
}

func TestQueriesHaveFingerprintsOfTheirOwn(t *testing.T) {
	seen := map[[fingerprintSize]byte]string{}
	for name, fill := range map[string]func(*where){
		"nothing":       func(*where) {},
		"a is x":        func(w *where) { w.equal("a", "x") },
		"b is x":        func(w *where) { w.equal("b", "x") },
		"a is y":        func(w *where) { w.equal("a", "y") },
		"a after x":     func(w *where) { w.compare("a", ">", "x") },
		"a is 1":        func(w *where) { w.compare("a", "=", int64(1)) },
		"a of x, y":     func(w *where) { among(w, "a", []string{"x", "y"}) },
		"a of x y":      func(w *where) { among(w, "a", []string{"x y"}) },
		"a of xy":       func(w *where) { among(w, "a", []string{"xy"}) },
		"a of nothing":  func(w *where) { among(w, "a", []string{}) },
		"a begins so":   func(w *where) { w.prefix("a", "x") },
		"a x and b y":   func(w *where) { w.equal("a", "x"); w.equal("b", "y") },
		`a is x" "y`:    func(w *where) { w.equal("a", `x" "y`) },
		"a of quotes":   func(w *where) { among(w, "a", []string{`x" "y`}) },
		"another table": nil,
	} {
		table := "t"
		var w where
		if fill == nil {
			table = "u"
		} else {
			fill(&w)
		}
		fingerprint := w.fingerprint(table)
		assert.Empty(t, seen[fingerprint], name)
		seen[fingerprint] = name
	}
}

// FuzzCursor looks for tokens that break the decoder or say two things.
func FuzzCursor(f *testing.F) {
	fingerprint := [fingerprintSize]byte{1, 2, 3}
	parts := []part{textPart, intPart}
	f.Add(encodeCursor(fingerprint, []any{"shop", int64(math.MinInt64)}))
	f.Add(encodeCursor(fingerprint, []any{"", int64(0)}))
	f.Add("AQECAwAAAAAA_____________wE")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		values, err := decodeCursor(token, fingerprint, parts)
		if err != nil {
			require.ErrorIs(t, err, store.ErrInvalid)
			return
		}
		again, err := decodeCursor(encodeCursor(fingerprint, values), fingerprint, parts)
		require.NoError(t, err)
		require.Equal(t, values, again)
	})
}
