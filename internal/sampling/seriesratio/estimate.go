package seriesratio

import "math"

// Estimate is the total over all series, estimated from those that were kept.
// The zero value is the total of nothing.
//
// Series are kept independently of one another, each with a known probability π
// (Poisson sampling). For the values y of the kept ones
//
//	total    = Σ y/π                 (Horvitz and Thompson, JASA 47 (1952) 663)
//	variance = Σ (1 − π) (y/π)²      (Särndal, Swensson, Wretman, Model Assisted
//	                                  Survey Sampling, 1992, section 3.5)
//
// Both are unbiased. The variance is that of the choice of series for the given
// values: a value that many series share is estimated well, one that few carry
// is not, and the variance sees only what was kept.
type Estimate struct {
	total, series    sum
	variance, spread sum
	kept             int
}

// sum adds with compensation (Neumaier), so that a total of many series does
// not depend on their order in more than its last digits.
type sum struct {
	value, rest float64
}

func (s *sum) add(v float64) {
	t := s.value + v
	if math.Abs(s.value) >= math.Abs(v) {
		s.rest += (s.value - t) + v
	} else {
		s.rest += (v - t) + s.value
	}
	s.value = t
}

func (s *sum) result() float64 { return s.value + s.rest }

// Add adds the value of a kept series of a ratio. What is not finite is left
// out, and it says so.
func (e *Estimate) Add(value float64, r Ratio) bool {
	if value-value != 0 {
		return false
	}
	count, rest := r.AdjustedCount(), 1-r.Share()
	e.kept++
	e.total.add(value * count)
	e.variance.add(rest * value * count * value * count)
	e.series.add(count)
	e.spread.add(rest * count * count)
	return true
}

// Merge adds what another part of the series came to.
func (e *Estimate) Merge(o *Estimate) {
	e.kept += o.kept
	for _, s := range [...]struct{ to, from *sum }{
		{&e.total, &o.total}, {&e.variance, &o.variance}, {&e.series, &o.series}, {&e.spread, &o.spread},
	} {
		s.to.add(s.from.value)
		s.to.add(s.from.rest)
	}
}

// Kept is the number of series that were added.
func (e *Estimate) Kept() int { return e.kept }

// Total is the estimated sum over all series, Variance its estimated variance.
func (e *Estimate) Total() float64 { return e.total.result() }

// Variance is that of Total, in its unit squared.
func (e *Estimate) Variance() float64 { return max(0, e.variance.result()) }

// StandardError is the square root of Variance.
func (e *Estimate) StandardError() float64 { return math.Sqrt(e.Variance()) }

// Series is the estimated number of all series, and its standard error.
func (e *Estimate) Series() (n, standardError float64) {
	return e.series.result(), math.Sqrt(max(0, e.spread.result()))
}

// Interval is the range in which the total lies with about 95 %. With fewer
// than some thirty series of like size it promises too much.
func (e *Estimate) Interval() (low, high float64) {
	const normal = 1.959963984540054 // the 97.5 % quantile of the normal distribution
	margin := normal * e.StandardError()
	return e.Total() - margin, e.Total() + margin
}
