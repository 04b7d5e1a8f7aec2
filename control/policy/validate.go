package policy

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// FieldError is one mistake in a rule.
type FieldError struct {
	// Path is the key of what is wrong, such as rules[2].attributes.top_k.k.
	Path string
	// Problem says what is wrong with it.
	Problem string
}

// Error returns the path and the problem.
func (e FieldError) Error() string { return e.Path + ": " + e.Problem }

// Errors are all mistakes in some rules.
type Errors []FieldError

// Error returns one line for each mistake.
func (e Errors) Error() string {
	lines := make([]string, 0, len(e))
	for _, one := range e {
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "\n")
}

// faults collects mistakes below a path.
type faults struct {
	list *Errors
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
	*f.list = append(*f.list, FieldError{Path: f.path, Problem: fmt.Sprintf(format, args...)})
}

// maxList bounds the entries of one list in a rule.
const maxList = 1000

func (f faults) length(n int) bool {
	if n > maxList {
		f.add("must not have more than %d entries, got %d", maxList, n)
	}
	return n <= maxList
}

// word refuses a value that is none of those known; empty is the default.
func word[T ~string](f faults, value T, known ...T) {
	if value != "" && !slices.Contains(known, value) {
		f.add("must be %s, got %q", oneOf(known), value)
	}
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

// ValidateRules reports all mistakes in a list of rules at once, each with its
// key first. The error, if any, is an Errors.
func ValidateRules(rules []Rule) error {
	var list Errors
	f := faults{list: &list}
	first := map[string]int{}
	for i := range rules {
		at := f.at("rules[%d]", i)
		rules[i].check(at)
		if earlier, twice := first[rules[i].Name]; twice && rules[i].Name != "" {
			at.at("name").add("%q is the name of rules[%d] already", rules[i].Name, earlier)
		} else {
			first[rules[i].Name] = i
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// AsErrors returns the single mistakes of an error of ValidateRules or
// NewSnapshot, nil if it is of other origin.
func AsErrors(err error) Errors {
	var list Errors
	errors.As(err, &list)
	return list
}

func (r *Rule) check(f faults) {
	checkName(f.at("name"), r.Name)
	r.Match.check(f.at("match"))
	r.Attributes.check(f.at("attributes"))
	if r.Limit != nil {
		r.Limit.check(f.at("limit"), r.Attributes)
	}
	if r.Buckets != nil {
		r.Buckets.check(f.at("buckets"))
	}
	word(f.at("scope"), r.Scope, ScopeKeep, ScopeDrop)
	word(f.at("gauge"), r.Gauge, gaugeMerges...)
	word(f.at("summary"), r.Summary, SummaryPass, SummaryMergeCountSum)
	word(f.at("mode"), r.Mode, ModeEnforce, ModePreview)
	word(f.at("role"), r.Role, RoleCommon, RoleCandidate)
	r.checkTypes(f)
	r.checkExperiment(f)
}

// maxRuleName bounds the names of rules, which become attribute values of the
// processor's own telemetry.
const maxRuleName = 128

func checkName(f faults, name string) {
	switch {
	case name == "":
		f.add("must not be empty")
	case len(name) > maxRuleName:
		f.add("must not be longer than %d bytes, got %d", maxRuleName, len(name))
	case !ValidName(name):
		f.add("must consist of letters, digits and ._:/- and begin with a letter or digit, got %q", name)
	}
}

// ValidName says whether a rule may have this name.
func ValidName(name string) bool {
	if name == "" || len(name) > maxRuleName {
		return false
	}
	for i, c := range []byte(name) {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !plain && (i == 0 || !strings.ContainsRune("._:/-", rune(c))) {
			return false
		}
	}
	return true
}

// checkTypes refuses what can have no effect on the types that are matched.
func (r *Rule) checkTypes(f faults) {
	types := r.Match.Types
	if len(types) == 0 {
		return
	}
	none := func(t MetricType) bool { return !slices.Contains(types, t) }
	if r.Gauge != "" && none(TypeGauge) {
		f.at("gauge").add("has no effect: match.types has no %s", TypeGauge)
	}
	if r.Buckets != nil && none(TypeHistogram) {
		f.at("buckets").add("has no effect: match.types has no %s", TypeHistogram)
	}
	if r.Summary == SummaryMergeCountSum && none(TypeSummary) {
		f.at("summary").add("has no effect: match.types has no %s", TypeSummary)
	}
}

func (m *Match) check(f faults) {
	if _, err := parsePattern(m.Metric); err != nil {
		f.at("metric").add("%s", err)
	}
	for i, t := range m.Types {
		at := f.at("types[%d]", i)
		if t == "" {
			at.add("must not be empty")
			continue
		}
		word(at, t, MetricTypes...)
		if slices.Contains(m.Types[:i], t) {
			at.add("%s is there twice", t)
		}
	}
	checkConditions(f.at("resource"), m.Resource)
	checkConditions(f.at("point"), m.Point)
}

func checkConditions(f faults, list []Condition) {
	if !f.length(len(list)) {
		return
	}
	for i, c := range list {
		at := f.at("[%d]", i)
		if err := checkKey(c.Attribute); err != nil {
			at.at("attribute").add("%s", err)
		}
		switch {
		case c.Value == "" && c.Present == nil:
			at.add("value or present must be given")
		case c.Value != "" && c.Present != nil:
			at.add("value and present must not be given together: a value must be present")
		case c.Value != "":
			if _, err := parsePattern(c.Value); err != nil {
				at.at("value").add("%s", err)
			}
		}
	}
}

func (l *Limit) check(f faults, a Attributes) {
	if l.MaxSeries < 1 {
		f.at("max_series").add("must be positive, got %d", l.MaxSeries)
	}
	fold := f.at("fold")
	if l.Fold.Auto() || !fold.length(len(l.Fold)) {
		return
	}
	var seen []AttributeRef
	for i, text := range l.Fold {
		at := fold.at("[%d]", i)
		if text == FoldAuto {
			at.add("%s must stand alone, not in a list", FoldAuto)
			continue
		}
		ref, ok := literalRef(at, text)
		if !ok {
			continue
		}
		a.checkStays(at, ref)
		if j := slices.IndexFunc(seen, ref.meets); j >= 0 {
			at.add("%s is there already, as %s", text, seen[j])
		}
		seen = append(seen, ref)
	}
}

func (b *Buckets) check(f faults) {
	f = f.at("keep_bounds")
	if len(b.KeepBounds) == 0 {
		f.add("must not be empty")
	}
	if !f.length(len(b.KeepBounds)) {
		return
	}
	for i, bound := range b.KeepBounds {
		switch {
		case math.IsNaN(bound) || math.IsInf(bound, 0):
			f.at("[%d]", i).add("must be finite, got %v; the +Inf bucket always stays", bound)
		case i > 0 && bound <= b.KeepBounds[i-1]:
			f.at("[%d]", i).add("must be greater than the bound before it, %v, got %v", b.KeepBounds[i-1], bound)
		}
	}
}
