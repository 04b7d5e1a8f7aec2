package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

var (
	errPatternEmpty    = errors.New("must not be empty")
	errPatternEncoding = errors.New("is not valid UTF-8")
	errPatternLong     = fmt.Errorf("must not be longer than %d bytes, an expression not than %d", maxNameBytes, maxRegexBytes)
)

// maxRegexBytes bounds expressions, which lists of values become.
const maxRegexBytes = 64 << 10

// pattern is a literal, a glob, or an expression that matches whole texts. It
// reads what internal/match does, which compiles patterns for the data path;
// here one must be told from another, too.
type pattern struct {
	text string
	re   *regexp.Regexp // nil: text is a literal or a glob
	// begin is a text with which all that matches begins.
	begin string
}

// isRegex says whether a pattern is an expression between slashes.
func isRegex(text string) bool {
	return len(text) > 2 && text[0] == '/' && text[len(text)-1] == '/'
}

func isGlob(text string) bool { return strings.ContainsAny(text, "*?") }

func parsePattern(text string) (pattern, error) {
	switch {
	case text == "":
		return pattern{}, errPatternEmpty
	case len(text) > maxNameBytes && !isRegex(text) || len(text) > maxRegexBytes:
		return pattern{}, errPatternLong
	case !utf8.ValidString(text):
		return pattern{}, fmt.Errorf("%q %w", text, errPatternEncoding)
	case !isRegex(text):
		begin := text
		if i := strings.IndexAny(text, "*?"); i >= 0 {
			begin = text[:i]
		}
		return pattern{text: text, begin: begin}, nil
	}
	expression := text[1 : len(text)-1]
	re, err := wholeRegexp(expression)
	if err != nil {
		return pattern{}, fmt.Errorf("%q: %w", text, err)
	}
	p := pattern{text: text, re: re}
	if free, err := regexp.Compile(expression); err == nil {
		p.begin, _ = free.LiteralPrefix() // that of re is hidden by its anchor
	}
	return p, nil
}

// wholeRegexp compiles an expression that must match all of a text. It is
// checked by itself first: a)|(b is none, though it would become one between the
// parentheses of the anchors.
func wholeRegexp(expression string) (*regexp.Regexp, error) {
	if _, err := syntax.Parse(expression, syntax.Perl); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + expression + `)\z`)
}

func (p pattern) literal() bool { return p.re == nil && !isGlob(p.text) }

func (p pattern) glob() bool { return p.re == nil && isGlob(p.text) }

func (p pattern) match(text string) bool {
	if p.re != nil {
		return p.re.MatchString(text)
	}
	return globMatches(p.text, text)
}

// covers says whether p matches all that q does. No means perhaps not.
func (p pattern) covers(q pattern) bool {
	switch {
	case p.text == q.text:
		return true
	case q.literal():
		return p.match(q.text)
	case p.re != nil:
		return p.text == "/(?s:.*)/" || p.text == "/(?s).*/" // without s, . is no newline
	case strings.Trim(p.text, "*") == "":
		return true
	case q.re != nil:
		// All that begins so: x* covers an expression that begins with x.
		begin, open := strings.CutSuffix(p.text, "*")
		return open && !isGlob(begin) && strings.HasPrefix(q.begin, begin)
	}
	// A glob that matches the other as a text, wildcards and all, matches
	// whatever stands for them.
	return globCovers(p.text, q.text)
}

// verdict is an answer that may not be known.
type verdict int

const (
	no verdict = iota
	perhaps
	yes
)

// meets says whether there is a text that both match.
func (p pattern) meets(q pattern) verdict {
	decided := func(b bool) verdict {
		if b {
			return yes
		}
		return no
	}
	switch {
	case p.literal():
		return decided(q.match(p.text))
	case q.literal():
		return decided(p.match(q.text))
	case !strings.HasPrefix(p.begin, q.begin) && !strings.HasPrefix(q.begin, p.begin):
		return no
	case p.glob() && q.glob():
		return decided(globsMeet(p.text, q.text))
	}
	return perhaps
}

// globMatches matches a whole text: * stands for any run of characters and ? for
// one. A literal is a glob without wildcards.
func globMatches(glob, text string) bool {
	return globWalk(glob, text, func(g, t rune) bool { return g == '?' || g == t })
}

// globCovers reads the text as a glob, too.
func globCovers(glob, text string) bool {
	return globWalk(glob, text, func(g, t rune) bool { return t != '*' && (g == '?' || g == t) })
}

// globWalk remembers the last * and lets it take one character more whenever
// what follows it does not fit.
func globWalk(glob, text string, fits func(glob, text rune) bool) bool {
	g, t := 0, 0
	star, retry := -1, 0
	for t < len(text) {
		tr, tn := utf8.DecodeRuneInString(text[t:])
		gr, gn := utf8.DecodeRuneInString(glob[g:])
		switch {
		case gn > 0 && gr == '*':
			star, retry = g, t
			g += gn
		case gn > 0 && fits(gr, tr):
			g, t = g+gn, t+tn
		case star >= 0:
			_, n := utf8.DecodeRuneInString(text[retry:])
			retry += n
			g, t = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}

// globsMeet says whether there is a text that both globs match.
func globsMeet(a, b string) bool {
	as, bs := []rune(a), []rune(b)
	// row[j]: the globs' ends from i and j on have a text in common.
	row := make([]bool, len(bs)+1)
	for i := len(as); i >= 0; i-- {
		diagonal := false // what row[j+1] was for i+1
		for j := len(bs); j >= 0; j-- {
			below := row[j]
			switch {
			case i == len(as) && j == len(bs):
				row[j] = true
			case i < len(as) && as[i] == '*':
				row[j] = below || j < len(bs) && row[j+1]
			case j < len(bs) && bs[j] == '*':
				row[j] = row[j+1] || i < len(as) && below
			default:
				row[j] = i < len(as) && j < len(bs) && (as[i] == '?' || bs[j] == '?' || as[i] == bs[j]) && diagonal
			}
			diagonal = below
		}
	}
	return row[0]
}
