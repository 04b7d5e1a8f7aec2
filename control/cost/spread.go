package cost

import (
	"math"
	"time"
)

// saving returns the line of the bill after the changes, and the least and the
// most that the component then costs less.
func (c component) saving(changes []change, a Assumptions) (line Line, least, most Money) {
	after := c.before
	var saved spread
	for _, one := range changes {
		was, is := c.of(one.item), c.after(one, one.after.Value, a)
		after = after.minus(was).plus(is)
		saved.add(c.tariff, one, was, a)
	}
	quantity := c.quantity(after)
	line = Line{Component: c.Name, Quantity: quantity, Billed: quantity - min(quantity, c.free()), Month: c.price(quantity)}
	if saved == (spread{}) {
		return line, 0, 0
	}
	margin := Confidence95 * math.Sqrt(c.variance)
	low, high := c.before, c.before
	low.quantity = toUint(float64(c.before.quantity) - margin)
	high.quantity = toUint(float64(c.before.quantity) + margin)
	least, most = c.extremes(low, high, saved)
	return line, least, most
}

// slope is how much one series more adds to the quantity as it is. Samples are
// counted, not derived from series.
func (t tariff) slope(metricType string) float64 {
	switch t.Kind {
	case KindActiveSeries:
		return 1
	case KindCustomMetrics:
		return float64(t.aggregations(metricType, false))
	case KindSamples, KindIngestedBytes, KindHosts, KindFee:
	}
	return 0
}

// after is what the item brings when so many of its series stay.
func (t tariff) after(c change, series uint64, a Assumptions) load {
	samples := c.item.samples(t.hours)
	stay := float64(samples)
	if series < c.item.Series {
		stay *= float64(series) / float64(c.item.Series)
	}
	if a.Interval > 0 && c.item.Series > 0 {
		stay = float64(series) * float64(t.hours) * float64(time.Hour) / float64(a.Interval)
	}
	return t.load(c.item.Type, series, min(samples, toUint(stay)), true)
}

// span is how much less of a load there is: from low to high as far as counts
// can say, with the variance of sketches on top. Floor is what it is if no
// series goes, ceiling if all go. It may be negative.
type span struct{ low, high, floor, ceiling, variance float64 }

// spread holds the spans of both parts of a load.
type spread struct{ quantity, samples span }

// add adds a change.
func (s *spread) add(t tariff, c change, was load, a Assumptions) {
	best, worst, whole := t.after(c, c.after.Min, a), t.after(c, c.after.Max, a), t.after(c, c.item.Series, a)
	s.quantity.add(was.quantity, best.quantity, worst.quantity, whole.quantity)
	s.samples.add(was.samples, best.samples, worst.samples, whole.samples)

	// One series more or less among those that stay adds its part of the load.
	// That of one among those before is known for series; of samples only the
	// share that stays is uncertain.
	quantity, samples := perSeries(t, c, a)
	stay := float64(c.after.Max) / float64(max(c.item.Series, 1))
	before := t.slope(c.item.Type)
	if before == 0 {
		before = quantity * stay
	}
	s.quantity.variance += square(before*c.item.StandardError) + square(quantity*c.after.StandardError)
	s.samples.variance += square(samples*stay*c.item.StandardError) + square(samples*c.after.StandardError)
}

// perSeries is what one series that stays brings, the most of what it can be.
func perSeries(t tariff, c change, a Assumptions) (quantity, samples float64) {
	for _, series := range []uint64{c.after.Min, c.after.Value, c.after.Max} {
		if l := t.after(c, series, a); series > 0 {
			quantity = max(quantity, float64(l.quantity)/float64(series))
			samples = max(samples, float64(l.samples)/float64(series))
		}
	}
	return quantity, samples
}

func (s *span) add(was, best, worst, whole uint64) {
	s.low += float64(was) - float64(worst)
	s.high += float64(was) - float64(best)
	s.floor += float64(was) - float64(whole)
	s.ceiling += float64(was)
}

func (s span) ends() (low, high float64) {
	margin := Confidence95 * math.Sqrt(s.variance)
	low, high = s.low-margin, s.high+margin
	if s.floor >= 0 {
		low = max(low, s.floor)
	}
	return low, max(low, min(high, s.ceiling+margin))
}

// extremes are the least and the most that a component can cost less, for a load
// between low and high and any saving within the spread. Price is straight
// between its bends, so they are where the load, or what stays of it, is at an
// end or at a bend.
func (t tariff) extremes(low, high load, saved spread) (least, most Money) {
	from, to := float64(t.quantity(low)), float64(t.quantity(high))
	savedLow, savedHigh := t.billedSaving(low, high, saved)
	least, most = math.MaxInt64, math.MinInt64
	try := func(before, fewer float64) {
		fewer = min(max(fewer, savedLow), savedHigh)
		less := t.price(toUint(before)).minus(t.price(toUint(before - fewer)))
		least, most = min(least, less), max(most, less)
	}
	bends := t.bends()
	befores := []float64{from, to}
	for _, bend := range bends {
		for _, before := range []float64{float64(bend), float64(bend) + savedLow, float64(bend) + savedHigh} {
			if before > from && before < to {
				befores = append(befores, before)
			}
		}
	}
	for _, before := range befores {
		try(before, savedLow)
		try(before, savedHigh)
		for _, bend := range bends {
			try(before, before-float64(bend))
		}
	}
	return least, most
}

// billedSaving is the least and the most that the billed quantity falls. It is
// that of the load, unless active series include only so many samples: then what
// is billed may turn from samples to series or back. What it falls by rises with
// both savings; over the series before it has one valley, where series and
// samples bill alike, and the floor of that is reached at one of the ends, too.
func (t tariff) billedSaving(low, high load, saved spread) (least, most float64) {
	quantityLow, quantityHigh := saved.quantity.ends()
	if t.IncludedDPM == 0 {
		return quantityLow, quantityHigh
	}
	samplesLow, samplesHigh := saved.samples.ends()
	least, most = math.Inf(1), math.Inf(-1)
	samples := float64(t.asSeries(low.samples))
	for _, quantity := range []float64{quantityLow, quantityHigh} {
		for _, fewer := range []float64{samplesLow, samplesHigh} {
			stay := float64(t.asSeries(toUint(float64(low.samples) - fewer)))
			for _, before := range []float64{float64(low.quantity), float64(high.quantity)} {
				less := max(before, samples) - max(before-quantity, stay)
				least, most = min(least, less), max(most, less)
			}
		}
	}
	return least, most
}
