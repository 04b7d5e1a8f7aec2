package fidelity

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// Two answers that differ by less than this are identical: the order of addition
// makes that much. The second is for differences of numbers that should be equal.
const (
	sameRatio    = 1e-9
	sameAbsolute = 1e-12
)

// timingMargin is by how much of the spread that the timing of outputs explains a
// value may lie outside of it.
const timingMargin = 0.5

// reference is what the baseline says: its answer, and the answers that are as
// right. Elements that all answers of the time within which outputs may be late
// have must be there, those of any may be.
type reference struct {
	elements map[string]*element
	// answers counts those that decide which elements there must be.
	answers int
}

// weight says what an answer counts for.
type weight int

const (
	// exact is the baseline's answer: its elements and its values.
	exact weight = iota
	// earlier is one of before: its elements, and values of those that have gone.
	earlier
	// emittedAs is that on the baseline as the candidate emits: its values. That a
	// range is empty then excuses nobody.
	emittedAs
)

// element is one label set of the answers.
type element struct {
	labels labels.Labels
	seen   int // in how many of the answers that decide
	first  promql.Sample
	// now are the values, past those of earlier answers.
	now, past values
}

// values are those that an element may have.
type values struct {
	lo, hi  float64 // lo > hi: there is no number
	nan     bool
	natives []*histogram.FloatHistogram
}

func noValues() values { return values{lo: math.Inf(1), hi: math.Inf(-1)} }

func (v *values) add(s promql.Sample) {
	switch {
	case s.H != nil:
		v.natives = append(v.natives, s.H)
	case math.IsNaN(s.F):
		v.nan = true
	default:
		v.lo, v.hi = min(v.lo, s.F), max(v.hi, s.F)
	}
}

func (v *values) none() bool { return v.lo > v.hi && !v.nan && v.natives == nil }

// add joins an answer.
func (r *reference) add(v promql.Vector, w weight) {
	if r.elements == nil {
		r.elements = map[string]*element{}
	}
	if w != emittedAs {
		r.answers++
	}
	for _, s := range v {
		key := string(s.Metric.Bytes(nil))
		e := r.elements[key]
		if e == nil {
			e = &element{labels: s.Metric, first: s, now: noValues(), past: noValues()}
			r.elements[key] = e
		}
		if w != emittedAs {
			e.seen++
		}
		if w == earlier {
			e.past.add(s)
		} else {
			e.now.add(s)
		}
	}
}

// finding is what a comparison found.
type finding struct {
	// worst and mean are the relative errors of the elements of both arms.
	worst, mean float64
	elements    int
	// detail says what differs beyond values. Empty: nothing.
	detail string
	// value says which value is off most.
	value string
}

// within says whether it passes for the same. The worst element is left out of the
// mean: it has the bound of its own, and the mean of one would be no other one.
func (f finding) within(most, mean float64) bool {
	var others float64
	if f.elements > 1 {
		others = (f.mean*float64(f.elements) - f.worst) / float64(f.elements-1)
	}
	return f.detail == "" && f.worst <= most && others <= mean
}

// severity orders differences: what is missing is worse than any number.
func (f finding) severity() float64 {
	if f.detail != "" {
		return 2
	}
	return min(f.worst, 1)
}

func (f finding) text() string {
	if f.detail != "" {
		return f.detail
	}
	return f.value
}

// compare judges the candidate's answer by the reference.
func (r *reference) compare(candidate promql.Vector) finding {
	var f finding
	var extra []promql.Sample
	has := make(map[string]bool, len(candidate))
	sum := 0.0
	for _, s := range candidate {
		key := string(s.Metric.Bytes(nil))
		has[key] = true
		e := r.elements[key]
		if e == nil {
			extra = append(extra, s)
			continue
		}
		off := e.distance(s)
		sum += off
		f.elements++
		if off > f.worst || f.value == "" {
			f.worst, f.value = max(off, f.worst), e.sentence(s, off)
		}
	}
	if f.elements > 0 {
		f.mean = sum / float64(f.elements)
	}
	var missing []*element
	for key, e := range r.elements {
		if e.seen == r.answers && r.answers > 0 && !has[key] {
			missing = append(missing, e)
		}
	}
	f.detail = r.structure(missing, extra, candidate)
	return f
}

// allowed are the values that the candidate may have.
func (e *element) allowed() *values {
	if e.now.none() {
		return &e.past
	}
	return &e.now
}

