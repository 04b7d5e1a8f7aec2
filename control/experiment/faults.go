package experiment

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// faults collects mistakes below a path.
type faults struct {
	list *policy.Errors
	path string
}

func (f faults) at(format string, args ...any) faults {
	key := fmt.Sprintf(format, args...)
	if f.path != "" && !strings.HasPrefix(key, "[") {
		key = "." + key
	}
	return faults{list: f.list, path: f.path + key}
}

func (f faults) add(format string, args ...any) {
	*f.list = append(*f.list, policy.FieldError{Path: f.path, Problem: fmt.Sprintf(format, args...)})
}

// length says whether a list of this length may be looked at.
func (f faults) length(n, least, most int) bool {
	ok := n >= least && n <= most
	if !ok && least == 0 {
		f.add("must not have more than %d entries, got %d", most, n)
	} else if !ok {
		f.add("must have between %d and %d entries, got %d", least, most, n)
	}
	return ok
}

func (f faults) text(text string, limit int, needed bool) {
	switch {
	case text == "" && needed:
		f.add("must not be empty")
	case len(text) > limit:
		f.add("must not be longer than %d bytes, got %d", limit, len(text))
	case !utf8.ValidString(text):
		f.add("must be valid UTF-8")
	}
}

// span says whether a duration can be used in further checks.
func (f faults) span(d Duration, least, most time.Duration) bool {
	switch {
	case !d.Readable():
		f.add("must be a duration such as 90s or 1h30m")
	case d.Std() < least || d.Std() > most:
		f.add("must be between %s and %s, got %s", least, most, d)
	default:
		return true
	}
	return false
}

// between checks a number from 0 to a bound, inside one between 0 and 1.
func (f faults) between(v, most float64) {
	if !(v >= 0 && v <= most) { // also NaN
		f.add("must be between 0 and %v, got %v", most, v)
	}
}

func (f faults) inside(v float64) {
	if !(v > 0 && v < 1) {
		f.add("must be above 0 and below 1, got %v", v)
	}
}

// word refuses a value that is none of those known.
func word[T ~string](f faults, value T, known []T) bool {
	ok := slices.Contains(known, value)
	if !ok {
		f.add("must be %s, got %q", oneOf(known), value)
	}
	return ok
}

// once refuses the second of two equal names and remembers the first.
func once(f faults, first map[string]int, name, list string, i int) {
	if earlier, twice := first[name]; twice {
		f.add("%q is the name of %s[%d] already", name, list, earlier)
		return
	}
	first[name] = i
}

// oneOf writes a, b or c.
func oneOf[T ~string](words []T) string {
	var text strings.Builder
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			text.WriteString(" or ")
		case i > 0:
			text.WriteString(", ")
		}
		text.WriteString(string(w))
	}
	return text.String()
}
