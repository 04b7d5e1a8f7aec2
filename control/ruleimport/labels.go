package ruleimport

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// The suffixes of the series of classic histograms and summaries.
const (
	suffixBucket = "_bucket"
	suffixSum    = "_sum"
	suffixCount  = "_count"
)

// What the prometheus receiver makes of the labels that every scrape has.
const (
	labelJob      = "job"
	labelInstance = "instance"
)

var (
	jobAttributes      = []string{"resource.service.name", "resource.service.namespace"}
	instanceAttributes = []string{"resource.service.instance.id", "resource.server.address", "resource.server.port"}
)

// histogramTypes are the types of what had buckets.
var histogramTypes = []policy.MetricType{policy.TypeHistogram, policy.TypeExponentialHistogram}

// counterTypes are the types of what is added up.
var counterTypes = []policy.MetricType{policy.TypeSum, policy.TypeHistogram, policy.TypeExponentialHistogram}

const textNames = "names are taken as the prometheus receiver gives them"

// sayNames says, once, what the names of an import in terms of Prometheus mean.
func (im *importer) sayNames(at value) {
	im.sayOnce(Info, at, textNames, "for metrics that come by OTLP write their OTLP names, which `phoenixctl top` prints")
}

// literalPattern writes a text as a pattern that matches it alone.
func literalPattern(text string) string {
	looksLikeRegex := len(text) > 2 && text[0] == '/' && text[len(text)-1] == '/'
	if looksLikeRegex || strings.ContainsAny(text, "*?") {
		return "/" + regexp.QuoteMeta(text) + "/"
	}
	return text
}

// attribute writes the name of an attribute as our rules name it, with its level
// only if the name would be taken for another or point is set.
func (im *importer) attribute(l labelled, point bool) (string, bool) {
	if strings.ContainsAny(l.text, "*?") {
		im.say(Error, l.at, fmt.Sprintf("%q would be taken for a glob", l.text), "")
		return "", false
	}
	text := l.text
	if ref, err := policy.ParseAttributeRef(text); point || err != nil || ref.Level != policy.LevelAny {
		text = string(policy.LevelPoint) + "." + text
	}
	if _, err := policy.ParseAttributeRef(text); err != nil {
		im.say(Error, l.at, fmt.Sprintf("no name of an attribute: %s", err), "")
		return "", false
	}
	return text, true
}

// dropLabels drops Prometheus labels.
func (im *importer) dropLabels(labels []labelled) (policy.Attributes, bool) {
	var drop []string
	ok := true
	for _, l := range labels {
		switch l.text {
		case "__name__":
			im.say(Info, l.at, "the name of a metric is no attribute and always stays", "")
		case "le", "quantile":
			im.say(Error, l.at, l.text+" is no attribute: without it a histogram or summary is only its count",
				"write buckets: {keep_bounds: […]} to keep fewer buckets")
			ok = false
		case labelJob:
			im.say(Info, l.at, "job is "+strings.Join(jobAttributes, " and "), "")
			drop = append(drop, jobAttributes...)
		case labelInstance:
			im.sayOnce(Info, l.at, "instance is "+strings.Join(instanceAttributes, ", "), "")
			drop = append(drop, instanceAttributes...)
		default:
			text, named := im.attribute(l, false)
			ok = ok && named
			drop = append(drop, text)
		}
	}
	return policy.Attributes{Drop: unique(drop)}, ok
}

// keepLabels keeps these Prometheus labels and drops all others. Those of the
// resource that the prometheus receiver adds otherwise stay.
func (im *importer) keepLabels(labels []labelled, at value) (policy.Attributes, bool) {
	keep, drop := []string{}, []string{}
	ok := true
	texts := textsOf(labels)
	for _, l := range labels {
		switch l.text {
		case "__name__", labelJob, labelInstance:
		case "le", "quantile":
			im.say(Info, l.at, l.text+" is no attribute in OTLP: buckets stay with their histogram", "")
		default:
			text, named := im.attribute(l, false)
			ok = ok && named
			keep = append(keep, text)
		}
	}
	if !slices.Contains(texts, labelJob) {
		drop = append(drop, jobAttributes...)
	}
	if !slices.Contains(texts, labelInstance) {
		drop = append(drop, instanceAttributes...)
	}
	im.sayOnce(Warning, at, "keep governs point attributes; of the resource only what is behind job and instance goes",
		"if other resource attributes tell the series of your backend apart, add them to drop as resource.…")
	attributes := policy.Attributes{Keep: unique(keep)}
	if len(drop) > 0 {
		attributes.Drop = drop
	}
	return attributes, ok
}

// unique drops repetitions and keeps the order.
func unique(list []string) []string {
	out := list[:0]
	for _, text := range list {
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}
