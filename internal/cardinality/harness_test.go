package cardinality

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// long is set for the long forms of simulations: make soak.
var long = os.Getenv("PHOENIX_LONG") != ""

// streams is a database that bills OTLP streams.
type streams struct{}

func (streams) Streams() bool                  { return true }
func (streams) MetricName(d Descriptor) string { return d.Name }
func (streams) Label(_ series.Domain, key string) (Label, bool) {
	return Label{Name: key, Identity: key}, true
}

// labels is a database in which the attributes of points are labels, under
// their own names.
type labels struct{}

func (labels) Streams() bool                  { return false }
func (labels) MetricName(d Descriptor) string { return d.Name }
func (labels) Label(d series.Domain, key string) (Label, bool) {
	return Label{Name: key, Identity: key}, d == series.Point
}

// attr is an attribute of a test series, a string at the given level.
type attr struct {
	domain     series.Domain
	key, value string
}

func point(key, value string) attr { return attr{series.Point, key, value} }

// rig drives a tracker with a clock of its own.
type rig struct {
	*Tracker
	hasher *series.Hasher
	now    time.Time
	misses []int
}

func newRig(tb testing.TB, change func(*Settings)) *rig {
	tb.Helper()
	return newSeededRig(0, change)
}

func newSeededRig(seed uint64, change func(*Settings)) *rig {
	secret, err := series.ParseSecret(fmt.Sprintf("%016x%016x", seed*0x9e3779b97f4a7c15+1, seed))
	if err != nil {
		panic(err)
	}
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := Settings{
		Hasher: series.NewHasher(secret), Backend: labels{}, SubWindows: 4, SubWindow: 150 * time.Second,
		MaxMetrics: 10_000, MaxAttributes: 64, Precision: DefaultPrecision, MaxBytes: 1 << 30, Start: start,
	}
	if change != nil {
		change(&s)
	}
	return &rig{Tracker: New(s), hasher: s.Hasher, now: start}
}

// rotate ends a sub-window.
func (r *rig) rotate() {
	r.now = r.now.Add(r.settings.SubWindow)
	r.Rotate(r.now)
}

// testSource describes series from lists of attributes.
type testSource struct {
	hasher *series.Hasher
	list   [][]attr
	parts  []uint64
	d      Description
}

func (s *testSource) Describe(i int) *Description {
	s.d.Attributes = s.d.Attributes[:0]
	for _, a := range s.list[i] {
		s.d.Attributes = append(s.d.Attributes, Attribute{
			Domain: a.domain, Key: a.key, Text: a.value, String: true, Sum: s.hasher.String(a.domain, a.key, a.value),
		})
	}
	s.d.Parts = s.parts
	return &s.d
}

func (s *testSource) hash(i int) uint64 {
	sum := uint64(0)
	for _, a := range s.list[i] {
		sum += s.hasher.String(a.domain, a.key, a.value)
	}
	return sum
}

// send sends one point of each series; parts are what the backend makes of it.
func (r *rig) send(metric, group string, parts []uint64, list ...[]attr) {
	src := &testSource{hasher: r.hasher, list: list, parts: parts}
	if parts == nil {
		src.parts = []uint64{1}
	}
	hashes := make([]uint64, len(list))
	base := r.hasher.Identity(series.Identity{Name: metric})
	for i := range list {
		hashes[i] = base + src.hash(i)
	}
	d := Descriptor{Name: metric, Type: Gauge}
	src.d.Descriptor = d
	m := r.Metric(d, group)
	if m == nil {
		r.Overflow(d, group, hashes)
		return
	}
	r.misses = m.Observe(hashes, src, r.misses)
}

// only returns the report of the one metric of a name.
func (r *rig) only(tb testing.TB, metric string) MetricReport {
	tb.Helper()
	return r.last(tb, metric, r.settings.SubWindows)
}

func (r *rig) last(tb testing.TB, metric string, epochs int) MetricReport {
	tb.Helper()
	report := r.Report(r.now, epochs, func(name string) bool { return name == metric })
	if len(report.Metrics) != 1 {
		tb.Fatalf("%d entries for %s, want one", len(report.Metrics), metric)
	}
	return report.Metrics[0]
}

// attribute returns the count of an attribute.
func (a *Analysis) attribute(tb testing.TB, key string) AttributeCount {
	tb.Helper()
	for _, c := range a.Attributes {
		if c.Key == key {
			return c
		}
	}
	tb.Fatalf("no attribute %q in %+v", key, a.Attributes)
	return AttributeCount{}
}

// keys returns the names of a group's members.
func (a *Analysis) keys(g GroupCount) []string {
	var names []string
	for _, i := range g.Members {
		names = append(names, a.Attributes[i].Key)
	}
	return names
}

// grid is a metric with known savings: a and b, which tell the same, save
// nothing; tenth saves 10 %, half 50 %, hundred 99 %.
type grid struct {
	rows, halves, hundreds int
}

// grids by name; rows is a multiple of 9, because every ninth row is there
// twice, told apart by tenth.
var (
	grid1k  = grid{rows: 9, halves: 1, hundreds: 100}
	grid2k  = grid{rows: 9, halves: 2, hundreds: 100}
	grid50k = grid{rows: 225, halves: 2, hundreds: 100}
	grid1M  = grid{rows: 4500, halves: 2, hundreds: 100}
)

func (g grid) size() int { return g.rows * g.halves * g.hundreds * 10 / 9 }

// without is the exact number of series left without an attribute.
func (g grid) without(key string) int {
	switch n := g.size(); key {
	case "tenth":
		return n - n/10
	case "half":
		return n / g.halves
	case "hundred":
		return n / g.hundreds
	default:
		return n
	}
}

var gridKeys = []string{"a", "b", "tenth", "half", "hundred"}

// all ranges over the series in chunks; what is yielded is valid until the
// next chunk.
func (g grid) all(yield func([][]attr) bool) {
	const chunk = 1000
	list := make([][]attr, 0, chunk)
	for x := range g.rows {
		a, b := "pod-"+strconv.Itoa(x), "uid-"+strconv.Itoa(x*7919)
		for y := range g.halves * g.hundreds {
			for t := range 2 {
				if t == 1 && x%9 != 0 {
					continue
				}
				list = append(list, []attr{
					point("a", a), point("b", b), point("half", strconv.Itoa(y%g.halves)),
					point("hundred", strconv.Itoa(y/g.halves)), point("tenth", strconv.Itoa(t)),
				})
				if len(list) == chunk {
					if !yield(list) {
						return
					}
					list = list[:0]
				}
			}
		}
	}
	if len(list) > 0 {
		yield(list)
	}
}

func (r *rig) sendGrid(metric string, g grid) {
	for list := range g.all {
		r.send(metric, "", nil, list...)
	}
}
