// Package filter reads the `filter` of lists: the part of AIP-160 that is a
// conjunction of comparisons, such as
//
//	type = "histogram" AND series > 1000 AND metric = "http.*"
//
// Texts are compared by = and !=, in which * stands for any text, and by : for
// "contains". Numbers and times take =, !=, <, <=, > and >=. What else AIP-160
// has (OR, NOT, parentheses, functions) is refused with a violation that says
// what can be asked.
package filter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/api/fault"
)

// Kind says what a field holds.
type Kind int

// The kinds of fields.
const (
	Text   Kind = iota + 1 // = and != with *, and : for contains; :* is not empty
	Number                 // all comparisons; no exponents
	Bool                   // = and != with true or false
	Time                   // all comparisons with an RFC 3339 time in quotes
)

// Op is a comparison.
type Op string

// The comparisons.
const (
	Equal        Op = "="
	NotEqual     Op = "!="
	Less         Op = "<"
	LessEqual    Op = "<="
	Greater      Op = ">"
	GreaterEqual Op = ">="
	Has          Op = ":"
)

var opsOf = map[Kind][]Op{
	Text:   {Equal, NotEqual, Has},
	Number: {Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual},
	Bool:   {Equal, NotEqual},
	Time:   {Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual},
}

// Condition is one comparison. All conditions of a filter must hold.
type Condition struct {
	Field string
	Op    Op
	// Text is the value of a text, a time or a bool as it was written, without
	// quotes; Number that of a number, 1 for true.
	Text   string
	Number float64
	// Time is that of a time.
	Time time.Time
}

// Bounds of a filter.
const (
	maxBytes      = 2048
	maxConditions = 32
	maxRepeated   = 60 // bytes of what is wrong that the answer repeats
)

// Parse reads a filter over fields of these kinds. An empty text is no
// condition. The error is a *fault.Fault of reason Invalid.
func Parse(text string, fields map[string]Kind) ([]Condition, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	conditions, problem := parse(text, fields)
	if problem == "" {
		return conditions, nil
	}
	return nil, refuse(problem + "; " + usage(fields))
}

func refuse(description string) error {
	f := fault.New(fault.Invalid, "the filter cannot be used")
	f.Violations = []fault.Violation{{Field: "filter", Description: description}}
	return f
}

// usage says what can be asked.
func usage(fields map[string]Kind) string {
	if len(fields) == 0 {
		return "this list has no fields to filter by"
	}
	names := slices.Sorted(maps.Keys(fields))
	example := example(names[0], fields[names[0]])
	for _, name := range names { // a text shows most
		if fields[name] == Text {
			example = fmt.Sprintf("%s = %q", name, "a*")
			break
		}
	}
	return fmt.Sprintf("write comparisons joined by AND, such as %s; the fields are %s", example, strings.Join(names, ", "))
}

func example(name string, k Kind) string {
	switch k {
	case Number:
		return name + " > 1000"
	case Bool:
		return name + " = true"
	case Time:
		return name + ` >= "2026-03-14T15:00:00Z"`
	case Text:
	}
	return name + ` = "a*"`
}

// MatchText says whether a text meets the condition.
func (c Condition) MatchText(value string) bool {
	switch c.Op {
	case Has:
		if c.Text == "*" {
			return value != ""
		}
		return strings.Contains(value, c.Text)
	case NotEqual:
		return !Fits(c.Text, value)
	case Equal:
		return Fits(c.Text, value)
	case Less, LessEqual, Greater, GreaterEqual:
	}
	return false
}

// MatchNumber says whether a number meets the condition.
func (c Condition) MatchNumber(value float64) bool {
	return c.Op.holds(value < c.Number, value == c.Number, value > c.Number)
}

// MatchBool says whether a truth meets the condition.
func (c Condition) MatchBool(value bool) bool {
	return (value == (c.Number != 0)) == (c.Op == Equal)
}

// MatchTime says whether a time meets the condition.
func (c Condition) MatchTime(value time.Time) bool {
	return c.Op.holds(value.Before(c.Time), value.Equal(c.Time), value.After(c.Time))
}

func (o Op) holds(less, equal, greater bool) bool {
	switch o {
	case Equal:
		return equal
	case NotEqual:
		return !equal
	case Less:
		return less
	case LessEqual:
		return less || equal
	case Greater:
		return greater
	case GreaterEqual:
		return greater || equal
	case Has:
	}
	return false
}

// Fits says whether a text fits a pattern in which * stands for any text. It
// takes the parts between the stars from left to right, the leftmost place of
// each, so that it is linear in practice and never worse than the product of the
// lengths.
func Fits(pattern, text string) bool {
	first, rest, starred := strings.Cut(pattern, "*")
	if !starred {
		return pattern == text
	}
	text, found := strings.CutPrefix(text, first)
	if !found {
		return false
	}
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		if _, text, found = strings.Cut(text, part); !found {
			return false
		}
	}
	return strings.HasSuffix(text, last)
}
