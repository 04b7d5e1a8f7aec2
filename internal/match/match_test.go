package match_test

import (
	"regexp/syntax"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/match"
)

func TestAPatternMatchesWholeNames(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		yes, no []string
	}{
		// A literal name.
		{"http.server.duration", []string{"http.server.duration"}, []string{"", "http_server_duration", "http.server.duration2", "a.http.server.duration"}},
		{"a", []string{"a"}, []string{"", "A", "aa", "a\n", "\na"}},
		{"[a-z]+", []string{"[a-z]+"}, []string{"a", "abc"}},
		{"a|b", []string{"a|b"}, []string{"a", "b"}},
		{"/", []string{"/"}, []string{"", "//"}},
		{"//", []string{"//"}, []string{"", "/", "x"}},
		{"/api", []string{"/api"}, []string{"api"}},
		{"api/", []string{"api/"}, []string{"api"}},

		// A glob.
		{"*", []string{"", "a", "http.server", "a\nb", "\n", "\xff"}, nil},
		{"**", []string{"", "a", "ab"}, nil},
		{"http.*", []string{"http.", "http.server", "http.a\nb"}, []string{"http", "xhttp.server", "httpxserver"}},
		{"*.duration", []string{".duration", "http.duration"}, []string{"http.duration.sum", "duration"}},
		{"a*b*c", []string{"abc", "aXbYc", "abbc", "abcbc", "acbc"}, []string{"ab", "acb", "abcd", "xabc"}},
		{"a?c", []string{"abc", "a.c", "a\nc", "a日c", "a\xffc"}, []string{"ac", "abbc", "abc\n"}},
		{"???", []string{"abc", "日本語"}, []string{"ab", "abcd"}},
		{"?*", []string{"a", "ab"}, []string{""}},

		// The signs of regular expressions mean themselves in a glob.
		{`a.b*`, []string{"a.b", "a.bc"}, []string{"axb"}},
		{`(a|b)*`, []string{"(a|b)", "(a|b)c"}, []string{"a", "b"}},
		{`[ab]?`, []string{"[ab]c"}, []string{"ac", "a"}},
		{`\d*`, []string{`\d`, `\d1`}, []string{"1"}},
		{`a+*`, []string{"a+", "a+b"}, []string{"aa"}},
		{`^a$*`, []string{"^a$", "^a$b"}, []string{"a"}},
		{`a{2}*`, []string{"a{2}"}, []string{"aa"}},
		{`\*`, []string{`\`, `\a`}, []string{"*"}}, // there is no escape
		{`\Q*`, []string{`\Q`, `\Qa`}, []string{"", "a"}},

		// A regular expression.
		{`/http\..*/`, []string{"http.", "http.server"}, []string{"http", "xhttp.server"}},
		{`/a|b/`, []string{"a", "b"}, []string{"ab", "ax", "xb", ""}},
		{`/^a$/`, []string{"a"}, []string{"a\n", "ab"}},
		{`/a$/`, []string{"a"}, []string{"a\n", "ba"}},
		{`/(?m)^a$/`, []string{"a"}, []string{"a\nb", "b\na", "a\n"}},
		{`/(?i)a/`, []string{"a", "A"}, []string{"b", "aa"}},
		{`/a.c/`, []string{"abc"}, []string{"a\nc", "ac"}},
		{`/(?s)a.c/`, []string{"abc", "a\nc"}, []string{"ac"}},
		{`/a?/`, []string{"", "a"}, []string{"aa"}},
		{`/(|a)/`, []string{"", "a"}, []string{"b"}},
		{`/a//`, []string{"a/"}, []string{"a"}},
		{`/./`, []string{"a", "日"}, []string{"", "ab", "\n"}},
		{`/\Qa.b\E/`, []string{"a.b"}, []string{"axb"}},
		{`/a)|(b`, []string{`/a)|(b`}, []string{"a", "b"}}, // no slash at the end: a name
	} {
		t.Run(tt.pattern, func(t *testing.T) {
			p, err := match.Compile(tt.pattern)
			require.NoError(t, err)
			for _, name := range tt.yes {
				require.True(t, p.Match(name), "%q", name)
			}
			for _, name := range tt.no {
				require.False(t, p.Match(name), "%q", name)
			}
			require.Equal(t, tt.pattern, p.String())
		})
	}
}

func TestACompiledPatternIsRefusedWithItsText(t *testing.T) {
	for name, tt := range map[string]struct{ pattern, message string }{
		"nothing":             {"", "a pattern must not be empty"},
		"an open parenthesis": {`/a(b/`, "pattern \"/a(b/\": error parsing regexp: missing closing ): `a(b`"},
		"an open class":       {`/[a/`, "pattern \"/[a/\": error parsing regexp: missing closing ]: `[a`"},
		"a glob between slashes": {
			`/*/`, "pattern \"/*/\": error parsing regexp: missing argument to repetition operator: `*`",
		},
		"what RE2 does not have": {`/(?=a)/`, "pattern \"/(?=a)/\": error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
		"a backslash at the end": {`/a\/`, "pattern \"/a\\\\/\": error parsing regexp: trailing backslash at end of expression: ``"},
		"parentheses that close those around": {
			`/a)|(b/`, "pattern \"/a)|(b/\": error parsing regexp: unexpected ): `a)|(b`",
		},
		"such parentheses without a capture": {
			`/a)|(?:b/`, "pattern \"/a)|(?:b/\": error parsing regexp: unexpected ): `a)|(?:b`",
		},
		"a quote that does not end":      {`/\Qa/`, "pattern \"/\\\\Qa/\": error parsing regexp: missing closing )"},
		"a repetition that is too large": {`/a{1001}/`, "invalid repeat count"},
		"a name that is not UTF-8":       {"a\xff", `pattern "a\xff": not valid UTF-8`},
		"a glob that is not UTF-8":       {"\xff*", `pattern "\xff*": not valid UTF-8`},
		"an expression that is not":      {"/\xff/", `pattern "/\xff/": not valid UTF-8`},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := match.Compile(tt.pattern)
			require.ErrorContains(t, err, tt.message)
			require.Empty(t, p.String())
		})
	}
}

func TestTheErrorOfARegularExpressionCanBeFound(t *testing.T) {
	_, err := match.Compile(`/a(b/`)
	var cause *syntax.Error
	require.ErrorAs(t, err, &cause)
	require.Equal(t, syntax.ErrMissingParen, cause.Code)
}

// RE2 needs time in proportion to the name, whatever the pattern.
func TestNoPatternIsSlow(t *testing.T) {
	name := strings.Repeat("a", 100_000)
	for _, pattern := range []string{strings.Repeat("a*", 20) + "b", `/(a*)*b/`, `/(a|a|aa)+b/`} {
		p, err := match.Compile(pattern)
		require.NoError(t, err)
		require.False(t, p.Match(name))
		require.True(t, p.Match(name[:1000]+"b"))
	}
}

// Expressions take their state from a pool that the collector of garbage may
// empty; a name is only compared.
func TestMatchingANameDoesNotAllocate(t *testing.T) {
	p, err := match.Compile("http.server.duration")
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !p.Match("http.server.duration") || p.Match("http.server.size") {
			t.Error("wrong")
		}
	}))
}
