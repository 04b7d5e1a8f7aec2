package ruleimport

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// adaptiveRule is one rule of Adaptive Metrics.
type adaptiveRule struct {
	at               value
	metric           labelled
	matchType        string
	drop             bool
	dropped, kept    []labelled
	hasDrop, hasKept bool
	aggregations     []labelled
	broken           bool // said why
}

func importAdaptiveMetrics(im *importer, root value) {
	list := root
	if rules := root.field("rules"); rules.Node != nil {
		list = rules
	}
	if !list.is(yaml.SequenceNode) {
		im.say(Error, root, "the rules of Adaptive Metrics are a JSON list", "")
		return
	}
	im.sayNames(root)
	for _, at := range list.elements() {
		if !at.is(yaml.MappingNode) {
			im.say(Error, at, "a rule must be an object", "")
			continue
		}
		r := &adaptiveRule{at: at, matchType: "exact"}
		for key, v := range at.fields() {
			im.adaptiveField(r, key, v)
		}
		if !r.broken {
			im.adaptiveDraft(r)
		}
	}
}

func (im *importer) adaptiveField(r *adaptiveRule, key string, v value) {
	ok := true
	switch key {
	case "metric":
		r.metric.at = v
		r.metric.text, ok = im.text(v)
	case "match_type":
		r.matchType, ok = im.text(v)
	case "drop":
		r.drop, ok = im.flag(v)
	case "drop_labels":
		r.dropped, ok = im.texts(v)
		r.hasDrop = len(r.dropped) > 0
	case "keep_labels":
		r.kept, ok = im.texts(v)
		r.hasKept = !v.null()
	case "aggregations":
		r.aggregations, ok = im.texts(v)
	case "aggregation_interval":
		if text, isText := im.text(v); isText && text != "" {
			im.option(v, "interval", text)
		}
	case "aggregation_delay":
		im.sayOnce(Info, v, "aggregation_delay has no equal: an interval comes out when it is over, late points are treated by type", "")
	case "managed_by", "ingest":
		im.sayOnce(Info, v, key+" is of no use here", "")
	case "recommended_action":
		if action, _ := im.text(v); action == "remove" {
			im.say(Info, r.at, "the recommendation is to remove this rule: it was left out", "")
			ok = false
		}
	default:
		if !isEvidence(key) {
			im.say(Error, v, "unknown field; the rule was left out", "")
			ok = false
		}
	}
	r.broken = r.broken || !ok
}

// isEvidence says whether a field tells why something was recommended.
func isEvidence(key string) bool {
	return strings.HasPrefix(key, "usages_") || strings.HasSuffix(key, "_series_count") || key == "kept_labels" || key == "total_series_after_aggregation" ||
		key == "total_series_before_aggregation"
}

func (im *importer) adaptiveDraft(r *adaptiveRule) {
	switch {
	case r.metric.text == "":
		im.say(Error, r.at, "metric must not be empty; the rule was left out", "")
		return
	case r.drop:
		im.say(Error, r.at, fmt.Sprintf("the metric %s is dropped whole, which consolidation does not do; the rule was left out", r.metric.text),
			"drop it with a filter processor: "+adaptiveFilter(r))
		return
	case r.hasDrop && r.hasKept:
		im.say(Error, r.at, "drop_labels and keep_labels must not be given together; the rule was left out", "")
		return
	}
	d := draft{at: r.at}
	switch r.matchType {
	case "exact", "":
		d.setName(r.metric.text)
	case "prefix":
		d.rule.Match.Metric = affix(r.metric.text, "(?s:.*)", "*", false)
	case "suffix":
		name := r.metric.text
		if d.setName(name); d.part == suffixBucket {
			name = strings.TrimSuffix(name, suffixBucket)
		}
		if d.part == "" && (name == suffixBucket || name == suffixSum || name == suffixCount) {
			d.part = name
			name = strings.TrimSuffix(name, suffixBucket)
		}
		d.base = "*" + d.base
		d.rule.Match.Metric = affix(name, "(?s:.*)", "*", true)
	default:
		im.say(Error, r.at.field("match_type"), fmt.Sprintf("match_type must be exact, prefix or suffix, got %q; the rule was left out", r.matchType), "")
		return
	}
	ok := true
	switch {
	case r.hasKept:
		d.rule.Attributes, ok = im.keepLabels(r.kept, r.at.field("keep_labels"))
	case r.hasDrop:
		d.rule.Attributes, ok = im.dropLabels(r.dropped)
	default:
		im.say(Warning, r.at, "neither drop_labels nor keep_labels: every series stays", "")
	}
	if !ok {
		return
	}
	im.sayOnce(Info, r.at, "attributes that go are not there at all, where Adaptive Metrics gives labels the value <aggregated>", "")
	if im.adaptiveTypes(r, &d) {
		im.add(d)
	}
}

