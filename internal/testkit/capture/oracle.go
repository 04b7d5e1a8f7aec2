package capture

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The types of a family, as # TYPE lines spell them.
const (
	TypeCounter   = "counter"
	TypeGauge     = "gauge"
	TypeHistogram = "histogram"
	TypeSummary   = "summary"
	TypeUntyped   = "untyped"
)

// Family is the exact count of one metric family.
type Family struct {
	// Name and Type are those of the # TYPE line. A histogram's _bucket, _sum
	// and _count lines belong to it, as a summary's do. Without a # TYPE line
	// the family is the sample's name and TypeUntyped.
	Name, Type string
	// Series counts the distinct sample lines by name and labels: what a
	// Prometheus stores.
	Series int
	// Streams counts the distinct label sets without le or quantile: what OTLP
	// sends.
	Streams int
	// Labels has one entry for each label with a value that is not empty, but le
	// of a histogram and quantile of a summary, which belong to the type.
	Labels map[string]LabelCount
	// Empty has the labels that some line carries with an empty value. To
	// Prometheus that is no label, so no other number counts it; to OTLP it is
	// an attribute, and its empty value one more.
	Empty map[string]bool

	series []sample // each once, labels sorted by name, empty values left out
}

// LabelCount is what one label costs.
type LabelCount struct {
	// Distinct counts the label's values, without the empty one.
	Distinct int
	// SeriesWithout and StreamsWithout count what stays if this label alone is
	// removed.
	SeriesWithout, StreamsWithout int
}

// Count counts every family of one or several rounds of one target. A series
// of several rounds counts once.
func Count(rounds ...Round) (map[string]*Family, error) {
	c := counter{types: map[string]string{}, families: map[string]*family{}}
	for _, r := range rounds {
		if err := scan(r.Text, c.addType, c.addSample); err != nil {
			return nil, fmt.Errorf("round %q: %w", r.Name, err)
		}
	}
	counted := make(map[string]*Family, len(c.families))
	for name, f := range c.families {
		counted[name] = f.count()
	}
	return counted, nil
}

// SeriesWithout counts the backend series that stay if all these labels are
// removed.
func (f *Family) SeriesWithout(labels ...string) int {
	seen := make(map[string]struct{}, len(f.series))
	for _, s := range f.series {
		seen[s.key(labels...)] = struct{}{}
	}
	return len(seen)
}

// StreamsWithout counts the OTLP streams that stay if all these labels are
// removed.
func (f *Family) StreamsWithout(labels ...string) int {
	seen := make(map[string]struct{}, len(f.series))
	without := append(slices.Clip(labels), typeLabel(f.Type))
	for _, s := range f.series {
		s.name = f.Name
		seen[s.key(without...)] = struct{}{}
	}
	return len(seen)
}

// counter collects what the scanner finds.
type counter struct {
	types    map[string]string // by the name in # TYPE
	families map[string]*family
}

type family struct {
	name, kind string
	series     map[string]sample // by key
	empty      map[string]bool
}

func (c *counter) addType(name, kind string) error {
	if before, known := c.types[name]; known && before != kind {
		return fmt.Errorf("%w: %s is %s, was %s", errTypeChanged, name, kind, before)
	}
	c.types[name] = kind
	return nil
}

func (c *counter) addSample(s sample) error {
	name, kind := c.familyOf(s.name)
	f := c.families[name]
	if f == nil {
		f = &family{name: name, kind: kind, series: map[string]sample{}, empty: map[string]bool{}}
		c.families[name] = f
	}
	for _, l := range s.labels {
		if l.value == "" {
			f.empty[l.name] = true
		}
	}
	s.labels = slices.DeleteFunc(s.labels, func(l label) bool { return l.value == "" })
	slices.SortFunc(s.labels, func(a, b label) int { return strings.Compare(a.name, b.name) })
	f.series[s.key()] = s
	return nil
}

// familyOf joins the lines of histograms and summaries. A name that has a
// # TYPE line of its own is its own family, whatever its suffix.
func (c *counter) familyOf(name string) (family, kind string) {
	if kind, typed := c.types[name]; typed {
		return name, kind
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, cut := strings.CutSuffix(name, suffix)
		if !cut {
			continue
		}
		switch kind := c.types[base]; {
		case kind == TypeHistogram, kind == TypeSummary && suffix != "_bucket":
			return base, kind
		}
	}
	return name, TypeUntyped
}

func (f *family) count() *Family {
	out := &Family{
		Name: f.name, Type: f.kind, Series: len(f.series),
		Labels: map[string]LabelCount{}, Empty: f.empty,
		series: slices.Collect(maps.Values(f.series)),
	}
	out.Streams = out.StreamsWithout()
	values := map[string]map[string]struct{}{}
	for _, s := range out.series {
		for _, l := range s.labels {
			if l.name == typeLabel(f.kind) {
				continue
			}
			if values[l.name] == nil {
				values[l.name] = map[string]struct{}{}
			}
			values[l.name][l.value] = struct{}{}
		}
	}
	for name, distinct := range values {
		out.Labels[name] = LabelCount{
			Distinct:       len(distinct),
			SeriesWithout:  out.SeriesWithout(name),
			StreamsWithout: out.StreamsWithout(name),
		}
	}
	return out
}

// typeLabel is the label that belongs to the type and is no attribute; empty
// if the type has none.
func typeLabel(kind string) string {
	switch kind {
	case TypeHistogram:
		return "le"
	case TypeSummary:
		return "quantile"
	}
	return ""
}

// key is the identity of a sample without the named labels. Neither names nor
// values hold the byte 0xff, which is no part of UTF-8.
func (s sample) key(without ...string) string {
	var b strings.Builder
	b.WriteString(s.name)
	for _, l := range s.labels {
		if slices.Contains(without, l.name) {
			continue
		}
		b.WriteByte(0xff)
		b.WriteString(l.name)
		b.WriteByte(0xff)
		b.WriteString(l.value)
	}
	return b.String()
}
