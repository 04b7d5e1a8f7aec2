package fidelity

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/assert"
)

func of(value float64, pairs ...string) promql.Sample {
	return promql.Sample{Metric: labels.FromStrings(pairs...), F: value}
}

func native(sum float64, schema int32, buckets ...float64) promql.Sample {
	count := 0.0
	for _, b := range buckets {
		count += b
	}
	return promql.Sample{H: &histogram.FloatHistogram{
		Count: count, Sum: sum, Schema: schema, PositiveBuckets: buckets, PositiveSpans: []histogram.Span{{Length: uint32(len(buckets))}},
	}}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	for name, c := range map[string]struct {
		base, cand  promql.Vector
		worst, mean float64
		detail      string
	}{
		"equal":                   {promql.Vector{of(1, "a", "1"), of(0, "a", "2")}, promql.Vector{of(0, "a", "2"), of(1, "a", "1")}, 0, 0, ""},
		"the order of addition":   {promql.Vector{of(0.1 + 0.2)}, promql.Vector{of(0.3)}, 0, 0, ""},
		"nearly nothing":          {promql.Vector{of(0)}, promql.Vector{of(1e-13)}, 0, 0, ""},
		"nothing and little":      {promql.Vector{of(0)}, promql.Vector{of(1e-6)}, 1, 1, ""},
		"the mean":                {promql.Vector{of(100, "a", "1"), of(100, "a", "2")}, promql.Vector{of(98, "a", "1"), of(100, "a", "2")}, 0.02, 0.01, ""},
		"doubled":                 {promql.Vector{of(1)}, promql.Vector{of(2)}, 0.5, 0.5, ""},
		"another sign":            {promql.Vector{of(1)}, promql.Vector{of(-1)}, 2, 2, ""},
		"no number on both":       {promql.Vector{of(nan)}, promql.Vector{of(nan)}, 0, 0, ""},
		"no number on one":        {promql.Vector{of(1)}, promql.Vector{of(nan)}, 1, 1, ""},
		"a number instead":        {promql.Vector{of(nan)}, promql.Vector{of(1)}, 1, 1, ""},
		"infinite on both":        {promql.Vector{of(inf)}, promql.Vector{of(inf)}, 0, 0, ""},
		"infinite on one":         {promql.Vector{of(1)}, promql.Vector{of(inf)}, 1, 1, ""},
		"histograms":              {promql.Vector{native(5, 1, 4, 6)}, promql.Vector{native(5, 1, 4, 6)}, 0, 0, ""},
		"of another scale":        {promql.Vector{native(5, 1, 0, 4, 6)}, promql.Vector{native(5, 0, 0, 10)}, 0, 0, ""},
		"of another shape":        {promql.Vector{native(5, 1, 4, 6)}, promql.Vector{native(5, 1, 6, 4)}, 0.2, 0.2, ""},
		"of another sum":          {promql.Vector{native(5, 1, 4, 6)}, promql.Vector{native(4, 1, 4, 6)}, 0.2, 0.2, ""},
		"a histogram and a value": {promql.Vector{of(1)}, promql.Vector{native(5, 1, 4, 6)}, 1, 1, ""},
		"no answer":               {promql.Vector{of(1, "a", "1"), of(2, "a", "2")}, nil, 0, 0, `the candidate has no answer, the baseline 2 elements, such as {a="1"} 1`},
		"an answer":               {nil, promql.Vector{of(1, "a", "1")}, 0, 0, `the candidate has 1 element that the baseline lacks, such as {a="1"} 1`},
		"fewer":                   {promql.Vector{of(1, "a", "1"), of(2, "a", "2")}, promql.Vector{of(1, "a", "1")}, 0, 0, `the candidate lacks 1 of 2 elements, such as {a="2"} 2`},
		"a label more": {
			promql.Vector{of(1, "a", "1")},
			promql.Vector{of(1, "a", "1", "b", "1")},
			0, 0,
			`the candidate lacks 1 of 1 element, such as {a="1"} 1; the candidate has 1 element that the baseline lacks, such as {a="1", b="1"} 1; only the candidate has the label b`,
		},
	} {
		var r reference
		r.add(c.base, exact)
		f := r.compare(c.cand)
		assert.InDelta(t, c.worst, f.worst, 1e-9, name)
		assert.InDelta(t, c.mean, f.mean, 1e-9, name)
		assert.Equal(t, c.detail, f.detail, name)
	}
}

