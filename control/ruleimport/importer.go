package ruleimport

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// importer collects what one import makes.
type importer struct {
	drafts   []draft
	rules    []policy.Rule
	messages []Message
	dropped  int // messages past maxMessages
	errors   int
	once     map[string]bool
	options  map[string]string // of the processor, as they were first seen
	names    map[string]int    // how many rules have the name, numbers apart
}

// draft is a rule that is not yet checked against the others.
type draft struct {
	rule policy.Rule
	at   value
	// part is the suffix of a series of a classic histogram or summary that the
	// original named, and base the metric that the series belongs to.
	part, base string
	// whole is set if the original named all parts of histograms.
	whole bool
}

// say adds a message.
func (im *importer) say(s Severity, at value, text, advice string) {
	if s == Error {
		im.errors++
	}
	if len(im.messages) >= maxMessages {
		im.dropped++
		return
	}
	m := Message{Severity: s, Path: at.path, Text: text, Advice: advice}
	if at.Node != nil {
		m.Line, m.Column = at.Line, at.Column
	}
	im.messages = append(im.messages, m)
}

// sayOnce adds a message that is the same for all rules.
func (im *importer) sayOnce(s Severity, at value, text, advice string) {
	if !im.once[text] {
		im.once[text] = true
		im.say(s, at, text, advice)
	}
}

// option notes what is no matter of a rule but of the processor, for all rules.
func (im *importer) option(at value, name, setting string) {
	first, seen := im.options[name]
	switch {
	case !seen:
		im.options[name] = setting
		im.say(Info, at, name+" is an option of the processor", fmt.Sprintf("write `%s: %s` beside rules", name, setting))
	case first != setting:
		im.say(Warning, at, fmt.Sprintf("%s is one for all rules, and %s was seen before", name, first),
			"rules that need another go into a second tag_consolidation processor")
	}
}

func (im *importer) result() Result {
	slices.SortStableFunc(im.messages, func(a, b Message) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	if im.dropped > 0 {
		im.messages = append(im.messages, Message{Severity: Warning, Text: fmt.Sprintf("%d more messages are not shown", im.dropped)})
	}
	return Result{Rules: im.rules, Messages: im.messages, Errors: im.errors}
}

// add takes a rule that was converted.
func (im *importer) add(d draft) { im.drafts = append(im.drafts, d) }

// finish names, checks and orders the drafts.
func (im *importer) finish(format Format) {
	im.joinHistograms()
	var places []value
	for _, d := range im.drafts {
		if len(im.rules) == maxRules {
			im.say(Error, d.at, fmt.Sprintf("there are more than %d rules: this one and those after it were left out", maxRules), "")
			break
		}
		d.rule.Name = im.name(d.rule)
		// Alone: the message is for this place, and names were made unique.
		if err := policy.ValidateRules([]policy.Rule{d.rule}); err != nil {
			for _, one := range policy.AsErrors(err) {
				im.say(Error, d.at, "the rule was left out: "+strings.TrimPrefix(one.Error(), "rules[0]."), "")
			}
			continue
		}
		im.rules = append(im.rules, d.rule)
		places = append(places, d.at)
	}
	im.sayOverlaps(format, places)
	if len(im.rules) == 0 && im.errors == 0 {
		im.say(Warning, value{}, "there is nothing to import", "")
	}
}

func (im *importer) sayOverlaps(format Format, places []value) {
	habit := map[Format]string{
		VictoriaMetrics:  "VictoriaMetrics applies every entry that matches",
		AdaptiveMetrics:  "Adaptive Metrics may prefer another",
		MetricsTransform: "metrics_transform applies every transform that matches, one after the other",
	}[format]
	overlaps, complete := policy.Overlaps(im.rules, maxOverlaps)
	for _, o := range overlaps {
		im.say(Warning, places[o.Second], o.Reason+", while "+habit, "order the rules, or narrow match")
	}
	if !complete {
		im.say(Warning, value{}, textMoreOverlaps, "")
	}
}

// name makes the name that the original has, or else the metric's pattern, one
// that a rule may have and no other rule has.
func (im *importer) name(r policy.Rule) string {
	text := r.Name
	if text == "" {
		text = r.Match.Metric
	}
	text = strings.NewReplacer("(?s:.*)", "", "(?:", "", `\.`, ".").Replace(text)
	var b strings.Builder
	gap := false
	for _, c := range []byte(text) {
		if b.Len() >= 100 { // room for a number
			break
		}
		if !policy.ValidName("x" + string(rune(c))) {
			gap = true
			continue
		}
		if b.Len() == 0 && !policy.ValidName(string(rune(c))) {
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte('-')
		}
		gap = false
		b.WriteByte(c)
	}
	base := strings.TrimRight(b.String(), "-._:/")
	if base == "" {
		base = "all"
	}
	name := base
	for im.names[name] > 0 { // base-2 may be taken by one that is called so
		im.names[base]++
		name = fmt.Sprintf("%s-%d", base, im.names[base])
	}
	im.names[name] = 1
	return name
}

// joinHistograms leaves one rule of those for the series of one histogram, which
// in OTLP is one metric.
func (im *importer) joinHistograms() {
	buckets, parts := map[string]*draft{}, map[string]int{}
	for i, d := range im.drafts {
		if d.part == suffixBucket && buckets[d.base] == nil {
			buckets[d.base] = &im.drafts[i]
		}
	}
	var kept []draft
	for _, d := range im.drafts {
		if d.part != suffixSum && d.part != suffixCount {
			kept = append(kept, d)
			continue
		}
		whole := buckets[d.base]
		switch {
		case whole == nil:
			im.say(Warning, d.at, fmt.Sprintf("%s is taken for a metric of its own; if it is part of the histogram or summary %s, the rule matches nothing",
				d.rule.Match.Metric, d.base), fmt.Sprintf("then write metric: %s, which consolidates its buckets too", d.base))
			kept = append(kept, d)
		case sameLabels(whole.rule.Attributes, d.rule.Attributes) && sameConditions(whole.rule.Match, d.rule.Match):
			parts[d.base]++
			im.say(Info, d.at, fmt.Sprintf("covered by the rule for %s%s: in OTLP a histogram is one metric", d.base, suffixBucket), "")
		default:
			parts[d.base]++
			im.say(Error, d.at, fmt.Sprintf("%s and %s are parts of one histogram in OTLP, which cannot be matched or lose labels differently; this rule was left out",
				d.base+d.part, d.base+suffixBucket), "give both the same labels and conditions")
		}
	}
	for _, d := range kept {
		switch {
		case d.part != suffixBucket:
		case d.whole || parts[d.base] >= 2:
			im.say(Info, d.at, "_bucket, _sum and _count are one metric in OTLP, the histogram: metric: "+d.rule.Match.Metric, "")
		default:
			im.say(Warning, d.at, fmt.Sprintf("_bucket, _sum and _count are one metric in OTLP, the histogram: _sum and _count lose the labels, too (metric: %s)",
				d.rule.Match.Metric), "")
		}
	}
	im.drafts = kept
}

// sameLabels says whether the same labels go, in whatever order they are named.
func sameLabels(a, b policy.Attributes) bool {
	same := func(a, b []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}
	return same(a.Drop, b.Drop) && same(a.Keep, b.Keep) && (a.Keep == nil) == (b.Keep == nil)
}

func sameConditions(a, b policy.Match) bool {
	return reflect.DeepEqual(a.Resource, b.Resource) && reflect.DeepEqual(a.Point, b.Point)
}
