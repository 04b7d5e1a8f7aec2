package tagconsolidationprocessor

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// rulePool has rules of every sort that the model computes exactly. Two of one
// name say different things.
var rulePool = []policy.Rule{
	{
		Name: "drop-pod", Match: policy.Match{Metric: "http.*"}, Gauge: policy.GaugeSum, Summary: policy.SummaryMergeCountSum,
		Attributes: policy.Attributes{Drop: []string{"pod", "resource.k8s.pod.name"}},
	},
	{
		Name: "drop-pod", Match: policy.Match{Metric: "http.*"}, Gauge: policy.GaugeSum, Summary: policy.SummaryMergeCountSum,
		Attributes: policy.Attributes{Drop: []string{"pod", "resource.k8s.pod.name", "point.route"}},
	},
	{
		Name: "keep-code", Match: policy.Match{Metric: `/(http|db)\..*/`}, Gauge: policy.GaugeMean,
		Attributes: policy.Attributes{Keep: []string{"code", "met*"}},
	},
	{
		Name: "keep-nothing", Match: policy.Match{Metric: "*", Types: []policy.MetricType{policy.TypeSum, policy.TypeExponentialHistogram}},
		Attributes: policy.Attributes{Keep: []string{}, Drop: []string{"resource.k8s.*", "resource.service.name"}},
	},
	{
		Name: "map-values", Match: policy.Match{Metric: "*"}, Gauge: policy.GaugeMax, Summary: policy.SummaryMergeCountSum,
		Attributes: policy.Attributes{
			Drop: []string{"k8s*"},
			Map: []policy.ValueMap{
				{Attribute: "route", Paths: []string{"/users/{id}", "/files/{name...}"}},
				{Attribute: "point.route", Regex: "/(c)a(rt)", Template: "${1}$2", Other: "elsewhere"},
				{Attribute: "code", Ranges: []policy.Range{{To: new(400.0), As: "good"}, {From: new(400.0), To: new(500.0), As: "4xx"}}},
			},
		},
	},
	{
		Name: "hash-route", Match: policy.Match{Metric: "*.re?uests"}, Gauge: policy.GaugeLast,
		Attributes: policy.Attributes{
			Drop: []string{"pod", "point.code", "scope.*"}, HashBuckets: []policy.HashBuckets{{Attribute: "route", Buckets: 2}},
			Map: []policy.ValueMap{{Attribute: "k8s.pod.name", Regex: "p([12])", Template: "first $1"}},
		},
	},
	{
		Name: "coarsen", Match: policy.Match{Metric: "*", Types: []policy.MetricType{policy.TypeHistogram}},
		Buckets: &policy.Buckets{KeepBounds: []float64{1, 4}}, Attributes: policy.Attributes{Drop: []string{"pod", "k8s.pod.name"}},
	},
	{
		Name: "coarsen", Match: policy.Match{Metric: "*", Types: []policy.MetricType{policy.TypeHistogram}},
		Buckets: &policy.Buckets{KeepBounds: []float64{4, 100}}, Attributes: policy.Attributes{Drop: []string{"pod", "k8s.pod.name"}},
	},
	{
		Name: "no-scope", Match: policy.Match{Metric: "http.*"}, Scope: policy.ScopeDrop, Gauge: policy.GaugeCount, Summary: policy.SummaryMergeCountSum,
		Attributes: policy.Attributes{Drop: []string{"*pod*", "resource.region"}},
	},
	{
		Name: "shop", Gauge: policy.GaugeMin, Match: policy.Match{
			Metric:   "*",
			Resource: []policy.Condition{{Attribute: "service.name", Value: "sh*"}}, Point: []policy.Condition{{Attribute: "code", Present: new(true)}},
		},
		Attributes: policy.Attributes{Drop: []string{"pod", "k8s.pod.name"}},
	},
	{ // makes the same series as drop-pod, of other inputs
		Name: "one-pod", Gauge: policy.GaugeSum, Summary: policy.SummaryMergeCountSum,
		Match:      policy.Match{Metric: "*", Point: []policy.Condition{{Attribute: "pod", Value: "p1"}}},
		Attributes: policy.Attributes{Drop: []string{"pod", "resource.k8s.pod.name"}},
	},
	{
		Name: "errors", Gauge: policy.GaugeSum, Match: policy.Match{
			Metric: "http.*", Point: []policy.Condition{{Attribute: "code", Value: "/[45]../"}, {Attribute: "method", Present: new(false)}},
		},
		Attributes: policy.Attributes{Drop: []string{"pod", "k8s.pod.name", "route"}},
	},
	{
		Name: "watching", Mode: policy.ModePreview, Match: policy.Match{Metric: "*"}, Gauge: policy.GaugeSum,
		Attributes: policy.Attributes{Drop: []string{"pod"}},
	},
	{Name: "merely", Match: policy.Match{Metric: "*"}, Gauge: policy.GaugeSum, Summary: policy.SummaryMergeCountSum},
	{ // of one tenant
		Name: "tenant", Gauge: policy.GaugeSum, Summary: policy.SummaryMergeCountSum,
		Match:      policy.Match{Metric: "*", Resource: []policy.Condition{{Attribute: "service.name", Value: "shop"}}},
		Attributes: policy.Attributes{Drop: []string{"pod", "code"}},
	},
	{
		Name: "tenant-region", Gauge: policy.GaugeMax,
		Match: policy.Match{
			Metric: "http.*", Resource: []policy.Condition{{Attribute: "region", Value: "eu"}, {Attribute: "service.name", Value: "s*"}},
		},
		Attributes: policy.Attributes{Drop: []string{"pod", "route"}},
	},
}

// drawRules draws rules of different names, none of which is taken.
func drawRules(t *rapid.T, least, most int, taken []policy.Rule) []policy.Rule {
	var rules []policy.Rule
	for range rapid.IntRange(least, most).Draw(t, "rules") {
		r := rulePool[rapid.IntRange(0, len(rulePool)-1).Draw(t, "rule")]
		if !slices.ContainsFunc(slices.Concat(rules, taken), func(o policy.Rule) bool { return o.Name == r.Name }) {
			rules = append(rules, r)
		}
	}
	return rules
}

// hot are rules as control sends them.
func hot(rules []policy.Rule) []policy.Rule {
	list := slices.Clone(rules)
	for i := range list {
		list[i].Role = policy.RoleCommon
	}
	return list
}
