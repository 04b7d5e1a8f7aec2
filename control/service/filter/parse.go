package filter

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.einride.tech/aip/filtering"
	expr "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
)

// parse returns the conditions, or what is wrong.
func parse(text string, fields map[string]Kind) (conditions []Condition, problem string) {
	if len(text) > maxBytes {
		return nil, fmt.Sprintf("has %d bytes, may have %d", len(text), maxBytes)
	}
	if problem := scan(text); problem != "" {
		return nil, problem
	}
	var p filtering.Parser
	p.Init(text)
	parsed, err := p.Parse()
	if err != nil {
		return nil, reason(text, err)
	}
	for _, e := range conjuncts(parsed.GetExpr()) {
		c, problem := condition(e, fields)
		if problem != "" {
			return nil, problem
		}
		conditions = append(conditions, c)
	}
	if len(conditions) > maxConditions {
		return nil, fmt.Sprintf("has %d comparisons, may have %d", len(conditions), maxConditions)
	}
	return conditions, ""
}

// scan refuses what the parser would take, but not as it is meant: parentheses,
// which it descends into as deep as they go, and numbers that it reads as octal
// or hexadecimal.
func scan(text string) (problem string) {
	var l filtering.Lexer
	l.Init(text)
	for {
		token, err := l.Lex()
		if errors.Is(err, io.EOF) {
			return ""
		}
		if err != nil {
			return reason(text, err)
		}
		switch token.Type {
		case filtering.TokenTypeLeftParen, filtering.TokenTypeRightParen, filtering.TokenTypeComma:
			return "parentheses and functions cannot be used"
		case filtering.TokenTypeHexNumber:
			return "numbers are decimal"
		case filtering.TokenTypeNumber:
			if len(token.Value) > 1 && token.Value[0] == '0' {
				return "the number " + clip(token.Value) + " begins with 0"
			}
		default: // the parser knows
		}
	}
}

// reason is the innermost error of the library, with its place.
func reason(text string, err error) string {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	place := ""
	var at interface{ Position() filtering.Position }
	if errors.As(err, &at) {
		place = fmt.Sprintf(" at character %d", at.Position().Column)
	}
	var message interface{ Message() string }
	if errors.As(err, &message) {
		return "cannot be read" + place + ": " + clip(message.Message())
	}
	if errors.Is(err, io.EOF) {
		return "ends too early, after " + clip(strings.TrimSpace(text))
	}
	return "cannot be read: " + clip(err.Error())
}

// conjuncts takes a chain of AND apart. It is as deep as it is long, to the
// left, and no text of maxBytes has many.
func conjuncts(e *expr.Expr) []*expr.Expr {
	var list []*expr.Expr
	for {
		call := e.GetCallExpr()
		if call.GetFunction() != filtering.FunctionAnd || len(call.GetArgs()) != 2 {
			break
		}
		list = append(list, call.GetArgs()[1])
		e = call.GetArgs()[0]
	}
	list = append(list, e)
	slices.Reverse(list)
	return list
}

func condition(e *expr.Expr, fields map[string]Kind) (c Condition, problem string) {
	call := e.GetCallExpr()
	switch {
	case call == nil:
		return c, "a comparison is missing"
	case call.GetFunction() == filtering.FunctionOr, call.GetFunction() == filtering.FunctionNot:
		return c, call.GetFunction() + " cannot be used"
	case call.GetFunction() == filtering.FunctionFuzzyAnd:
		return c, "comparisons must be joined by AND, and texts with blanks, - or * stand in quotes"
	case len(call.GetArgs()) != 2:
		return c, "a comparison is missing"
	}
	name, isName := path(call.GetArgs()[0])
	kind, known := fields[name]
	if !isName || !known {
		return c, clip(strconv.Quote(name)) + " is no field"
	}
	c.Field, c.Op = name, Op(call.GetFunction())
	if ops := opsOf[kind]; !slices.Contains(ops, c.Op) {
		return c, fmt.Sprintf("%s can be compared by %s, not by %s", name, joinOps(ops), clip(string(c.Op)))
	}
	problem = c.read(kind, call.GetArgs()[1])
	return c, problem
}

// read takes the value of a comparison.
func (c *Condition) read(kind Kind, value *expr.Expr) (problem string) {
	switch kind {
	case Number:
		return c.readNumber(value)
	case Bool:
		c.Text, _ = path(value)
		if c.Text != "true" && c.Text != "false" {
			return c.Field + " is true or false"
		}
		if c.Text == "true" {
			c.Number = 1
		}
	case Time:
		var err error
		c.Text = value.GetConstExpr().GetStringValue()
		if c.Time, err = time.Parse(time.RFC3339, c.Text); err != nil {
			return c.Field + ` takes a time such as "2026-03-14T15:00:00Z"`
		}
	case Text:
		if _, isText := value.GetConstExpr().GetConstantKind().(*expr.Constant_StringValue); isText {
			c.Text = value.GetConstExpr().GetStringValue()
		} else if text, isName := path(value); isName {
			c.Text = text
		} else {
			return c.Field + " takes a text in quotes"
		}
		if !utf8.ValidString(c.Text) { // escapes such as \xff
			return c.Field + " takes a text in UTF-8"
		}
	}
	return ""
}

func (c *Condition) readNumber(value *expr.Expr) (problem string) {
	switch n := value.GetConstExpr().GetConstantKind().(type) {
	case *expr.Constant_Int64Value:
		c.Number = float64(n.Int64Value)
	case *expr.Constant_DoubleValue:
		c.Number = n.DoubleValue
	default:
		return c.Field + " takes a number without quotes and exponent"
	}
	return ""
}

// path is a name such as a.b.c, which the parser takes apart.
func path(e *expr.Expr) (name string, ok bool) {
	var parts []string
	for {
		if s := e.GetSelectExpr(); s != nil {
			parts = append(parts, s.GetField())
			e = s.GetOperand()
			continue
		}
		ident := e.GetIdentExpr()
		if ident == nil {
			return "", false
		}
		parts = append(parts, ident.GetName())
		slices.Reverse(parts)
		return strings.Join(parts, "."), true
	}
}

func joinOps(ops []Op) string {
	texts := make([]string, 0, len(ops))
	for _, o := range ops {
		texts = append(texts, string(o))
	}
	return strings.Join(texts, ", ")
}

// clip bounds what the answer repeats of the question.
func clip(s string) string {
	if len(s) <= maxRepeated {
		return s
	}
	cut := maxRepeated
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
