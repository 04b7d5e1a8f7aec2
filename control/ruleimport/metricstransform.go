package ruleimport

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// transform is one transform of a metrics_transform processor.
type transform struct {
	at         value
	include    labelled
	regex      bool
	conditions []labelled // label=value
	values     []labelled
	operations []value
	broken     bool // said why
}

func importMetricsTransform(im *importer, root value) {
	if processors := root.field("processors"); processors.Node != nil {
		root = processors
	}
	found := false
	for key, v := range root.fields() {
		kind, _, _ := strings.Cut(key, "/")
		if kind == "metricstransform" || kind == "metrics_transform" {
			found = true
			im.transforms(v)
		}
	}
	if !found {
		im.transforms(root)
	}
}

// transforms reads the configuration of one processor, or the list in it.
func (im *importer) transforms(v value) {
	list := v
	if v.is(yaml.MappingNode) {
		list = v.field("transforms")
	}
	if !list.is(yaml.SequenceNode) {
		im.say(Error, v, "there is no list of transforms", "")
		return
	}
	im.sayOnce(Info, v, "metrics_transform merges points of one batch and one timestamp; these rules merge across batches, and counters as a database would", "")
	for _, at := range list.elements() {
		if !at.is(yaml.MappingNode) {
			im.say(Error, at, "a transform must be a mapping", "")
			continue
		}
		t := &transform{at: at, broken: !im.unescape(at)}
		for key, v := range at.fields() {
			im.transformField(t, key, v)
		}
		if !t.broken {
			im.transformDraft(t)
		}
	}
}

const leaveThere = "leave it in metrics_transform, before tag_consolidation if labels or names change before they are aggregated"

func (im *importer) transformField(t *transform, key string, v value) {
	ok := true
	switch key {
	case "include":
		t.include.at = v
		t.include.text, ok = im.text(v)
	case "match_type":
		var kind string
		kind, ok = im.text(v)
		t.regex = kind == "regexp"
		if ok && kind != "regexp" && kind != "strict" {
			im.say(Error, v, fmt.Sprintf("match_type must be strict or regexp, got %q; the transform was left out", kind), "")
			ok = false
		}
	case "experimental_match_labels":
		for label, pattern := range v.fields() {
			text, isText := im.text(pattern)
			ok = ok && isText
			t.conditions = append(t.conditions, labelled{label, pattern})
			t.values = append(t.values, labelled{text, pattern})
		}
	case "action":
		if action, isText := im.text(v); !isText || action != "update" {
			im.say(Error, v, fmt.Sprintf("action: %s has no equal; the transform was left out", v.Value), leaveThere)
			ok = false
		}
	case "operations":
		for _, op := range v.elements() {
			t.operations = append(t.operations, op)
		}
	default: // new_name, group_resource_labels, aggregation_type, submatch_case
		im.say(Error, v, key+" has no equal; the transform was left out", leaveThere)
		ok = false
	}
	t.broken = t.broken || !ok
}

func (im *importer) transformDraft(t *transform) {
	if t.include.text == "" {
		im.say(Error, t.at, "include must not be empty; the transform was left out", "")
		return
	}
	d := draft{at: t.at, rule: policy.Rule{Match: policy.Match{Metric: contribPattern(t.include.text, t.regex)}}}
	for i, c := range t.conditions {
		condition := policy.Condition{Attribute: c.text, Value: contribPattern(t.values[i].text, t.regex)}
		if t.values[i].text == "" {
			im.say(Warning, c.at, "an empty value is taken for a label that is absent", "")
			condition = policy.Condition{Attribute: c.text, Present: new(false)}
		}
		d.rule.Match.Point = append(d.rule.Match.Point, condition)
	}
	aggregates, kinds := 0, map[string]bool{}
	for _, op := range t.operations {
		aggregation, ok := im.operation(&d, op)
		if !ok {
			return
		}
		aggregates++
		kinds[aggregation] = true
	}
	switch {
	case aggregates == 0:
		im.say(Warning, t.at, "nothing is aggregated: the transform was left out", "leave it in metrics_transform")
		return
	case len(kinds) > 1:
		im.say(Error, t.at, "operations of one transform aggregate in different ways; the transform was left out", "make it two, for different metrics")
		return
	}
	for aggregation := range kinds {
		if aggregation != "sum" {
			im.say(Warning, t.at, fmt.Sprintf("gauges merge by %s; sums and histograms that match, which metrics_transform would merge so too, pass", aggregation), "")
			d.rule.Match.Types = []policy.MetricType{policy.TypeGauge}
		}
	}
	im.add(d)
}

