package ruleimport

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// vmEntry is one entry of a stream aggregation file.
type vmEntry struct {
	at          value
	name        string
	selectors   []labelled
	by, without []labelled
	outputs     []labelled
	keepsNames  bool
	dedup       value
	broken      bool // said why
}

func importVictoriaMetrics(im *importer, root value) {
	if !root.is(yaml.SequenceNode) {
		im.say(Error, root, "a stream aggregation file is a list of entries", "")
		return
	}
	im.sayNames(root)
	for _, at := range root.elements() {
		if !at.is(yaml.MappingNode) {
			im.say(Error, at, "an entry must be a mapping", "")
			continue
		}
		e := &vmEntry{at: at}
		e.broken = im.refusePlaceholders(at)
		for key, v := range at.fields() {
			im.vmField(e, key, v)
		}
		if !e.broken {
			im.vmRules(e)
		}
	}
}

// refusePlaceholders finds variables that VictoriaMetrics would fill in.
func (im *importer) refusePlaceholders(v value) bool {
	if v.is(yaml.ScalarNode) && strings.Contains(v.Value, "%{") {
		im.say(Error, v, "variables are not filled in here; the entry was left out", "write the value")
		return true
	}
	found := false
	for _, child := range v.fields() {
		found = im.refusePlaceholders(child) || found
	}
	for _, child := range v.elements() {
		found = im.refusePlaceholders(child) || found
	}
	return found
}

func (im *importer) vmField(e *vmEntry, key string, v value) {
	ok := true
	switch key {
	case "name":
		e.name, ok = im.text(v)
	case "match":
		if v.is(yaml.SequenceNode) {
			e.selectors, ok = im.texts(v)
		} else {
			var text string
			text, ok = im.text(v)
			e.selectors = []labelled{{text, v}}
		}
	case "by":
		e.by, ok = im.texts(v)
	case "without":
		e.without, ok = im.texts(v)
	case "outputs":
		e.outputs, ok = im.texts(v)
	case "keep_metric_names":
		e.keepsNames, ok = im.flag(v)
	case "drop_input_labels":
		if labels, fine := im.texts(v); !fine || len(labels) > 0 {
			im.say(Error, v, "drop_input_labels makes one series of several without adding them up, as for replicas of one Prometheus; the entry was left out",
				"filter the replicas before they come here")
			ok = false
		}
	case "input_relabel_configs", "output_relabel_configs":
		if !v.null() && (!v.is(yaml.SequenceNode) || len(v.Content) > 0) {
			im.say(Error, v, key+" has no equal; the entry was left out", "relabel with a transform processor before or after, and import the rest")
			ok = false
		}
	default:
		ok = im.vmTiming(e, key, v)
	}
	e.broken = e.broken || !ok
}

// vmTiming reads what has to do with time.
func (im *importer) vmTiming(e *vmEntry, key string, v value) bool {
	if !slices.Contains(vmTimings, key) {
		im.say(Error, v, "unknown option; the entry was left out", "")
		return false
	}
	text, ok := im.text(v)
	if !ok {
		return false
	}
	const byStart = "start times decide what a first point counts, and late points are treated by type"
	switch key {
	case "interval":
		im.option(v, "interval", text)
	case "staleness_interval":
		im.option(v, "staleness", text)
	case "dedup_interval":
		e.dedup = v
	case "ignore_first_sample_interval", "ignore_first_intervals", "ignore_old_samples":
		im.say(Info, v, key+" is not needed: "+byStart, "")
	case "enable_windows":
		im.say(Info, v, "enable_windows is not needed: points are placed by their own time", "")
	case "flush_on_shutdown":
		im.say(Info, v, "flush_on_shutdown is always on, and with `storage` state survives a restart", "")
	case "no_align_flush_to_interval":
		if v.Value == "true" {
			im.say(Warning, v, "outputs are always aligned to the interval", "")
		}
	}
	return true
}

var vmTimings = []string{
	"interval", "staleness_interval", "dedup_interval", "ignore_first_sample_interval", "ignore_first_intervals", "ignore_old_samples",
	"enable_windows", "flush_on_shutdown", "no_align_flush_to_interval",
}

