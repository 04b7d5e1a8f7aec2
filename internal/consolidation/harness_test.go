package consolidation_test

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/big"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

const (
	second = uint64(1e9)
	// zero is when tests begin: a multiple of the interval.
	zero     = 1_700_000_010 * second
	interval = 15 * second
)

func key(name string) c.Key {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	a := h.Sum64()
	_, _ = h.Write([]byte("again"))
	return c.Key{A: a * 0x9e3779b97f4a7c15, B: h.Sum64() * 0xbf58476d1ce4e5b9}
}

// owner is what describes an output.
type owner string

func (o owner) Describe() c.Description { return c.Description{Owner: string(o)} }

func (owner) Overflow() (c.Key, c.Description) {
	return key("overflow"), c.Description{Owner: "overflow"}
}

// emitted is a copy of an emission.
type emitted struct {
	c.Emission
	name string
}

func keep(list *[]emitted) func(*c.Emission) {
	return func(m *c.Emission) {
		e := emitted{Emission: *m, name: m.Owner.(string)}
		if m.Histogram != nil {
			p := *m.Histogram
			p.Counts = slices.Clone(p.Counts)
			e.Histogram = &p
		}
		if m.Exponential != nil {
			p := *m.Exponential
			p.Positive.Counts, p.Negative.Counts = slices.Clone(p.Positive.Counts), slices.Clone(p.Negative.Counts)
			e.Exponential = &p
		}
		*list = append(*list, e)
	}
}

// value of an emission as the test's language has it: "12", "12.5", "stale".
func (e *emitted) String() string {
	switch {
	case e.Stale:
		return "stale"
	case e.Histogram != nil:
		return fmt.Sprint(e.Histogram.Counts)
	case e.Exponential != nil:
		return fmt.Sprint(e.Exponential.Positive.Offset, e.Exponential.Positive.Counts)
	case e.Number.IsDouble():
		return strconv.FormatFloat(e.Number.Float(), 'g', -1, 64)
	}
	return strconv.FormatInt(e.Number.Int(), 10)
}

// point makes the engine's view of a raw point.
func (r *raw) point() *c.Point {
	p := &c.Point{Input: key(r.input), Output: key(r.output), Rule: r.rule, Kind: r.kind, Policy: r.policy, Stale: r.stale, Now: r.now}
	span := spatial.Span{Start: r.start, Time: r.time}
	p.Sum.Span = span
	if r.stale {
		return p
	}
	if v := r.value["value"]; v != nil {
		f, _ := v.Float64()
		p.Sum.Value = spatial.Int(int64(f))
		if r.double {
			p.Sum.Value = spatial.Double(f)
		}
		return p
	}
	sum, _ := r.value["sum"].Float64()
	moments := spatial.Moments{Sum: sum, Known: spatial.HasSum}
	if strings.Contains(r.kind.String(), "exponential") {
		p.Exponential = r.exponential(span, moments)
		return p
	}
	bounds, _ := spatial.NewBounds(r.bounds)
	h := &spatial.HistogramPoint{Span: span, Moments: moments, Bounds: bounds, Counts: make([]uint64, len(r.bounds)+1)}
	for i, b := range append(slices.Clone(r.bounds), math.Inf(1)) {
		h.Counts[i] = whole(r.value[bucket(b)])
		h.Count += h.Counts[i]
	}
	p.Histogram = h
	return p
}

func (r *raw) exponential(span spatial.Span, moments spatial.Moments) *spatial.ExponentialPoint {
	x := &spatial.ExponentialPoint{Span: span, Moments: moments, Scale: r.scale, ZeroCount: whole(r.value["zero"])}
	x.Positive.Offset = -400
	x.Positive.Counts = make([]uint64, 800)
	x.Count = x.ZeroCount
	for k, v := range r.value {
		if s, i, ok := indexOf(k); ok && s == r.scale {
			x.Positive.Counts[i+400] = whole(v)
			x.Count += whole(v)
		}
	}
	return x
}

func whole(v *big.Float) uint64 {
	if v == nil {
		return 0
	}
	n, _ := v.Uint64()
	return n
}

func bucket(bound float64) string { return "b:" + strconv.FormatFloat(bound, 'g', -1, 64) }

func index(scale int32, i int) string { return fmt.Sprintf("p:%d:%d", scale, i) }

func indexOf(k string) (scale int32, i int, ok bool) {
	n, err := fmt.Sscanf(k, "p:%d:%d", &scale, &i)
	return scale, i, err == nil && n == 2
}