var contribGauges = map[string]policy.GaugeMerge{
	"sum": policy.GaugeSum, "mean": policy.GaugeMean, "min": policy.GaugeMin, "max": policy.GaugeMax, "count": policy.GaugeCount,
}

// operation converts one operation, as long as it aggregates.
func (im *importer) operation(d *draft, op value) (aggregation string, ok bool) {
	action := op.field("action")
	switch {
	case action.Node == nil:
		im.say(Error, op, "action is missing; the transform was left out", "")
		return "", false
	case action.Value != "aggregate_labels" && action.Value != "aggregate_label_values":
		im.say(Error, op, action.Value+" has no equal; the transform was left out", leaveThere)
		return "", false
	}
	var label, replacement string
	var set, values []labelled
	ok = true
	for key, v := range op.fields() {
		fine := true
		switch key {
		case "action":
		case "label_set":
			set, fine = im.texts(v)
		case "label":
			label, fine = im.text(v)
		case "aggregated_values":
			values, fine = im.texts(v)
		case "new_value":
			replacement, fine = im.text(v)
		case "aggregation_type":
			aggregation, fine = im.text(v)
		default:
			im.say(Error, v, fmt.Sprintf("%s does not go with %s; the transform was left out", key, action.Value), "")
			fine = false
		}
		ok = ok && fine
	}
	if !ok {
		return "", false
	}
	gauge, known := contribGauges[aggregation]
	if !known {
		im.say(Error, op, fmt.Sprintf("aggregation_type %q has no equal; the transform was left out", aggregation), "")
		return "", false
	}
	d.rule.Gauge = gauge
	if action.Value == "aggregate_labels" {
		return aggregation, im.aggregateLabels(d, op, set)
	}
	return aggregation, im.aggregateValues(d, op, labelled{label, op.field("label")}, values, replacement)
}

func (im *importer) aggregateLabels(d *draft, op value, set []labelled) bool {
	if d.rule.Attributes.Keep != nil {
		im.say(Error, op, "a second aggregate_labels in one transform; the transform was left out", "keep the labels that both name")
		return false
	}
	d.rule.Attributes.Keep = []string{}
	for _, l := range set {
		text, ok := im.attribute(l, false)
		if !ok {
			return false
		}
		d.rule.Attributes.Keep = append(d.rule.Attributes.Keep, text)
	}
	d.rule.Attributes.Keep = unique(d.rule.Attributes.Keep)
	return true
}

func (im *importer) aggregateValues(d *draft, op value, label labelled, values []labelled, replacement string) bool {
	if label.text == "" || len(values) == 0 || replacement == "" {
		im.say(Error, op, "label, aggregated_values and new_value must be given; the transform was left out", "")
		return false
	}
	if d.rule.Attributes.Keep != nil {
		im.say(Error, op, "aggregate_label_values after aggregate_labels has no equal; the transform was left out", "write it first, or leave it out if its label goes")
		return false
	}
	text, ok := im.attribute(label, true)
	if !ok {
		return false
	}
	quoted := make([]string, 0, len(values))
	for _, v := range values {
		quoted = append(quoted, regexp.QuoteMeta(v.text))
	}
	d.rule.Attributes.Map = append(d.rule.Attributes.Map, policy.ValueMap{
		Attribute: text,
		Regex:     strings.Join(quoted, "|"),
		Template:  strings.ReplaceAll(replacement, "$", "$$"),
	})
	return true
}

// contribPattern writes a name, or an expression that may match anywhere in one,
// as a pattern for whole names.
func contribPattern(text string, regex bool) string {
	if !regex {
		return literalPattern(text)
	}
	begin, end := "(?s:.*)", "(?s:.*)"
	body := text
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return "/" + text + "/" // the validation says what is wrong with it
	}
	if tree.Op == syntax.OpConcat && len(tree.Sub) > 1 {
		if rest, ok := strings.CutPrefix(body, "^"); ok && tree.Sub[0].Op == syntax.OpBeginText {
			begin, body = "", rest
		}
		if rest, ok := strings.CutSuffix(body, "$"); ok && tree.Sub[len(tree.Sub)-1].Op == syntax.OpEndText {
			end, body = "", rest
		}
	}
	if begin == "" && end == "" {
		if body == "" { // only the empty name; // alone would be a literal
			body = "(?:)"
		}
		return "/" + body + "/"
	}
	return "/" + begin + "(?:" + body + ")" + end + "/"
}
