package policy

// Rule says which metrics are consolidated and what happens to their
// attributes. The first rule that matches a point applies to it, and of the
// rules in preview, which are looked at beside the others, also the first. A
// rule without attributes, limit and buckets leaves every series as it is.
//
// Rules are data: whoever holds one must not change what its slices and
// pointers refer to. Zero values stand for defaults; WithDefaults fills them in.
type Rule struct {
	// Name identifies the rule in telemetry, messages and state. It is unique.
	Name string `mapstructure:"name" json:"name"`
	// Match selects the points.
	Match Match `mapstructure:"match" json:"match"`
	// Attributes says what happens to attributes. Default: nothing.
	Attributes Attributes `mapstructure:"attributes" json:"attributes,omitzero"`
	// Limit bounds the series that come out. Default: no bound.
	Limit *Limit `mapstructure:"limit" json:"limit,omitempty"`
	// Buckets coarsens classic histograms. Default: all buckets stay.
	Buckets *Buckets `mapstructure:"buckets" json:"buckets,omitempty"`
	// Scope says whether series of different instrumentation scopes stay apart:
	// keep or drop. Default: keep.
	Scope ScopeAction `mapstructure:"scope" json:"scope,omitempty"`
	// Gauge says how gauges merge: sum, mean, min, max, last or count, over live
	// inputs. Default: gauges pass untouched and are counted, because no way to
	// merge them is right for all.
	Gauge GaugeMerge `mapstructure:"gauge" json:"gauge,omitempty"`
	// Summary says whether summaries pass untouched (pass), or lose their
	// quantiles, which cannot be merged, and add up the rest
	// (merge_count_sum). Default: pass.
	Summary SummaryMerge `mapstructure:"summary" json:"summary,omitempty"`
	// Mode is enforce, or preview: measure what the rule would save and change
	// nothing. Default: enforce.
	Mode Mode `mapstructure:"mode" json:"mode,omitempty"`
	// Role says which processors apply the rule: those before the router
	// (common) or those in the pipeline of a candidate (candidate). Default: the
	// role of the processor whose configuration holds the rule. In a Snapshot it
	// must be given.
	Role Role `mapstructure:"role" json:"role,omitempty"`
	// Experiment is the experiment that a candidate rule belongs to. Default:
	// none.
	Experiment *Experiment `mapstructure:"experiment" json:"experiment,omitempty"`
}

// Match selects points. Everything that is given must hold.
type Match struct {
	// Metric is a glob (* and ?) or a /regular expression/ for the whole OTLP
	// name of a metric.
	Metric string `mapstructure:"metric" json:"metric"`
	// Types are the types of metrics. Default: all.
	Types []MetricType `mapstructure:"types" json:"types,omitempty"`
	// Resource and Point are conditions on the attributes of the resource and of
	// the data point. Default: none.
	Resource []Condition `mapstructure:"resource" json:"resource,omitempty"`
	Point    []Condition `mapstructure:"point" json:"point,omitempty"`
}

// Condition is a condition on one attribute. Exactly one of Value and Present is
// given.
type Condition struct {
	// Attribute is the attribute's key, without a prefix for its level.
	Attribute string `mapstructure:"attribute" json:"attribute"`
	// Value is a literal, a glob (* and ?) or a /regular expression/ for the
	// whole value as text (an int 200 is "200"). The attribute must be there.
	Value string `mapstructure:"value" json:"value,omitempty"`
	// Present asks only whether the attribute is there (true) or not (false).
	Present *bool `mapstructure:"present" json:"present,omitempty"`
}

// Attributes says what happens to attributes: first Drop or Keep, then Map,
// then HashBuckets and TopK.
//
// Attributes are named as ParseAttributeRef reads them: resource.x, scope.x,
// point.x, or a bare x. In Keep a bare name is a point attribute; everywhere
// else it is the point attribute and the resource attribute of that name.
type Attributes struct {
	// Drop lists the attributes that go; names may be globs. The resource
	// attributes behind the labels job and instance go only when they are named
	// without * and ?.
	Drop []string `mapstructure:"drop" json:"drop,omitzero"`
	// Keep lists the point attributes that stay; names may be globs. An empty
	// list, unlike none, drops all of them. Attributes of resource and scope go
	// only by entries of Drop that say resource. or scope., the only ones that
	// may stand beside Keep.
	Keep []string `mapstructure:"keep" json:"keep,omitzero"`
	// Map replaces values. Of several entries for one attribute the first that
	// knows the value decides.
	Map []ValueMap `mapstructure:"map" json:"map,omitempty"`
	// HashBuckets replaces values by the number of the bucket they hash to.
	HashBuckets []HashBuckets `mapstructure:"hash_buckets" json:"hash_buckets,omitempty"`
	// TopK keeps the heavy values of one attribute and folds the others.
	TopK *TopK `mapstructure:"top_k" json:"top_k,omitempty"`
}