// affix is a pattern for names that begin or end with a text.
func affix(text, anyRegex, anyGlob string, atEnd bool) string {
	literal := literalPattern(text)
	anything := anyGlob
	if literal != text { // it holds what a glob would take for its own
		literal = strings.TrimSuffix(strings.TrimPrefix(literal, "/"), "/")
		anything = anyRegex
	}
	if atEnd {
		literal = anything + literal
	} else {
		literal += anything
	}
	if anything == anyRegex {
		return "/" + literal + "/"
	}
	return literal
}

func adaptiveFilter(r *adaptiveRule) string {
	switch r.matchType {
	case "prefix":
		return fmt.Sprintf("HasPrefix(metric.name, %q)", r.metric.text)
	case "suffix":
		return fmt.Sprintf("HasSuffix(metric.name, %q)", r.metric.text)
	}
	return fmt.Sprintf("metric.name == %q", r.metric.text)
}

var adaptiveGauges = map[string]policy.GaugeMerge{
	"sum": policy.GaugeSum, "avg": policy.GaugeMean, "min": policy.GaugeMin, "max": policy.GaugeMax, "count": policy.GaugeCount, "last": policy.GaugeLast,
}

// adaptiveTypes reads the aggregations and says whether one has an equal.
func (im *importer) adaptiveTypes(r *adaptiveRule, d *draft) bool {
	counters := false
	for _, a := range r.aggregations {
		gauge, known := adaptiveGauges[a.text]
		switch {
		case a.text == "sum:counter":
			counters = true
		case !known:
			im.say(Error, a.at, fmt.Sprintf("the aggregation %q has no equal and was left out", a.text), "")
		case d.part == suffixBucket:
			im.say(Error, a.at, fmt.Sprintf("the aggregation %q was left out: buckets can only be added up", a.text), "")
		case d.rule.Gauge != "":
			im.say(Error, a.at, fmt.Sprintf("the aggregation %q was left out: a rule merges gauges in one way, and this one does by %s", a.text, d.rule.Gauge),
				"of sum and count together mean is the quotient: gauge: mean")
		default:
			d.rule.Gauge = gauge
		}
	}
	if len(r.aggregations) == 0 {
		im.say(Warning, r.at, "no aggregations: sums and histograms are added up, gauges pass", "write gauge: … if the metric is one")
		counters = true
	}
	m := &d.rule.Match
	switch {
	case !counters && d.rule.Gauge == "":
		im.say(Error, r.at, "none of the aggregations has an equal; the rule was left out", "")
		return false
	case d.part == suffixBucket:
		m.Types = append(m.Types, histogramTypes...)
	case d.part != "":
		m.Types = append(m.Types, policy.TypeSum)
	case counters:
		m.Types = append(m.Types, counterTypes...)
	case d.rule.Gauge == policy.GaugeSum:
		// What Prometheus calls a gauge may come as a sum that falls.
		m.Types = append(m.Types, policy.TypeSum)
	}
	if d.rule.Gauge != "" {
		m.Types = append(m.Types, policy.TypeGauge)
	}
	return true
}