// vmRules makes a rule for each selector of an entry.
func (im *importer) vmRules(e *vmEntry) {
	if len(e.by) > 0 && len(e.without) > 0 {
		im.say(Error, e.at, "by and without must not be given together; the entry was left out", "")
		return
	}
	if len(e.selectors) == 0 {
		im.say(Warning, e.at, "no match: the rule is for all metrics", "")
		e.selectors = []labelled{{"{}", e.at}}
	}
	outputs := im.vmOutputs(e)
	if !outputs.counters && outputs.gauge == "" {
		im.say(Error, e.at, "none of the outputs has an equal; the entry was left out", "")
		return
	}
	attributes, ok := policy.Attributes{}, true
	switch {
	case len(e.by) > 0:
		attributes, ok = im.keepLabels(e.by, e.at.field("by"))
	case len(e.without) > 0:
		attributes, ok = im.dropLabels(e.without)
	default:
		im.say(Info, e.at, "neither by nor without: every series stays, and the processor's interval thins its points", "")
	}
	if !ok {
		return
	}
	if !e.keepsNames {
		im.sayOnce(Warning, e.at, "what comes out keeps the metric's name, where VictoriaMetrics would append interval, labels and output to it",
			"queries of names such as x:1m_without_pod_total read x")
	}
	for _, s := range e.selectors {
		d, ok := im.vmMatch(s, outputs)
		if !ok {
			continue
		}
		d.rule.Name, d.rule.Attributes, d.at = e.name, attributes, s.at
		im.add(d)
	}
}

// vmOutputs are the outputs that have an equal.
type vmOutputs struct {
	counters bool // sums and histograms are added up
	gauge    policy.GaugeMerge
}

var vmGauges = map[string]policy.GaugeMerge{
	"avg": policy.GaugeMean, "min": policy.GaugeMin, "max": policy.GaugeMax, "last": policy.GaugeLast, "count_series": policy.GaugeCount,
}

func (im *importer) vmOutputs(e *vmEntry) vmOutputs {
	var out vmOutputs
	for _, o := range e.outputs {
		if gauge, ok := vmGauges[o.text]; ok {
			im.vmGauge(o, gauge, &out)
			continue
		}
		switch o.text {
		case "total", "total_prometheus":
			out.counters = true
		case "increase", "increase_prometheus":
			out.counters = true
			im.say(Warning, o.at, o.text+": a cumulative counter stays one", "read it with increase(), or convert it with cumulativetodelta")
		case "rate_sum":
			out.counters = true
			im.say(Warning, o.at, "rate_sum: what comes out is the counter, not its rate", "read it with rate()")
		case "sum_samples":
			out.counters = true
			im.say(Warning, o.at, "sum_samples: delta sums are added up; gauges, whose samples are no increments, pass", "")
		case "sum_samples_total":
			out.counters = true
			im.say(Warning, o.at, "sum_samples_total: delta sums are added up and stay deltas; gauges pass", "use deltatocumulative behind")
		default:
			im.say(Error, o.at, fmt.Sprintf("the output %q has no equal and was left out", o.text), "keep it in VictoriaMetrics, or compute it by a recording rule")
		}
	}
	if e.dedup.Node != nil && (out.gauge != "" || slices.ContainsFunc(e.outputs, func(o labelled) bool { return strings.HasPrefix(o.text, "sum_samples") })) {
		im.say(Warning, e.dedup, "dedup_interval has no equal: of a gauge the last value in the interval counts, of deltas every point", "")
	}
	return out
}

func (im *importer) vmGauge(o labelled, gauge policy.GaugeMerge, out *vmOutputs) {
	if out.gauge != "" {
		im.say(Error, o.at, fmt.Sprintf("the output %q was left out: a rule merges gauges in one way, and this one does by %s", o.text, out.gauge),
			"only one series may carry the metric's name")
		return
	}
	out.gauge = gauge
	im.say(Warning, o.at, fmt.Sprintf("%s: gauges merge by %s over the last values of the live inputs, not over all samples of the interval", o.text, gauge),
		"counters and histograms that match pass")
}

// histogramParts is the end of an expression for all series of a histogram.
var histogramParts = regexp.MustCompile(`_\((?:\?:)?(?:bucket|sum|count)(?:\|(?:bucket|sum|count))+\)$`)

// partInside finds expressions that name some of these series.
var partInside = regexp.MustCompile(`^/.*_\(?(?:\?:)?(?:bucket|sum|count)\b.*/$`)