// distance is the relative error of a value: that to the nearest one allowed.
func (e *element) distance(s promql.Sample) float64 {
	v := e.allowed()
	switch {
	case s.H != nil:
		nearest := 1.0
		for _, h := range v.natives {
			nearest = min(nearest, nativeDistance(h, s.H))
		}
		return nearest
	case math.IsNaN(s.F):
		if v.nan {
			return 0
		}
		return 1
	case v.lo > v.hi:
		return 1
	}
	// What is known of the timing are some of many possible ways, so that the
	// extremes lie a little beyond.
	margin := (v.hi - v.lo) * timingMargin
	if math.IsInf(v.hi, 0) || math.IsInf(v.lo, 0) {
		margin = 0
	}
	return relative(max(v.lo-margin, min(v.hi+margin, s.F)), s.F)
}

func relative(a, b float64) float64 {
	switch off := math.Abs(a - b); {
	case a == b || off <= sameAbsolute:
		return 0
	case math.IsInf(a, 0) || math.IsInf(b, 0):
		return 1
	default:
		return off / max(math.Abs(a), math.Abs(b))
	}
}

// nativeDistance compares count, sum and, at the coarser of both scales, buckets
// as parts of the count.
func nativeDistance(a, b *histogram.FloatHistogram) float64 {
	off := max(relative(a.Count, b.Count), relative(a.Sum, b.Sum))
	if a.UsesCustomBuckets() != b.UsesCustomBuckets() {
		return 1
	}
	if !a.UsesCustomBuckets() && a.Schema != b.Schema {
		schema := min(a.Schema, b.Schema)
		a, b = a.CopyToSchema(schema), b.CopyToSchema(schema)
	}
	counts := map[float64]float64{}
	for it := a.AllBucketIterator(); it.Next(); {
		counts[it.At().Upper] += it.At().Count
	}
	for it := b.AllBucketIterator(); it.Next(); {
		counts[it.At().Upper] -= it.At().Count
	}
	for _, c := range counts {
		if total := max(a.Count, b.Count); total > 0 {
			off = max(off, math.Abs(c)/total)
		}
	}
	return off
}

// sentence shows a value of both arms.
func (e *element) sentence(s promql.Sample, off float64) string {
	text := fmt.Sprintf("%s: baseline %s, candidate %s, off by %s %%", show(e.labels), sampleText(e.first), sampleText(s), number(100*off))
	if v := e.allowed(); s.H == nil && v.lo < v.hi && relative(v.lo, v.hi) > 1e-4 {
		text += fmt.Sprintf(" (the timing of outputs explains %s to %s)", number(v.lo), number(v.hi))
	}
	return text
}

func sampleText(s promql.Sample) string {
	if s.H != nil {
		return fmt.Sprintf("a histogram of count %s and sum %s", number(s.H.Count), number(s.H.Sum))
	}
	return number(s.F)
}

// structure says what one side has that the other lacks.
func (r *reference) structure(missing []*element, extra []promql.Sample, candidate promql.Vector) string {
	var parts []string
	slices.SortFunc(missing, func(a, b *element) int { return labels.Compare(a.labels, b.labels) })
	switch {
	case len(missing) > 0 && len(candidate) == 0:
		parts = append(parts, fmt.Sprintf("the candidate has no answer, the baseline %s, such as %s %s",
			plural(len(missing), "element"), show(missing[0].labels), sampleText(missing[0].first)))
	case len(missing) > 0:
		parts = append(parts, fmt.Sprintf("the candidate lacks %d of %s, such as %s %s",
			len(missing), plural(len(r.elements), "element"), show(missing[0].labels), sampleText(missing[0].first)))
	}
	if len(extra) > 0 {
		parts = append(parts, fmt.Sprintf("the candidate has %s that the baseline lacks, such as %s %s",
			plural(len(extra), "element"), show(extra[0].Metric), sampleText(extra[0])))
	}
	if len(parts) > 0 && len(candidate) > 0 && len(r.elements) > 0 {
		base, own := map[string]bool{}, map[string]bool{}
		for _, e := range r.elements {
			e.labels.Range(func(l labels.Label) { base[l.Name] = true })
		}
		for _, s := range candidate {
			s.Metric.Range(func(l labels.Label) { own[l.Name] = true })
		}
		parts = append(parts, only(base, own, "the candidate lacks the label")...)
		parts = append(parts, only(own, base, "only the candidate has the label")...)
	}
	return strings.Join(parts, "; ")
}

// only lists what is in one and not in the other.
func only(in, out map[string]bool, text string) []string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(in)), func(name string) bool { return out[name] })
	if len(names) == 0 {
		return nil
	}
	return []string{text + " " + strings.Join(names, ", ")}
}

func show(ls labels.Labels) string { return ls.String() }

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
