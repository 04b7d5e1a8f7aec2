package experiment

import (
	"cmp"
	"slices"
	"time"
)

// The defaults.
const (
	DefaultInterval    = Duration(30 * time.Second)
	DefaultMaxDuration = Duration(24 * time.Hour)
	DefaultMaxPause    = Duration(24 * time.Hour)
	DefaultDwell       = Duration(10 * time.Minute)

	defaultMinJudged     = 0.9
	defaultTolerance     = 0.01
	defaultMeanTolerance = 0.001
	defaultMaxSeries     = 100_000
	defaultMaxMemoryMiB  = 256
	defaultSlower        = 0.05 // latency and memory are noisy
)

var defaultWeights = []int{1, 5, 25, 50, 100}

// WithDefaults returns the specification with its defaults filled in, the
// built-in guardrails included. It shares nothing that it changed, and doing it
// twice changes nothing more.
func (s Spec) WithDefaults() Spec {
	s.Signal = cmp.Or(s.Signal, SignalMetrics)
	s.Interval = cmp.Or(s.Interval, DefaultInterval)
	s.MaxDuration = cmp.Or(s.MaxDuration, DefaultMaxDuration)
	s.MaxPause = cmp.Or(s.MaxPause, DefaultMaxPause)
	if s.Mode == ModeSplit {
		s.Steps = stepsWithDefaults(s.Steps)
	}
	if s.Fidelity != nil {
		s.Fidelity = s.Fidelity.withDefaults()
	}
	s.Guardrails = s.guardrails()
	s.Schedule = Schedule{NotBefore: plainOrNone(s.Schedule.NotBefore), NotAfter: plainOrNone(s.Schedule.NotAfter)}
	return s
}

func plainOrNone(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return plainTime(t)
}

func stepsWithDefaults(steps []WeightStep) []WeightStep {
	if len(steps) == 0 {
		for _, weight := range defaultWeights {
			steps = append(steps, WeightStep{Weight: weight})
		}
	}
	steps = slices.Clone(steps)
	for i := range steps {
		steps[i].Dwell = cmp.Or(steps[i].Dwell, DefaultDwell)
	}
	return steps
}

func (d Fidelity) withDefaults() *Fidelity {
	d.MinJudged = cmp.Or(d.MinJudged, new(defaultMinJudged))
	d.Tolerance = cmp.Or(d.Tolerance, new(defaultTolerance))
	d.MeanTolerance = cmp.Or(d.MeanTolerance, new(min(defaultMeanTolerance, *d.Tolerance)))
	d.MaxSeries = cmp.Or(d.MaxSeries, defaultMaxSeries)
	d.MaxMemoryMiB = cmp.Or(d.MaxMemoryMiB, defaultMaxMemoryMiB)
	return &d
}

// guardrails lists those that are given, then the built-in ones that no given
// one replaces.
func (s Spec) guardrails() []Guardrail {
	list := slices.Clone(s.Guardrails)
	for i := range list {
		list[i] = list[i].withDefaults()
	}
	for _, measure := range BuiltinMeasures {
		given := slices.ContainsFunc(list, func(g Guardrail) bool { return g.Measure == measure })
		if !given && (measure != MeasureFidelity || s.Fidelity != nil) {
			list = append(list, Guardrail{Measure: measure, Critical: true}.withDefaults())
		}
	}
	return list
}

func (g Guardrail) withDefaults() Guardrail {
	g.Name = cmp.Or(g.Name, string(g.Measure))
	g.Direction = cmp.Or(g.Direction, DirectionIncrease)
	if g.AllowedChange == nil {
		allowed := 0.0
		if g.Measure == MeasureLatency || g.Measure == MeasureMemory {
			allowed = defaultSlower
		}
		g.AllowedChange = &allowed
	}
	return g
}

// MinimumRun is how long the candidate must run without interruption before it
// can be promoted: the longest range and the longest for of the queries, and two
// intervals; MinDuration may make it longer, and nothing shorter.
func (s Spec) MinimumRun() Duration {
	s.Interval = cmp.Or(s.Interval, DefaultInterval)
	run := max(s.MinDuration, plus(s.Interval, max(s.Interval, 0)), 0)
	if s.Fidelity != nil {
		run = max(run, s.Fidelity.LongestRange, s.Fidelity.LongestFor)
	}
	return run
}

// step is the weight step of an index, whatever that is.
func (s Spec) step(i int) WeightStep {
	if len(s.Steps) == 0 {
		return WeightStep{Weight: 100}
	}
	return s.Steps[max(0, min(i, len(s.Steps)-1))]
}

func (s Spec) lastStep() int { return max(0, len(s.Steps)-1) }
