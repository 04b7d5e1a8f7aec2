package deadband_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	d "github.com/phoenix-platform/phoenix/internal/sampling/deadband"
)

// Each mutant is a plausible mistake. The judge of the property test must reject every one, or it proves nothing; and it must
// accept the product, and the model without a mistake, on the very same streams.
var mistakes = []string{
	"allows twice the tolerance", "takes the sum of both bounds", "measures against the value sent", "forgets the range",
	"compares with the point before", "sends what it need not",
	"looks at the last door only", "asks whether the door is open", "sends the point that left the door", "invents a point on the line",
	"forgets the heartbeat", "counts the heartbeat from the last point",
	"leaves out the first point", "forgets a reset", "forgets a start change", "forgets a type change", "takes an infinity for a value",
	"sends nothing before a break", "sends nothing before a marker", "leaves out the marker",
	"passes a late point", "passes a duplicate", "waits for a clock that went back",
}

// histogramMutants change what the product is told, or what it answers.
var histogramMutants = map[string]func(filter) filter{
	"looks at the count only": func(f filter) filter {
		return func(p *d.Point, r *d.Rule, before *d.Before) d.Outcome {
			q := *p
			if p.Histogram != nil {
				h := *p.Histogram
				h.Counts = append(make([]uint64, len(h.Counts)-1), h.Count)
				q.Histogram = &h
			}
			return f(&q, r, before)
		}
	},
	"forgets the sum": func(f filter) filter {
		return func(p *d.Point, r *d.Rule, before *d.Before) d.Outcome {
			q := *p
			if p.Histogram != nil {
				h := *p.Histogram
				h.Sum = 0
				q.Histogram = &h
			}
			if p.Exponential != nil {
				e := *p.Exponential
				e.Sum = 0
				q.Exponential = &e
			}
			return f(&q, r, before)
		}
	},
	"takes buckets by position": func(f filter) filter {
		return func(p *d.Point, r *d.Rule, before *d.Before) d.Outcome {
			q := *p
			if p.Exponential != nil {
				e := *p.Exponential
				e.Negative.Offset, e.Scale = 0, 0
				q.Exponential = &e
			}
			return f(&q, r, before)
		}
	},
	"allows twice the tolerance for histograms": func(f filter) filter {
		return func(p *d.Point, r *d.Rule, before *d.Before) d.Outcome {
			loose := *r
			loose.Absolute, loose.Relative = 2*r.Absolute, min(0.99, 2*r.Relative)
			return f(p, &loose, before)
		}
	},
	"forgets what a bucket lost": func(f filter) filter {
		return func(p *d.Point, r *d.Rule, before *d.Before) d.Outcome {
			o := f(p, r, before)
			if o.Reason == d.Reset {
				o.Reason = d.Within
			}
			return o
		}
	},
}

func TestTheJudgeRejectsEveryMutant(t *testing.T) {
	live := func(t *testing.T, streams *rapid.Generator[stream], mutant func() filter) {
		t.Helper()
		for seed := range 4000 {
			if why := check(mutant(), streams.Example(seed)); why != "" {
				t.Logf("rejected by case %d: %s", seed, why)
				return
			}
		}
		require.Fail(t, "the mutant lives")
	}
	require.Len(t, mistakes, 23)
	for _, name := range mistakes {
		t.Run(name, func(t *testing.T) {
			live(t, numbers, func() filter { return (&model{mistake: name}).observe })
		})
	}
	require.Len(t, histogramMutants, 5)
	for name, mutant := range histogramMutants {
		t.Run(name, func(t *testing.T) {
			live(t, histograms, func() filter { return mutant(band()) })
		})
	}
	t.Run("and nothing else", func(t *testing.T) {
		for seed := range 1000 {
			require.Empty(t, check((&model{}).observe, numbers.Example(seed)))
			require.Empty(t, check(band(), numbers.Example(seed)))
			require.Empty(t, check(band(), histograms.Example(seed)))
		}
	})
}

// The model decides as the product does: these streams have no point that rounding decides about.
func TestModelAndBandAgree(t *testing.T) {
	for seed := range 1000 {
		s := numbers.Example(seed)
		f, m := band(), &model{}
		for i := range s.points {
			var got, want d.Before
			require.Equal(t, m.observe(&s.points[i], &s.rule, &want), f(&s.points[i], &s.rule, &got), "stream %d, point %d", seed, i)
			require.Equal(t, want.Sum, got.Sum)
		}
	}
}