// One element may be off by all of the tolerance; the mean is that of the others.
func TestWithin(t *testing.T) {
	t.Parallel()
	assert.True(t, finding{worst: 0.01, mean: 0.01, elements: 1}.within(0.01, 0.001))
	assert.False(t, finding{worst: 0.011, mean: 0.011, elements: 1}.within(0.01, 0.001))
	assert.True(t, finding{worst: 0.01, mean: (0.01 + 0.001) / 2, elements: 2}.within(0.01, 0.00101))
	assert.False(t, finding{worst: 0.01, mean: (0.01 + 0.002) / 2, elements: 2}.within(0.01, 0.00101))
	assert.False(t, finding{detail: "x"}.within(1, 1))
}

// Earlier answers say which elements there may be and must be, answers as they are
// emitted which values; and neither excuses what the baseline shows now.
func TestReferenceOfSeveralAnswers(t *testing.T) {
	t.Parallel()
	var r reference
	r.add(promql.Vector{of(10, "a", "stays"), of(5, "a", "new")}, exact)
	r.add(promql.Vector{of(99, "a", "stays"), of(7, "a", "gone")}, earlier)
	r.add(promql.Vector{of(12, "a", "stays")}, emittedAs)
	assert.True(t, r.compare(promql.Vector{of(11, "a", "stays"), of(7, "a", "gone")}).within(1e-9, 1e-9))
	assert.True(t, r.compare(promql.Vector{of(12.9, "a", "stays")}).within(1e-9, 1e-9), "half of the spread beyond")
	assert.InDelta(t, (14.0-13)/14, r.compare(promql.Vector{of(14, "a", "stays")}).worst, 1e-9)
	assert.Contains(t, r.compare(promql.Vector{of(5, "a", "new")}).detail, `lacks 1 of 3 elements, such as {a="stays"} 10`)
	assert.Contains(t, r.compare(nil).detail, "no answer")
}

func TestLedger(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	const slack = 30 * time.Second
	// Each letter is an instant, 10s after the one before: b fires on the baseline, c
	// on the candidate, x on both.
	for script, want := range map[string]bool{
		"..........":            false,
		"....xxxx.......":       false,
		"....b.....":            true,
		"..........c..........": true,
		"....bbbxxxcc........":  false,
		"....b..c........":      false,
		"....b...c.......":      true,
		"....c..b........":      false,
		"....xxxxxxxx":          false,
	} {
		var l ledger
		for i, letter := range script + "........" {
			at := start.Add(time.Duration(i) * 10 * time.Second)
			for arm, letters := range [2]string{"bx", "cx"} {
				for _, fires := range letters {
					if fires == letter {
						l.fires(arm, labels.FromStrings("alertname", "A"), at)
					}
				}
			}
			l.settle(at.Add(-slack), slack, true)
		}
		assert.Equal(t, want, l.mismatch != "", "%s: %s", script, l.mismatch)
		assert.Empty(t, l.text, "%s is forgotten", script)
	}
}

func TestTiming(t *testing.T) {
	t.Parallel()
	day := time.Unix(1_700_006_400, 0).UTC()
	s := newTiming(30*time.Second, 5*time.Second)
	assert.Equal(t, timing{interval: 30 * time.Second, lateness: 5 * time.Second, slack: 65 * time.Second, step: 15 * time.Second}, s)
	assert.Equal(t, day.Add(-90*time.Second), s.instant(day))
	assert.Equal(t, day, s.instant(day.Add(65*time.Second)))
	assert.Equal(t, []time.Time{day}, s.instants(time.Time{}, day))
	assert.Equal(t, []time.Time{day.Add(-15 * time.Second), day}, s.instants(day.Add(-30*time.Second), day))
	assert.Len(t, s.instants(day.Add(-24*time.Hour), day), 40)
	assert.Equal(t, 10*time.Second, newTiming(10*time.Second, 0).step)
	assert.Equal(t, 15*time.Second, newTiming(time.Minute, 0).step)
	assert.Equal(t, time.Second, newTiming(0, 0).interval)
}