// differs says in what an emission is not what the model expects; "" if in nothing.
func differs(want shown, got *emitted) string {
	switch {
	case want.stale != got.Stale, want.time != got.Time, want.kind != got.Kind, want.rule != got.Rule:
		return fmt.Sprintf("want %+v", want)
	case want.stale:
		return ""
	case want.start != got.Start:
		return fmt.Sprintf("start: want %d, got %d", want.start, got.Start)
	case got.Histogram != nil:
		return histogramDiffers(want, got.Histogram)
	case got.Exponential != nil:
		return exponentialDiffers(want, got.Exponential)
	}
	expect := want.value["value"]
	if want.float != nil {
		expect = want.float
	}
	if expect == nil {
		expect = num(0)
	}
	return numberDiffers(expect, want.double, got.Number)
}

func numberDiffers(want *big.Float, double bool, got spatial.Number) string {
	if double != got.IsDouble() {
		return fmt.Sprintf("want double: %t", double)
	}
	if !double {
		if i, _ := want.Int64(); i != got.Int() {
			return "want " + want.String()
		}
		return ""
	}
	if !near(want, num(got.Float())) {
		return "want " + want.String()
	}
	return ""
}

func momentsDiffer(want shown, m spatial.Moments) string {
	sum := want.value["sum"]
	if sum == nil {
		sum = num(0)
	}
	if m.Known&spatial.HasSum == 0 || !near(sum, num(m.Sum)) {
		return fmt.Sprintf("sum: want %s, got %v", sum.String(), m)
	}
	return ""
}

func histogramDiffers(want shown, got *spatial.HistogramPoint) string {
	if !slices.Equal(want.bounds, got.Bounds.Edges()) {
		return fmt.Sprintf("bounds: want %v, got %v", want.bounds, got.Bounds.Edges())
	}
	low, total := math.Inf(-1), uint64(0)
	for i, high := range append(slices.Clone(want.bounds), math.Inf(1)) {
		n := uint64(0)
		for k, v := range want.value {
			if text, ok := strings.CutPrefix(k, "b:"); ok {
				if b, _ := strconv.ParseFloat(text, 64); b > low && b <= high {
					n += whole(v)
				}
			}
		}
		if got.Counts[i] != n {
			return fmt.Sprintf("bucket up to %g: want %d, got %v", high, n, got.Counts)
		}
		low = high
		total += n
	}
	if got.Count != total {
		return fmt.Sprintf("count: want %d, got %d", total, got.Count)
	}
	return momentsDiffer(want, got.Moments)
}

func exponentialDiffers(want shown, got *spatial.ExponentialPoint) string {
	if want.scale != got.Scale {
		return fmt.Sprintf("scale: want %d, got %d", want.scale, got.Scale)
	}
	buckets := map[int]uint64{}
	count := whole(want.value["zero"])
	for k, v := range want.value {
		if s, i, ok := indexOf(k); ok && v.Sign() > 0 {
			buckets[i>>(s-got.Scale)] += whole(v)
			count += whole(v)
		}
	}
	for i, n := range got.Positive.Counts {
		at := int(got.Positive.Offset) + i
		if buckets[at] != n {
			return fmt.Sprintf("bucket %d: want %d, got %d", at, buckets[at], n)
		}
		delete(buckets, at)
	}
	if len(buckets) > 0 || got.ZeroCount != whole(want.value["zero"]) || got.Count != count {
		return fmt.Sprintf("missing %v, zero %d, count %d of %d", buckets, got.ZeroCount, got.Count, count)
	}
	return momentsDiffer(want, got.Moments)
}

// agree compares what was emitted with what the model expects.
func agree(t require.TestingT, want map[string][]shown, got []emitted) {
	seen := map[string]int{}
	for i := range got {
		g := &got[i]
		list := want[g.name]
		n := seen[g.name]
		seen[g.name]++
		if n >= len(list) {
			require.Failf(t, "emitted and not expected", "%s at %d: %s", g.name, (g.Time-zero)/second, g.String())
		}
		if why := differs(list[n], g); why != "" {
			require.Failf(t, "emitted something else", "%s at %d: %s, %s", g.name, (g.Time-zero)/second, g.String(), why)
		}
	}
	for name, list := range want {
		if seen[name] != len(list) {
			require.Failf(t, "expected and not emitted", "%s: %+v", name, list[seen[name]:])
		}
	}
}

// table prints counts by row and column.
func table(t *testing.T, counts map[[2]string]int) {
	t.Helper()
	var rows, columns []string
	for k := range counts {
		if !slices.Contains(rows, k[0]) {
			rows = append(rows, k[0])
		}
		if !slices.Contains(columns, k[1]) {
			columns = append(columns, k[1])
		}
	}
	sort.Strings(rows)
	sort.Strings(columns)
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-24s", "")
	for _, col := range columns {
		fmt.Fprintf(&b, "%14s", col)
	}
	for _, row := range rows {
		fmt.Fprintf(&b, "\n%-24s", row)
		for _, col := range columns {
			fmt.Fprintf(&b, "%14d", counts[[2]string{row, col}])
		}
	}
	t.Log(b.String())
}
