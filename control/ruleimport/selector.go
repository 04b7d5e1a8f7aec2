package ruleimport

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// matcher is one condition of a series selector.
type matcher struct {
	label, op, value string
}

// parseSelector reads a series selector such as name{label="value"}, also with
// the name quoted between the braces. What MetricsQL has beyond PromQL is
// refused.
func parseSelector(text string) ([]matcher, error) {
	p := &selectorParser{rest: text}
	p.space()
	var list []matcher
	if name := p.identifier(); name != "" {
		list = append(list, matcher{"__name__", "=", name})
	}
	p.space()
	if p.take("{") {
		more, err := p.matchers()
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	} else if len(list) == 0 {
		return nil, p.expected("a metric name or {")
	}
	p.space()
	if p.rest != "" {
		return nil, p.expected("the end of the selector")
	}
	return list, nil
}

type selectorParser struct{ rest string }

func (p *selectorParser) expected(what string) error {
	if p.rest == "" {
		return fmt.Errorf("expected %s at the end", what)
	}
	at := p.rest
	if len(at) > 20 {
		at = at[:20]
	}
	return fmt.Errorf("expected %s at %q", what, at)
}

func (p *selectorParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *selectorParser) take(token string) bool {
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *selectorParser) identifier() string {
	n := 0
	for n < len(p.rest) {
		c := p.rest[n]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' || c == '.'
		if !letter && (n == 0 || c < '0' || c > '9') {
			break
		}
		n++
	}
	name := p.rest[:n]
	p.rest = p.rest[n:]
	return name
}

var errOr = errors.New("`or` inside a selector has no equal: write one entry of match for each side")

func (p *selectorParser) matchers() ([]matcher, error) {
	var list []matcher
	for {
		p.space()
		if p.take("}") {
			return list, nil
		}
		m, err := p.matcher()
		if err != nil {
			return nil, err
		}
		list = append(list, m)
		p.space()
		switch {
		case p.take(","):
		case p.rest != "" && p.rest[0] == '}':
		case strings.HasPrefix(p.rest, "or ") || strings.HasPrefix(p.rest, "or\t"):
			return nil, errOr
		default:
			return nil, p.expected(", or }")
		}
	}
}

func (p *selectorParser) matcher() (matcher, error) {
	var m matcher
	quoted := p.rest != "" && strings.ContainsRune("\"'`", rune(p.rest[0]))
	if quoted {
		text, err := p.quoted()
		if err != nil {
			return m, err
		}
		m.label = text
	} else if m.label = p.identifier(); m.label == "" {
		return m, p.expected("a label")
	}
	p.space()
	for _, op := range []string{"=~", "!~", "!=", "="} {
		if p.take(op) {
			m.op = op
			break
		}
	}
	if m.op == "" {
		if quoted { // a name that needs quotes
			return matcher{"__name__", "=", m.label}, nil
		}
		return m, p.expected("=, !=, =~ or !~")
	}
	p.space()
	var err error
	m.value, err = p.quoted()
	return m, err
}

// quoted reads a text between quotes of either kind, with Go's escapes, or
// between back quotes.
func (p *selectorParser) quoted() (string, error) {
	if p.rest == "" || !strings.ContainsRune("\"'`", rune(p.rest[0])) {
		return "", p.expected("a quoted text")
	}
	quote := p.rest[0]
	rest := p.rest[1:]
	if quote == '`' {
		text, after, ok := strings.Cut(rest, "`")
		if !ok {
			return "", p.expected("a closing quote")
		}
		p.rest = after
		return text, nil
	}
	var b strings.Builder
	for rest != "" && rest[0] != quote {
		if rest[0] == '\n' {
			break
		}
		c, multibyte, after, err := strconv.UnquoteChar(rest, quote)
		if err != nil {
			return "", p.expected("a text with valid escapes")
		}
		if multibyte || c < utf8.RuneSelf {
			b.WriteRune(c)
		} else {
			b.WriteByte(byte(c)) //nolint:gosec // what is not multibyte is one
		}
		rest = after
	}
	if rest == "" || rest[0] != quote {
		return "", p.expected("a closing quote")
	}
	p.rest = rest[1:]
	return b.String(), nil
}
