package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/phoenix-platform/phoenix/control/verdict"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

// levels are how many series units have: the same ones all day.
type levels string

const (
	lognormal levels = "lognormal" // σ = 1.5: a mean of three times the median
	pareto    levels = "pareto"    // of shape 1.2: no variance, a few units are most of the bill
)

func (l levels) draw(rng *rand.Rand) float64 {
	if l == pareto {
		return 50 / math.Pow(1-rng.Float64(), 1/1.2)
	}
	return 200 * math.Exp(1.5*rng.NormFloat64())
}

// wave is noise that stays for a while: an autoregression of the first order.
type wave struct{ stays, fresh, now float64 }

func newWave(rng *rand.Rand, stays, deviation float64) wave {
	return wave{stays, deviation * math.Sqrt(1-stays*stays), deviation * rng.NormFloat64()}
}

// next is a factor around 1: the first terms of an exponential function, which are
// positive for the deviations that occur, and cheap.
func (w *wave) next(rng *rand.Rand) float64 { return w.scaled(rng, 1) }

// scaled is next with so many times the deviation.
func (w *wave) scaled(rng *rand.Rand, by float64) float64 {
	w.now = w.stays*w.now + w.fresh*rng.NormFloat64()
	x := w.now * by
	return 1 + x*(1+x*(0.5+x/6))
}

// source is one unit: a level, a share of it that comes and goes with the day, and
// noise of its own.
type source struct {
	hash           uint64
	level, swing   float64
	series, points wave
	candidate      bool
}

// fleet is what one simulated run measures.
type fleet struct {
	rng     *rand.Rand
	c       setting
	sources []source
	units   []verdict.UnitLook // the buffer of a look
	arms    [2]arm
}

// arm is the noise of an arm's own measurements.
type arm struct{ series, points, latency, memory wave }

func newFleet(c setting, rng *rand.Rand) *fleet {
	f := &fleet{rng: rng, c: c}
	for range c.units {
		f.sources = append(f.sources, source{
			hash: rng.Uint64(), level: c.levels.draw(rng), swing: 0.5 * rng.Float64(),
			series: newWave(rng, 0.8, 0.1), points: newWave(rng, 0.9, 0.05),
		})
	}
	slices.SortFunc(f.sources, func(a, b source) int { return cmp.Compare(a.hash, b.hash) })
	for i := range f.arms {
		f.arms[i] = arm{newWave(rng, 0.8, 0.002*c.noise), newWave(rng, 0.5, 0.01*c.noise), newWave(rng, 0.9, 0.15*c.noise), newWave(rng, 0.95, 0.03*c.noise)}
	}
	return f
}

// assign gives each unit to an arm, as the router does.
func (f *fleet) assign(weight int) (units [2]uint64) {
	for i := range f.sources {
		s := &f.sources[i]
		if s.candidate = routing.Candidate(s.hash, weight); s.candidate {
			units[1]++
		} else {
			units[0]++
		}
	}
	return units
}

// Every look has this many batches an arm and points a series.
const (
	batches         = 30
	pointsPerSeries = 10
)

// look measures both arms once. day is the time of day as a fraction.
func (f *fleet) look(day float64) (counts [2]verdict.Counts, units []verdict.UnitLook) {
	f.units = f.units[:0]
	sun := math.Sin(2 * math.Pi * day)
	var given [2]float64
	for i := range f.sources {
		s := &f.sources[i]
		series := math.Round(s.level * (1 + s.swing*sun) * s.series.next(f.rng))
		points := math.Round(series * pointsPerSeries * s.points.next(f.rng))
		if f.c.mirror() {
			given[0], given[1] = given[0]+points, given[1]+points
			counts[0].Series += series
			counts[1].Series += series * f.c.effect
			continue
		}
		side, factor := 0, 1.0
		if s.candidate {
			side, factor = 1, f.c.effect
		}
		given[side] += points
		counts[side].Series += series * factor
		out := math.Round(points * factor)
		f.units = append(f.units, verdict.UnitLook{Unit: s.hash, Candidate: s.candidate, Series: math.Round(series * factor), Points: out, Bytes: 90 * out})
	}
	for side := range counts {
		f.measure(side, given[side], 1+0.6*sun, &counts[side])
	}
	f.fail(&counts)
	return counts, f.units
}

// measure fills in what follows from an arm's series, and points that it was given.
// How noisy that is changes with the time of day: four times between night and noon.
func (f *fleet) measure(side int, given, noisy float64, c *verdict.Counts) {
	a := &f.arms[side]
	slower, effect, price := 1.0, 1.0, 1.0
	if side == 1 {
		slower, effect, price = f.c.slower, f.c.effect, f.c.price
	}
	c.Given, c.Batches = given, batches
	c.Series *= a.series.scaled(f.rng, noisy)
	c.CostMicros = 9000 * price * c.Series
	c.Points = given * effect * a.points.scaled(f.rng, noisy)
	c.Bytes = 90 * c.Points
	c.Latency = seconds(slower * (0.002 + 20e-9*given/batches) * a.latency.scaled(f.rng, noisy))
	c.MemoryBytes = slower * (1e6 + 300*c.Series/effect) * a.memory.scaled(f.rng, noisy)
}

// fail loses batches: now and then one of an arm alone, and more of both when the
// backend has a bad time. Half of what is lost was refused.
func (f *fleet) fail(counts *[2]verdict.Counts) {
	outage := 0.0
	if f.rng.Float64() < 0.01 {
		outage = 0.3 * f.rng.Float64()
	}
	for side := range counts {
		c := &counts[side]
		if f.rng.Float64() < 0.03 {
			c.FailedBatches++
		}
		if outage > 0 {
			for range batches {
				if f.rng.Float64() < outage {
					c.FailedBatches++
				}
			}
		}
		c.FailedBatches = min(c.FailedBatches, batches)
		each := c.Given / batches
		for range int(c.FailedBatches) {
			if f.rng.Float64() < 0.5 {
				c.Refused += each
			} else {
				c.Failed += each
			}
		}
	}
}
