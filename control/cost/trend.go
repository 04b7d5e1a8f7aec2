package cost

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Sample is a value at a time: a number of series, or an amount.
type Sample struct {
	At    time.Time
	Value float64
}

// Observation is one entry of the history of series.
type Observation struct {
	At time.Time
	// Series is the number of active series, New how many were first seen since
	// the observation before.
	Series, New uint64
}

// Trend is a straight line through samples.
type Trend struct {
	// Middle is the median of the times, Level the value of the line there.
	Middle time.Time
	Level  float64
	// PerDay is the slope.
	PerDay Range[float64]
}

// Forecast is where a trend leads.
type Forecast struct {
	At time.Time
	// Series is the value of the line of active series, not below 0. Its interval
	// is that of the line; single values scatter around it.
	Series Range[float64]
	// NetPerDay is the slope of active series, NewPerDay that of first-seen
	// counts: what growth would be if no series ended. Unlike the number of active
	// series, first-seen counts are exact in large metrics too.
	NetPerDay, NewPerDay Range[float64]
}

// ErrHistory is wrapped by errors that say how much history is missing.
var ErrHistory = errors.New("not enough history")

const (
	minTrend     = 8   // samples: the interval of fewer leaves out next to no slope
	maxTrend     = 500 // samples: 124,750 slopes
	reach        = 4   // a forecast reaches as many times the span of its history
	sigmas95     = 1.96
	hoursOfDay   = 24
	secondsOfDay = hoursOfDay * 3600
)

// Extrapolate says how many series there will be if growth goes on in a straight
// line. It needs eight observations at least, over a quarter at least of the
// time ahead.
func Extrapolate(history []Observation, at time.Time) (Forecast, error) {
	history = slices.Clone(history)
	slices.SortFunc(history, func(a, b Observation) int { return a.At.Compare(b.At) })
	series, first := make([]Sample, 0, len(history)), make([]Sample, 0, len(history))
	seen := 0.0
	for i, o := range history {
		if i > 0 { // what the first is new against is not in the history
			seen += float64(o.New)
		}
		series = append(series, Sample{o.At, float64(o.Series)})
		first = append(first, Sample{o.At, seen})
	}
	net, err := TheilSen(series)
	if err != nil {
		return Forecast{}, err
	}
	gross, err := TheilSen(first)
	if err != nil {
		return Forecast{}, err
	}
	begin, end := history[0].At, history[len(history)-1].At
	if ahead, span := at.Sub(end), end.Sub(begin); ahead > reach*span {
		return Forecast{}, fmt.Errorf("%w: %s of it do not reach %s ahead, %s would", ErrHistory, span, ahead, ahead/reach)
	}
	return Forecast{At: at, Series: net.At(at).atLeast(0), NetPerDay: net.PerDay, NewPerDay: gross.PerDay}, nil
}

// TheilSen fits a line: its slope is the median of the slopes between all pairs
// of samples, so that a deployment or an outage does not bend it as long as less
// than 29 % of the samples are off (Theil 1950; Sen, "Estimates of the Regression
// Coefficient Based on Kendall's Tau", JASA 63, 1968). The interval is Sen's, of
// 95 % if samples scatter independently; the noise of real series is correlated,
// which makes it too narrow. More than 500 samples are thinned to medians.
func TheilSen(samples []Sample) (Trend, error) {
	samples = thin(samples)
	n := len(samples)
	if n < minTrend {
		return Trend{}, fmt.Errorf("%w: %d of %d samples", ErrHistory, n, minTrend)
	}
	middle := samples[n/2].At
	var slopes []float64
	for i, a := range samples {
		for _, b := range samples[:i] {
			if days := a.At.Sub(b.At).Seconds() / secondsOfDay; days > 0 {
				slopes = append(slopes, (a.Value-b.Value)/days)
			}
		}
	}
	if len(slopes) == 0 {
		return Trend{}, fmt.Errorf("%w: all samples are of one time", ErrHistory)
	}
	slices.Sort(slopes)
	// The number of slopes that Kendall's statistic leaves out at both ends.
	margin := sigmas95 * math.Sqrt(float64(n)*float64(n-1)*float64(2*n+5)/18)
	rank := func(r float64) float64 {
		return slopes[min(max(int(math.Round(r)), 0), len(slopes)-1)]
	}
	pairs := float64(len(slopes))
	t := Trend{Middle: middle, PerDay: Range[float64]{
		Low: rank((pairs-margin)/2 - 1), Expected: median(slopes), High: rank((pairs + margin) / 2),
	}}
	levels := make([]float64, 0, n)
	for _, s := range samples {
		levels = append(levels, s.Value-t.PerDay.Expected*s.At.Sub(middle).Seconds()/secondsOfDay)
	}
	slices.Sort(levels)
	t.Level = median(levels)
	return t, nil
}

// At is the value of the line at a time.
func (t Trend) At(at time.Time) Range[float64] {
	days := at.Sub(t.Middle).Seconds() / secondsOfDay
	r := Range[float64]{t.Level + t.PerDay.Low*days, t.Level + t.PerDay.Expected*days, t.Level + t.PerDay.High*days}
	if days < 0 {
		r.Low, r.High = r.High, r.Low
	}
	return r
}

func (r Range[T]) atLeast(least T) Range[T] {
	return Range[T]{max(r.Low, least), max(r.Expected, least), max(r.High, least)}
}

// thin sorts samples by time and makes medians of neighbours when there are too
// many.
func thin(samples []Sample) []Sample {
	samples = slices.Clone(samples)
	slices.SortStableFunc(samples, func(a, b Sample) int { return a.At.Compare(b.At) })
	if len(samples) <= maxTrend {
		return samples
	}
	var thinned []Sample
	for chunk := range slices.Chunk(samples, (len(samples)+maxTrend-1)/maxTrend) {
		values := make([]float64, 0, len(chunk))
		for _, s := range chunk {
			values = append(values, s.Value)
		}
		slices.Sort(values)
		thinned = append(thinned, Sample{chunk[len(chunk)/2].At, median(values)})
	}
	return thinned
}

// median is that of sorted values, of which there is one at least.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Forecast is what a month costs if the usage grows as forecast, all of it alike.
func (m Model) Forecast(u Usage, f Forecast) Range[Money] {
	now := float64(max(u.Series(), 1))
	month := func(series float64) Money { return m.Price(u.Grown(series / now)).Month }
	return Range[Money]{month(f.Series.Low), month(f.Series.Expected), month(f.Series.High)}
}
