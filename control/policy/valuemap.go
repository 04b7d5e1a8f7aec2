package policy

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func (m *ValueMap) check(f faults, a *Attributes) {
	if ref, ok := literalRef(f.at("attribute"), m.Attribute); ok {
		a.checkStays(f.at("attribute"), ref)
	}
	kinds := 0
	for _, given := range []bool{m.Regex != "", len(m.Ranges) > 0, len(m.Paths) > 0} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		f.add("exactly one of regex, ranges and paths must be given, got %d", kinds)
	}
	if m.Regex != "" {
		m.checkRegex(f)
	} else if m.Template != "" {
		f.at("template").add("needs a regex")
	}
	if f.at("ranges").length(len(m.Ranges)) {
		checkRanges(f.at("ranges"), m.Ranges)
	}
	if f.at("paths").length(len(m.Paths)) {
		checkPaths(f.at("paths"), m.Paths)
	}
}

func (m *ValueMap) checkRegex(f faults) {
	if len(m.Regex) > maxRegexBytes {
		f.at("regex").add("must not be longer than %d bytes", maxRegexBytes)
		return
	}
	re, err := wholeRegexp(m.Regex)
	if err != nil {
		f.at("regex").add("%s", err)
		return
	}
	if m.Template == "" {
		f.at("template").add("must not be empty")
	}
	for _, group := range templateGroups(m.Template) {
		number, err := strconv.Atoi(group)
		switch {
		case group == "":
			f.at("template").add("has a $ without a group; $$ stands for a dollar sign, got %q", m.Template)
		case err == nil && number > re.NumSubexp():
			f.at("template").add("group $%s is not in the expression, which has %d", group, re.NumSubexp())
		case err != nil && re.SubexpIndex(group) < 0:
			f.at("template").add("group ${%s} is not in the expression", group)
		}
	}
}

// templateGroup is a dollar sign and what regexp.Expand takes for its name.
var templateGroup = regexp.MustCompile(`\$(?:(\$)|\{(\w+)\}|(\w+))?`)

// templateGroups lists the groups that a template uses; one that is not written
// as it must be is empty.
func templateGroups(template string) []string {
	var names []string
	for _, m := range templateGroup.FindAllStringSubmatch(template, -1) {
		if m[1] == "" {
			names = append(names, m[2]+m[3])
		}
	}
	return names
}

func checkRanges(f faults, ranges []Range) {
	type span struct {
		index    int
		from, to float64
	}
	var spans []span
	for i, r := range ranges {
		at := f.at("[%d]", i)
		if r.As == "" {
			at.at("as").add("must not be empty")
		}
		s := span{index: i, from: math.Inf(-1), to: math.Inf(1)}
		if r.From != nil {
			s.from = *r.From
		}
		if r.To != nil {
			s.to = *r.To
		}
		switch {
		case notFinite(r.From) || notFinite(r.To):
			at.add("bounds must be finite; leave one out for none on that side")
		case s.from >= s.to:
			at.add("from must be less than to, got %v and %v", s.from, s.to)
		default:
			spans = append(spans, s)
		}
	}
	slices.SortStableFunc(spans, func(a, b span) int {
		switch {
		case a.from < b.from:
			return -1
		case a.from > b.from:
			return 1
		}
		return 0
	})
	// The span that reaches furthest so far is the one to be overlapped.
	for i, reach := 1, 0; i < len(spans); i++ {
		if spans[i].from < spans[reach].to {
			a, b := min(spans[i].index, spans[reach].index), max(spans[i].index, spans[reach].index)
			f.at("[%d]", b).add("overlaps with ranges[%d]", a)
		}
		if spans[i].to > spans[reach].to {
			reach = i
		}
	}
}

func notFinite(v *float64) bool { return v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) }

// pathName is what may stand between the braces of a path template.
var pathName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func checkPaths(f faults, paths []string) {
	first := map[string]int{}
	for i, path := range paths {
		at := f.at("[%d]", i)
		shape, problem := pathShape(path)
		if problem != "" {
			at.add("%s, got %q", problem, path)
			continue
		}
		if earlier, twice := first[shape]; twice {
			at.add("fits the same paths as paths[%d]", earlier)
		} else {
			first[shape] = i
		}
	}
}

// pathShape returns the template without the names in it, or what is wrong.
func pathShape(path string) (shape, problem string) {
	if !strings.HasPrefix(path, "/") {
		return "", "must begin with a slash"
	}
	if len(path) > maxNameBytes {
		return "", errRefLong.Error()
	}
	if strings.ContainsAny(path, "?#") {
		return "", "must not have a query or fragment"
	}
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		name, open := strings.CutPrefix(segment, "{")
		name, closed := strings.CutSuffix(name, "}")
		if !open && !closed && !strings.ContainsAny(segment, "{}") {
			continue
		}
		name, rest := strings.CutSuffix(name, "...")
		switch {
		case !open || !closed || !pathName.MatchString(name):
			return "", "a segment must be text or {name}"
		case rest && i < len(segments)-1:
			return "", "{name...} must be the last segment"
		case rest:
			segments[i] = "{...}"
		default:
			segments[i] = "{}"
		}
	}
	return "/" + strings.Join(segments, "/"), ""
}
