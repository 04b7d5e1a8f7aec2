package policy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/match"
)

func mustPattern(t require.TestingT, text string) pattern {
	p, err := parsePattern(text)
	require.NoError(t, err)
	return p
}

func TestPatternsMeetAndCover(t *testing.T) {
	f := func(a, b string, meets verdict, covers bool) {
		t.Helper()
		p, q := mustPattern(t, a), mustPattern(t, b)
		assert.Equal(t, meets, p.meets(q), "%s meets %s", a, b)
		assert.Equal(t, meets, q.meets(p), "%s meets %s", b, a)
		assert.Equal(t, covers, p.covers(q), "%s covers %s", a, b)
	}
	f("up", "up", yes, true)
	f("up", "down", no, false)
	f("http.*", "http.server", yes, true)
	f("http.server", "http.*", yes, false)
	f("http.*", "grpc.*", no, false)
	f("http.*", "*.duration", yes, false)
	f("*.*", "*.duration", yes, true)
	f("h?tp", "h*p", yes, false)
	f("h*p", "h?tp", yes, true)
	f("h?tp", "*q", no, false)
	f("a*b*c", "a?b?c", yes, true)
	f("a?", "a*", yes, false)
	f("*", "/.+/", perhaps, true)
	f("**", "*", yes, true)
	f("/http.*/", "http.server", yes, true)
	f("/http.*/", "grpc.server", no, false)
	f("/http.*/", "grpc.*", no, false)
	f("/http.*/", "http.*", perhaps, false)
	f("http*", "/http_.*/", perhaps, true)
	f("http*x", "/http_.*/", perhaps, false)
	f("/a.*/", "/b.*/", no, false)
	f("/a.*/", "/a.*/", perhaps, true)
	f("/(?s:.*)/", "x*", perhaps, true)
	f("/(?i)a.*/", "A*", perhaps, false)
}

// names draws from few characters, so that globs meet.
var (
	globs = rapid.StringMatching(`[ab*?é]{1,6}`)
	names = rapid.StringMatching(`[abé]{0,6}`)
)

func TestGlobsAgreeWithTheMatcherOfTheDataPath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		glob, name := globs.Draw(t, "glob"), names.Draw(t, "name")
		compiled, err := match.Compile(glob)
		require.NoError(t, err)
		assert.Equal(t, compiled.Match(name), globMatches(glob, name))
	})
}

func TestVerdictsAgreeWithNames(t *testing.T) {
	patterns := rapid.OneOf(globs, rapid.SampledFrom([]string{"/a+/", "/a|b.*/", "/(?s:.*)/", "/[ab]{2}/", "/(?i)A*/", "/b?a/"}))
	rapid.Check(t, func(t *rapid.T) {
		p, q := mustPattern(t, patterns.Draw(t, "p")), mustPattern(t, patterns.Draw(t, "q"))
		meets, covers := p.meets(q), p.covers(q)
		for range 20 {
			name := names.Draw(t, "name")
			inP, inQ := p.match(name), q.match(name)
			if inP && inQ && meets == no {
				t.Fatalf("%s and %s both match %q", p.text, q.text, name)
			}
			if inQ && !inP && covers {
				t.Fatalf("%s does not cover %s: %q", p.text, q.text, name)
			}
		}
	})
}

func TestPatternsAreThoseOfTheDataPath(t *testing.T) {
	f := func(text string) {
		t.Helper()
		_, here := parsePattern(text)
		_, there := match.Compile(text)
		assert.Equal(t, there == nil, here == nil, "%q: %v, %v", text, here, there)
	}
	f("")
	f("a)|(b")
	f("/a)|(b/")
	f("/(/")
	f("//")
	f("/\\Qa/")
	f("\xff")
	f("/\xff/")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`/?[a()|*?\[\]\\+.]{0,8}/?`).Draw(t, "text")
		name := names.Draw(t, "name")
		here, err := parsePattern(text)
		there, errThere := match.Compile(text)
		require.Equal(t, errThere == nil, err == nil)
		if err == nil {
			assert.Equal(t, there.Match(name), here.match(name))
		}
	})
}