// ValueMap replaces the values of one attribute. Exactly one of Regex, Ranges
// and Paths is given.
type ValueMap struct {
	// Attribute names the attribute; no globs.
	Attribute string `mapstructure:"attribute" json:"attribute"`
	// Regex is an RE2 expression, without slashes, for the whole value.
	Regex string `mapstructure:"regex" json:"regex,omitempty"`
	// Template is what a value that Regex matches becomes. $1 and ${name} stand
	// for groups of the expression, $$ for a dollar sign.
	Template string `mapstructure:"template" json:"template,omitempty"`
	// Ranges replace numbers, also those written as text.
	Ranges []Range `mapstructure:"ranges" json:"ranges,omitempty"`
	// Paths are templates of URL paths such as /users/{id}: a value of that
	// shape becomes the template. {name} stands for one segment, {name...} at
	// the end for all that follow. The first that fits applies; what follows a ?
	// or # in the value is ignored.
	Paths []string `mapstructure:"paths" json:"paths,omitempty"`
	// Other is what values become that are not known here nor in a later entry
	// for the attribute. Default: they stay.
	Other string `mapstructure:"other" json:"other,omitempty"`
}

// Range replaces the numbers from From, inclusive, to To, exclusive.
type Range struct {
	// From and To are the bounds. Default: none on that side.
	From *float64 `mapstructure:"from" json:"from,omitempty"`
	To   *float64 `mapstructure:"to" json:"to,omitempty"`
	// As is the new value.
	As string `mapstructure:"as" json:"as"`
}

// HashBuckets replaces the values of an attribute by a bucket's number.
type HashBuckets struct {
	// Attribute names the attribute; no globs.
	Attribute string `mapstructure:"attribute" json:"attribute"`
	// Buckets is how many buckets there are.
	Buckets int `mapstructure:"buckets" json:"buckets"`
}

// TopK keeps the heaviest values of an attribute.
type TopK struct {
	// Attribute names the attribute; no globs.
	Attribute string `mapstructure:"attribute" json:"attribute"`
	// K is how many values stay.
	K int `mapstructure:"k" json:"k"`
	// Other is what the others become. Default: other.
	Other string `mapstructure:"other" json:"other,omitempty"`
}

// Limit bounds the series of one metric that come out of a rule.
type Limit struct {
	// MaxSeries is the bound.
	MaxSeries int64 `mapstructure:"max_series" json:"max_series"`
	// Fold says what folds past the bound: auto, or a list of attributes in the
	// order in which they fold. Default: auto.
	Fold Fold `mapstructure:"fold" json:"fold,omitzero"`
}

// Buckets coarsens classic histograms, which is exact: a bucket that goes is
// added to the next one that stays.
type Buckets struct {
	// KeepBounds are the upper bounds that stay, rising; +Inf always does.
	KeepBounds []float64 `mapstructure:"keep_bounds" json:"keep_bounds"`
}

// Experiment ties a candidate rule to an experiment.
type Experiment struct {
	// ID is the experiment's id.
	ID string `mapstructure:"id" json:"id"`
	// Scope are the attributes, named as in Attributes, and their values by which
	// the router finds the points of the experiment. The rule must leave them as
	// they are, so that what comes out still says to which experiment it belongs;
	// a limit that folds by itself never folds them.
	Scope map[string]string `mapstructure:"scope" json:"scope"`
}

// DefaultOther is the value that TopK folds into unless it says otherwise.
const DefaultOther = "other"

// WithDefaults returns the rule with its defaults filled in, except Role and
// Gauge, whose zero values mean something. It shares nothing that it changed.
func (r Rule) WithDefaults() Rule {
	r.Scope = or(r.Scope, ScopeKeep)
	r.Summary = or(r.Summary, SummaryPass)
	r.Mode = or(r.Mode, ModeEnforce)
	if r.Limit != nil && r.Limit.Fold.Auto() {
		limit := *r.Limit
		limit.Fold = Fold{FoldAuto}
		r.Limit = &limit
	}
	if r.Attributes.TopK != nil {
		top := *r.Attributes.TopK
		top.Other = or(top.Other, DefaultOther)
		r.Attributes.TopK = &top
	}
	return r
}

func or[T ~string](value, otherwise T) T {
	if value == "" {
		return otherwise
	}
	return value
}
