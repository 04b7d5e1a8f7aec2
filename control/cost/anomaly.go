package cost

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Anomaly says how unusual a value is.
type Anomaly struct {
	// Score is the robust z-score, positive above the median, within ±MaxScore.
	Score float64
	// Unusual is set from a score of ±3.5 on.
	Unusual bool
	// Median is that of the same hour of earlier days, Scale what counts as one
	// standard deviation, Days how many days were compared.
	Median, Scale float64
	Days          int
}

const (
	// MaxScore bounds scores: days that are all alike leave nothing to divide by.
	MaxScore = 1000
	minDays  = 7

	// The limit, and the factors that make a median and a mean of absolute
	// deviations estimate the standard deviation of a normal distribution.
	unusualScore  = 3.5
	medianToSigma = 1.4826
	meanToSigma   = 1.2533
)

// Compare compares a value with the same hour, in the time zone of at, of
// earlier days: one value a day, the median of that hour. The score is the
// modified z-score of Iglewicz and Hoaglin ("How to Detect and Handle Outliers",
// 1993): the distance from the median in units of the median absolute deviation,
// which a few unusual days do not widen; if more than half of the days are alike
// the mean absolute deviation takes its place. Noise is one standard error of
// the value itself: less than it is no deviation. Fewer than seven days are not
// enough history.
func Compare(history []Sample, at time.Time, value, noise float64) (Anomaly, error) {
	days := sameHour(history, at)
	if len(days) < minDays {
		return Anomaly{}, fmt.Errorf("%w: %d of %d days have values between %02d:00 and %02d:59", ErrHistory, len(days), minDays, at.Hour(), at.Hour())
	}
	slices.Sort(days)
	a := Anomaly{Days: len(days), Median: median(days)}
	deviations := make([]float64, 0, len(days))
	sum := 0.0
	for _, d := range days {
		deviations = append(deviations, math.Abs(d-a.Median))
		sum += math.Abs(d - a.Median)
	}
	slices.Sort(deviations)
	a.Scale = medianToSigma * median(deviations)
	if a.Scale == 0 {
		a.Scale = meanToSigma * sum / float64(len(days))
	}
	a.Scale = max(a.Scale, noise)
	if distance := value - a.Median; distance != 0 {
		a.Score = max(-MaxScore, min(MaxScore, distance/a.Scale))
	}
	a.Unusual = math.Abs(a.Score) >= unusualScore
	return a, nil
}

// sameHour returns one value for each day before that of at.
func sameHour(history []Sample, at time.Time) []float64 {
	today := at.Format(time.DateOnly)
	byDay := map[string][]float64{}
	for _, s := range history {
		local := s.At.In(at.Location())
		if day := local.Format(time.DateOnly); local.Hour() == at.Hour() && day < today {
			byDay[day] = append(byDay[day], s.Value)
		}
	}
	days := make([]float64, 0, len(byDay))
	for _, values := range byDay {
		slices.Sort(values)
		days = append(days, median(values))
	}
	return days
}
