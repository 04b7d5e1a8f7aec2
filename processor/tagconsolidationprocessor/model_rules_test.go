package tagconsolidationprocessor

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// clearRules are the rules of one time, applied to labels in clear.
type clearRules struct {
	rules      []*knownRule
	neverTouch NeverTouchConfig
	writer     string // the attribute; empty: none
}

// name is the attribute that tells writers apart; empty: none.
func (w *WriterConfig) name() string {
	if w.None {
		return ""
	}
	return w.Attribute
}

// fits says whether a glob or a /regular expression/ is the whole text.
func fits(pattern, text string) bool {
	if len(pattern) > 2 && strings.HasPrefix(pattern, "/") && strings.HasSuffix(pattern, "/") {
		return expression(pattern[1 : len(pattern)-1]).MatchString(text)
	}
	return globFits(pattern, text)
}

var expressions sync.Map

// expression is a regular expression for a whole text.
func expression(re string) *regexp.Regexp {
	known, _ := expressions.LoadOrStore(re, sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("^(?:" + re + ")$") }))
	return known.(func() *regexp.Regexp)() //nolint:forcetypeassert // all are
}

func globFits(glob, text string) bool {
	switch {
	case glob == "":
		return text == ""
	case glob[0] == '*':
		return globFits(glob[1:], text) || text != "" && globFits(glob, text[1:])
	case text == "":
		return false
	}
	return (glob[0] == '?' || glob[0] == text[0]) && globFits(glob[1:], text[1:])
}

// names says whether a reference of a rule means an attribute. bare are the
// levels that a name without a level means.
func names(ref string, at clearKey, bare string) bool {
	levels, key := bare, ref
	for prefix, level := range map[string]string{"resource.": "r", "scope.": "s", "point.": "p"} {
		if rest, found := strings.CutPrefix(ref, prefix); found {
			levels, key = level, rest
		}
	}
	if !strings.Contains(levels, string(at.level)) {
		return false
	}
	if strings.ContainsAny(key, "*?") {
		// No glob names what the labels job and instance are made of.
		identity := at.level == 'r' && slices.Contains([]string{"service.name", "service.namespace", "service.instance.id"}, at.key)
		return !identity && globFits(key, at.key)
	}
	return key == at.key
}

func namedBy(refs []string, at clearKey, bare string) bool {
	return slices.ContainsFunc(refs, func(ref string) bool { return names(ref, at, bare) })
}

// text is a value without its type.
func text(value string) string {
	_, t, _ := strings.Cut(value, ":")
	return t
}

// of returns the rule that takes a point; nil: it passes.
func (r *clearRules) of(p *clearPoint) *knownRule {
	if p.unspecified || slices.ContainsFunc(r.neverTouch.Metrics, func(pattern string) bool { return fits(pattern, p.name) }) {
		return nil
	}
	for _, rule := range r.rules {
		if rule.Mode == policy.ModePreview || !matched(&rule.Match, p) {
			continue
		}
		if p.kind == consolidation.Gauge && rule.Gauge == "" || p.kind == consolidation.Summary && rule.Summary != policy.SummaryMergeCountSum {
			return nil
		}
		return rule
	}
	return nil
}

func matched(m *policy.Match, p *clearPoint) bool {
	holds := func(level byte, list []policy.Condition) bool {
		for _, c := range list {
			value, there := p.labels[clearKey{level, c.Attribute}]
			if c.Present != nil && *c.Present != there || c.Present == nil && (!there || !fits(c.Value, text(value))) {
				return false
			}
		}
		return true
	}
	return fits(m.Metric, p.name) && (len(m.Types) == 0 || slices.Contains(m.Types, typeName(p.kind))) &&
		holds('r', m.Resource) && holds('p', m.Point)
}

func typeName(k consolidation.Kind) policy.MetricType {
	switch k {
	case consolidation.Gauge:
		return policy.TypeGauge
	case consolidation.DeltaHistogram, consolidation.CumulativeHistogram:
		return policy.TypeHistogram
	case consolidation.DeltaExponential, consolidation.CumulativeExponential:
		return policy.TypeExponentialHistogram
	case consolidation.Summary:
		return policy.TypeSummary
	default:
		return policy.TypeSum
	}
}

