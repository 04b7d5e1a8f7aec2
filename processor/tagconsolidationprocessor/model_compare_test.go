package tagconsolidationprocessor

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"

	"github.com/stretchr/testify/require"
)

// near is the precision of doubles: 1e-9 relative.
func near(a, b *big.Float) bool {
	if a == nil || b == nil {
		return a == b
	}
	difference, _ := minus(a, b).Float64()
	size, _ := a.Float64()
	return math.Abs(difference) <= 1e-9*math.Max(math.Abs(size), 1)
}

// agree demands that what was emitted is what the model expects, no more and
// no less, and notes which is which.
func agree(t require.TestingT, want []*expected, got []*output, writer string, variants map[string]string) {
	left := map[string][]*expected{}
	for _, e := range want {
		key := fmt.Sprintf("%s at %d", e.name, e.time)
		left[key] = append(left[key], e)
	}
	for _, o := range got {
		if o.writer != writer {
			require.Failf(t, "another writer", "%s: want %q, got %q", o, writer, o.writer)
		}
		key := fmt.Sprintf("%s at %d", seriesOf(o.labels, o.scope, o.clearPoint), o.time)
		i := slices.IndexFunc(left[key], func(e *expected) bool { return e.is(o, variants) && e.differs(o) == "" })
		if i < 0 {
			i = slices.IndexFunc(left[key], func(e *expected) bool { return e.is(o, variants) })
		}
		if i < 0 {
			require.Failf(t, "emitted and not expected", "%s %s\nexpected there: %v", o, o.bounds, left[key])
		}
		e := left[key][i]
		left[key] = slices.Delete(left[key], i, i+1)
		e.actual = o
		if why := e.differs(o); why != "" {
			require.Failf(t, "emitted something else", "%s\ngot  %s\nwant %s", why, o, e)
		}
	}
	for key, list := range left {
		if len(list) > 0 {
			require.Failf(t, "expected and not emitted", "%s: %v", key, list)
		}
	}
}

// is says whether an emitted point is of the same variant. Nobody knows how the
// processor names a variant; it has to be by one name.
func (e *expected) is(o *output, variants map[string]string) bool {
	if e.variant == "" || o.bounds == "" {
		return e.variant == o.bounds
	}
	if name, known := variants[e.variant]; known {
		return name == o.bounds
	}
	if slices.Contains(slices.Collect(maps.Values(variants)), o.bounds) || !slices.Equal(e.value.classic.bounds(), o.value.classic.bounds()) {
		return false
	}
	variants[e.variant] = o.bounds
	return true
}

// differs says in what; empty if in nothing.
func (e *expected) differs(o *output) string {
	switch {
	case e.stale != o.stale:
		return fmt.Sprintf("stale: want %t", e.stale)
	case e.kind != o.kind:
		return "the kind"
	case e.start != o.start:
		return fmt.Sprintf("start: want %d, got %d", e.start, o.start)
	case e.stale:
		return ""
	case e.value.number != nil:
		return e.numberDiffers(o)
	}
	want, got := e.value.measured, o.value.measured
	switch {
	case e.value.classic != nil && !maps.Equal(e.value.classic, o.value.classic):
		return "buckets"
	case e.value.exponents != nil && !e.value.exponents.equals(o.value.exponents):
		return "exponential buckets"
	case !near(want.min, got.min) || !near(want.max, got.max):
		return "minimum or maximum"
	case e.hasSum(o) && !near(want.sum, got.sum):
		return "sum"
	case want.count != got.count:
		return "count"
	}
	return ""
}

// hasSum is false for a summary whose sum is not known: it has to say something.
func (e *expected) hasSum(o *output) bool {
	return e.value.measured.sum != nil || typeName(o.kind) != typeName(e.kind) || e.kind.String() != "summary"
}

func (e *expected) numberDiffers(o *output) string {
	if e.value.double {
		// Past 2^53 an integer that was shown may be more than the double.
		rounded := e.value.number.MantExp(nil) > 53
		if !near(e.value.number, o.value.number) || !o.value.double && !rounded {
			return "value, a double"
		}
		return ""
	}
	if _, accuracy := e.value.number.Int64(); accuracy != big.Exact { // past the range of integers
		if !o.value.double || !near(e.value.number, o.value.number) {
			return "value past the range of integers"
		}
		return ""
	}
	if o.value.double || e.value.number.Cmp(o.value.number) != 0 {
		return "value, an integer"
	}
	return ""
}

func (x *exponents) equals(o *exponents) bool {
	same := x.scale == o.scale || !x.hasBuckets() && !o.hasBuckets()
	zero := x.zero == o.zero || ceilTo(x.zero, o.scale) == ceilTo(o.zero, o.scale)
	filled := func(buckets map[int]uint64) map[int]uint64 {
		all := maps.Clone(buckets)
		maps.DeleteFunc(all, func(_ int, n uint64) bool { return n == 0 })
		return all
	}
	return same && zero && x.zeroCount == o.zeroCount &&
		maps.Equal(filled(x.sides[0]), filled(o.sides[0])) && maps.Equal(filled(x.sides[1]), filled(o.sides[1]))
}

// String writes what is expected for a message.
func (e *expected) String() string {
	if e.stale {
		return fmt.Sprintf("%s by %s [%d..%d] stale", e.name, e.rule.Name, e.start, e.time)
	}
	return fmt.Sprintf("%s%s by %s [%d..%d] %s", e.name, e.variant, e.rule.Name, e.start, e.time, e.value.String())
}

// sight is what a database has seen of a series.
type sight struct {
	start, time uint64
	value       amount
	window      uint64 // where the last delta ended
	// lost: the writer began anew and knows nothing of what it wrote.
	lost bool
}

// database holds what was delivered, and refuses what no writer may do.
type database map[string]*sight

func (d database) write(t require.TestingT, o *output) {
	key := seriesOf(o.labels, o.scope, o.clearPoint) + o.writer + o.bounds
	s := d[key]
	if s == nil {
		s = &sight{}
		d[key] = s
	}
	if o.time/1e6 <= s.time/1e6 { // databases keep milliseconds
		require.Failf(t, "two points of one series and time, or an older one", "%s after %d", o, s.time)
	}
	switch {
	case isDelta(o.kind) && !o.stale && !s.lost && o.start < s.window:
		require.Failf(t, "windows overlap", "%s after %d", o, s.time)
	case isDelta(o.kind) && o.start > o.time, !isDelta(o.kind) && o.kind.String() != "gauge" && o.start >= o.time:
		require.Failf(t, "no true start", "%s", o)
	case isCumulative(o.kind) && s.time != 0 && o.start != s.start && o.start < s.time:
		require.Failf(t, "a new start before the last point", "%s after %d", o, s.time)
	}
	if isCumulative(o.kind) && s.start == o.start && !o.stale && s.value.fell(&o.value) {
		require.Failf(t, "fell without a new start", "%s after %s", o, s.value.String())
	}
	s.start, s.time, s.lost = o.start, o.time, false
	if !o.stale {
		s.value, s.window = o.value, o.time
	}
}

// fell says whether anything is less than before.
func (a *amount) fell(now *amount) bool {
	switch {
	case a.number != nil:
		return now.number.Cmp(a.number) < 0
	case a.classic != nil:
		bounds, _ := shared(a.classic.bounds(), now.classic.bounds())
		is := now.classic.over(bounds)
		for upper, n := range a.classic.over(bounds) {
			if is[upper] < n {
				return true
			}
		}
	case a.exponents != nil:
		was, is := meet(a.exponents.unscaled(), now.exponents.unscaled(), 1<<14)
		return is.atLeast(was)
	}
	return false
}
