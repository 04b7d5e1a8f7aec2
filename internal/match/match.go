// Package match compiles the patterns that Phoenix uses for names: a glob with
// * and ?, or a regular expression between slashes.
package match

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// Pattern matches whole names.
type Pattern struct {
	text string
	re   *regexp.Regexp // nil: text is a literal name
}

var (
	errEmpty    = errors.New("a pattern must not be empty")
	errEncoding = errors.New("not valid UTF-8")
)

// Compile reads a pattern. `/re/` is an RE2 expression that must match the
// whole name; anything else is a glob in which * stands for any run of
// characters and ? for one.
func Compile(text string) (Pattern, error) {
	if text == "" {
		return Pattern{}, errEmpty
	}
	if !utf8.ValidString(text) {
		return Pattern{}, fmt.Errorf("pattern %q: %w", text, errEncoding)
	}
	if len(text) > 2 && text[0] == '/' && text[len(text)-1] == '/' {
		re, err := whole(text[1 : len(text)-1])
		if err != nil {
			return Pattern{}, fmt.Errorf("pattern %q: %w", text, err)
		}
		return Pattern{text: text, re: re}, nil
	}
	if !strings.ContainsAny(text, "*?") {
		return Pattern{text: text}, nil
	}
	quoted := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(text))
	return Pattern{text: text, re: regexp.MustCompile(`(?s)\A` + quoted + `\z`)}, nil
}

// whole compiles an expression that must match all of a name. The expression is
// checked by itself first: `a)|(b` is none, though it would become one between
// the parentheses of the anchors, and match more than whole names.
func whole(expression string) (*regexp.Regexp, error) {
	if _, err := syntax.Parse(expression, syntax.Perl); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + expression + `)\z`)
}

// Match reports whether the pattern matches the whole name.
func (p Pattern) Match(name string) bool {
	if p.re == nil {
		return p.text == name
	}
	return p.re.MatchString(name)
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.text }

// IsLiteral says whether the pattern is a name that only matches itself.
func (p Pattern) IsLiteral() bool { return p.re == nil }

// Prefix is what every name that matches begins with: of a glob the text before
// the first * or ?; of a regular expression nothing is known.
func (p Pattern) Prefix() string {
	if p.re == nil {
		return p.text
	}
	if len(p.text) > 2 && p.text[0] == '/' && p.text[len(p.text)-1] == '/' {
		return ""
	}
	return p.text[:strings.IndexAny(p.text, "*?")]
}

// Literal returns the text of a pattern that matches this name only.
func Literal(name string) string {
	if strings.ContainsAny(name, "*?") || len(name) > 2 && name[0] == '/' && name[len(name)-1] == '/' {
		return "/" + regexp.QuoteMeta(name) + "/"
	}
	return name
}
