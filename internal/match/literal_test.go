package match_test

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/match"
)

func FuzzLiteralMatchesItselfOnly(f *testing.F) {
	for _, name := range []string{"up", "a*b", "what?", "/slashes/", "//", "/", "a.b", "/*/", "(a|b)*"} {
		f.Add(name, "ab")
	}
	f.Fuzz(func(t *testing.T, name, other string) {
		if name == "" || !utf8.ValidString(name) {
			return
		}
		p, err := match.Compile(match.Literal(name))
		require.NoError(t, err)
		assert.True(t, p.Match(name))
		assert.Equal(t, name == other, p.Match(other))
	})
}