// vmMatch converts one selector.
func (im *importer) vmMatch(s labelled, outputs vmOutputs) (draft, bool) {
	matchers, err := parseSelector(s.text)
	if err != nil {
		im.say(Error, s.at, fmt.Sprintf("cannot read the selector %q: %s; it was left out", s.text, err), "")
		return draft{}, false
	}
	d := draft{rule: policy.Rule{Match: policy.Match{Metric: "*"}}}
	m := &d.rule.Match
	named := false
	for _, one := range matchers {
		switch {
		case one.op == "!=" || one.op == "!~":
			if one.op == "!=" && one.value == "" && one.label != "__name__" {
				im.condition(m, one.label, policy.Condition{Present: new(true)}, s.at)
				continue
			}
			im.say(Error, s.at, fmt.Sprintf("%s%s%q: conditions that exclude have no equal; the selector was left out", one.label, one.op, one.value),
				"put a narrower rule before this one")
			return d, false
		case one.label != "__name__":
			im.vmCondition(m, one, s.at)
		case named:
			im.say(Error, s.at, "two conditions on the name have no equal; the selector was left out", "")
			return d, false
		default:
			named = true
			d.setMetric(one)
		}
	}
	if d.part == suffixBucket {
		m.Types = histogramTypes
		if !outputs.counters {
			im.say(Error, s.at, "buckets can only be added up; the selector was left out", "")
			return d, false
		}
		return d, true
	}
	if d.part == "" && partInside.MatchString(m.Metric) {
		im.say(Warning, s.at, m.Metric+" names series of histograms or summaries, which in OTLP have the name without _bucket, _sum and _count",
			"name those metrics, too")
	}
	if outputs.counters {
		m.Types = counterTypes
	}
	if d.part != "" {
		m.Types = []policy.MetricType{policy.TypeSum}
	}
	if outputs.gauge != "" {
		m.Types = append(slices.Clone(m.Types), policy.TypeGauge)
		d.rule.Gauge = outputs.gauge
	}
	return d, true
}

// setMetric sets the pattern of the metric, which of a histogram is its base.
func (d *draft) setMetric(m matcher) {
	if m.op == "=" {
		d.setName(m.value)
		return
	}
	base, part, whole := m.value, "", false
	if parts := histogramParts.FindString(m.value); strings.Contains(parts, "bucket") {
		base, part = strings.TrimSuffix(m.value, parts), suffixBucket
		whole = strings.Contains(parts, "sum") && strings.Contains(parts, "count")
	} else if trimmed, ok := strings.CutSuffix(strings.TrimSuffix(m.value, "$"), suffixBucket); ok {
		base, part = trimmed, suffixBucket
	}
	if tree, err := syntax.Parse(m.value, syntax.Perl); part == "" || base == "" || err != nil || tree.Op == syntax.OpAlternate {
		d.rule.Match.Metric = "/" + m.value + "/"
		return
	}
	d.part, d.base, d.whole = part, "/"+base+"/", whole
	d.rule.Match.Metric = d.base
	if base == ".+" || base == ".*" {
		d.rule.Match.Metric = "*"
	}
}

// setName does so for a name.
func (d *draft) setName(name string) {
	d.rule.Match.Metric = literalPattern(name)
	for _, part := range []string{suffixBucket, suffixSum, suffixCount} {
		if base, ok := strings.CutSuffix(name, part); ok && base != "" {
			d.part, d.base = part, base
			if part == suffixBucket {
				d.rule.Match.Metric = literalPattern(base)
			}
		}
	}
}

// vmCondition converts a condition on a label that includes.
func (im *importer) vmCondition(m *policy.Match, one matcher, at value) {
	c := policy.Condition{Value: literalPattern(one.value)}
	if one.op == "=~" {
		c.Value = "/" + one.value + "/"
	}
	switch {
	case one.op == "=" && one.value == "":
		c = policy.Condition{Present: new(false)}
	case one.op == "=~" && one.value == ".*":
		return
	case one.op == "=~" && one.value == ".+":
		c = policy.Condition{Present: new(true)}
	case one.op == "=~":
		if re, err := regexp.Compile(`\A(?:` + one.value + `)\z`); err == nil && re.MatchString("") {
			im.say(Warning, at, fmt.Sprintf("%s=~%q also selects series without the label; the rule needs it", one.label, one.value), "")
		}
	}
	im.condition(m, one.label, c, at)
}

// condition places a condition where the prometheus receiver puts the label.
func (im *importer) condition(m *policy.Match, label string, c policy.Condition, at value) {
	c.Attribute = label
	switch label {
	case labelJob:
		c.Attribute = "service.name"
	case labelInstance:
		c.Attribute = "service.instance.id"
	default:
		im.sayOnce(Info, at, "labels other than job and instance are taken for attributes of points", "move conditions on attributes of the resource to match.resource")
		m.Point = append(m.Point, c)
		return
	}
	m.Resource = append(m.Resource, c)
}
