package match_test

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/match"
)

// glob is the slow matcher: it tries everything.
func glob(pattern, name []rune) bool {
	if len(pattern) == 0 {
		return len(name) == 0
	}
	switch pattern[0] {
	case '*':
		return glob(pattern[1:], name) || len(name) > 0 && glob(pattern, name[1:])
	case '?':
		return len(name) > 0 && glob(pattern[1:], name[1:])
	}
	return len(name) > 0 && name[0] == pattern[0] && glob(pattern[1:], name[1:])
}

func isExpression(pattern string) bool {
	return len(pattern) > 2 && strings.HasPrefix(pattern, "/") && strings.HasSuffix(pattern, "/")
}

func TestAGlobIsWhatTheSlowMatcherSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab.*?\\(|\n日]{1,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[ab.*?\\(|\n日]{0,8}`).Draw(t, "name")
		p, err := match.Compile(pattern)
		require.NoError(t, err)
		require.Equal(t, glob([]rune(pattern), []rune(name)), p.Match(name))
	})
}

// FuzzGlob compares any pattern that is no regular expression with the slow
// matcher.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{
		{"*", ""},
		{"http.*", "http.server"},
		{"a?c", "a\nc"},
		{"a*b*c", "abcbc"},
		{`\Q*\E`, `\Qx\E`},
		{"[a-z]*", "[a-z]"},
		{"(?i)a*", "(?i)a"},
		{"日?語", "日本語"},
		{"\xff*", "\xff"},
		{"?", "\xff"},
		{"", ""},
		{"//", "//"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if isExpression(pattern) || len(pattern) > 24 || len(name) > 24 { // the slow matcher takes exponential time
			return
		}
		p, err := match.Compile(pattern)
		if pattern == "" || !utf8.ValidString(pattern) {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, pattern, p.String())
		if strings.ContainsRune(pattern, utf8.RuneError) && !utf8.ValidString(name) {
			return // U+FFFD is also how a broken byte reads
		}
		require.Equal(t, glob([]rune(pattern), []rune(name)), p.Match(name))
	})
}

// FuzzExpression compares a pattern between slashes with a search for the
// longest match, which is the whole name exactly if there is such a match.
func FuzzExpression(f *testing.F) {
	for _, seed := range [][2]string{
		{`a)|(b`, "ax"},
		{`a)|(?:b`, "ax"},
		{`\Qa`, "a"},
		{`\Qa.b\E`, "a.b"},
		{`(?m)^a$`, "a\nb"},
		{`a|ab`, "ab"},
		{`(?i:a)b`, "AB"},
		{`a*?`, "aaa"},
		{`(?U)a+`, "aa"},
		{`\bx`, "x"},
		{`a\`, "a"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, expression, name string) {
		if expression == "" {
			return
		}
		p, err := match.Compile("/" + expression + "/")
		bare, bareErr := regexp.Compile(expression)
		if err != nil {
			require.True(t, bareErr != nil || !utf8.ValidString(expression) ||
				strings.Contains(expression, `\Q`) || tooDeep(err), "%v", err)
			return
		}
		require.NoError(t, bareErr, "it means something only between other parentheses")
		bare.Longest()
		whole := slices.Equal(bare.FindStringIndex(name), []int{0, len(name)})
		require.Equal(t, whole, p.Match(name))
	})
}

// tooDeep is set for an expression that is as large as RE2 takes already.
func tooDeep(err error) bool {
	var cause *syntax.Error
	return errors.As(err, &cause) && (cause.Code == syntax.ErrNestingDepth || cause.Code == syntax.ErrLarge)
}