// output is the stream that a point feeds under a rule.
func (r *clearRules) output(rule *knownRule, p *clearPoint) string {
	labels, scope := clearLabels{}, p.scope
	if rule.Scope == policy.ScopeDrop {
		scope = "@"
	}
	for at, value := range p.labels {
		if namedBy(r.neverTouch.Attributes, at, "rp") {
			labels[at] = value
			continue
		}
		if r.goes(rule, at) {
			continue
		}
		labels[at] = rewritten(&rule.Attributes, at, value)
	}
	return seriesOf(labels, scope, p)
}

func (r *clearRules) goes(rule *knownRule, at clearKey) bool {
	a := &rule.Attributes
	return rule.Scope == policy.ScopeDrop && at.level == 's' || namedBy(a.Drop, at, "rp") ||
		a.Keep != nil && at.level == 'p' && !namedBy(a.Keep, at, "p") || r.writer != "" && at == clearKey{'p', r.writer}
}

// rewritten is what the value of an attribute becomes: by the first map that
// knows it, else by the first map that has a word for the others; then its
// bucket.
func rewritten(a *policy.Attributes, at clearKey, value string) string {
	before := text(value)
	after, changed, other := before, false, ""
	for i := range a.Map {
		m := &a.Map[i]
		if !names(m.Attribute, at, "rp") {
			continue
		}
		if to, found := mapped(m, value); found && !changed {
			after, changed = to, true
		}
		if other == "" {
			other = m.Other
		}
	}
	if !changed && other != "" {
		after, changed = other, true
	}
	for _, b := range a.HashBuckets {
		if names(b.Attribute, at, "rp") {
			after, changed = strconv.Itoa(int(xxhash.Sum64String(after)%uint64(b.Buckets))), true
		}
	}
	if !changed {
		return value
	}
	return "Str:" + after
}

func mapped(m *policy.ValueMap, value string) (string, bool) {
	is, before, _ := strings.Cut(value, ":")
	switch {
	case m.Regex != "":
		re := expression(m.Regex)
		match := re.FindStringSubmatchIndex(before)
		return string(re.ExpandString(nil, m.Template, before, match)), match != nil
	case len(m.Paths) > 0:
		for _, template := range m.Paths {
			if pathFits(strings.Split(template, "/"), strings.Split(strings.FieldsFunc(before, isQuery)[0], "/")) {
				return template, true
			}
		}
		return "", false
	}
	n, err := strconv.ParseFloat(before, 64)
	if err != nil || is == "Bool" {
		return "", false
	}
	for _, r := range m.Ranges {
		from, to := math.Inf(-1), math.Inf(1)
		if r.From != nil {
			from = *r.From
		}
		if r.To != nil {
			to = *r.To
		}
		if n >= from && n < to {
			return r.As, true
		}
	}
	return "", false
}

func isQuery(c rune) bool { return c == '?' || c == '#' }

func pathFits(template, path []string) bool {
	switch {
	case len(template) == 0 || len(path) == 0:
		return len(template) == len(path)
	case strings.HasSuffix(template[0], "...}"):
		return true
	case strings.HasPrefix(template[0], "{"):
		return path[0] != "" && pathFits(template[1:], path[1:])
	}
	return template[0] == path[0] && pathFits(template[1:], path[1:])
}

// knownRule is a rule and what tells it from others: all that it says but how
// and where it acts.
type knownRule struct {
	policy.Rule
	key string
}

// String is the rule's name, for a message.
func (r *knownRule) String() string { return r.Name }

func knownRules(rules []policy.Rule) []*knownRule {
	list := make([]*knownRule, 0, len(rules))
	for _, r := range rules {
		told := r
		told.Mode, told.Role = "", ""
		key, err := json.Marshal(told)
		if err != nil {
			panic(err) // numbers in rules of tests are finite
		}
		list = append(list, &knownRule{r, string(key)})
	}
	return list
}

// enforced says whether a rule is in force.
func (r *clearRules) enforced(key string) bool {
	return slices.ContainsFunc(r.rules, func(k *knownRule) bool { return k.key == key && k.Mode != policy.ModePreview })
}
