package verdict

import (
	"math"
	"slices"
	"time"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/stats"
)

// The errors that are shared out. A false rollback has Alpha: half of it is for
// guardrails, in equal parts, and half for criteria that are wrongly refuted. A
// false promotion has the other side of the criteria's intervals.
const (
	// Alpha is the probability of a false rollback over a whole experiment, at most,
	// and Alpha/2 that of a false promotion.
	Alpha = 0.05
	// RatioAlpha is that of a false alarm about the assignment.
	RatioAlpha = 0.001
)

// settling is how many looks are left out where something began or changed: the
// arms' windows fill, and what is under way still goes to the old arm.
const settling = 2

// noiseTime is how long noise of the measurement of an arm stays, at most.
const noiseTime = 25 * time.Minute

// Judge holds what the looks of one experiment have shown so far. It is not safe
// for concurrent use.
type Judge struct {
	mode     experiment.Mode
	steps    int
	noise    float64 // the bound of its correlation between looks
	criteria []experiment.Criterion
	rails    []rail
	wanted   [trackCount]bool // which tracks somebody asks for
	kept
}

// kept is what is stored, with the failures of the rails.
type kept struct {
	head
	tracks [trackCount]track
	units  []unit
}

// head has a fixed size.
type head struct {
	Seq, Epoch uint64
	Step       uint32
	// Settle counts the looks that are still left out.
	Settle uint32
	// Before and After count the looks in the windows of units, Tests the planned
	// comparisons of units so far, and Sides the units of the last one.
	Before, After, Tests uint32
	Sides                [2]uint32
	Effects              [measureCount]effect
	// Ratio is the evidence of the newest test of the assignment, of Units.
	Ratio float64
	Units [2]uint64
}

// New makes the judge of an experiment that has had no look yet. The specification
// is valid.
func New(spec experiment.Spec) *Judge {
	spec = spec.WithDefaults()
	j := &Judge{mode: spec.Mode, steps: len(spec.Steps), noise: noiseBound(spec.Interval.Std()), criteria: spec.Success, rails: railsOf(spec)}
	for i := range j.Effects {
		j.Effects[i] = effect{Criterion: stats.Unknown(), Rail: stats.Unknown()}
	}
	for i, measure := range trackMeasures {
		j.wanted[i] = slices.ContainsFunc(j.rails, func(r rail) bool { return r.Measure == measure }) ||
			slices.ContainsFunc(j.criteria, func(c experiment.Criterion) bool { return c.Measure == measure })
		if measure != experiment.MeasureLatency && measure != experiment.MeasureMemory {
			j.wanted[i] = j.wanted[i] && j.mode == experiment.ModeMirror
		}
	}
	return j
}

// noiseBound is the correlation of noise from one look to the next that falls to
// 1/e in noiseTime, and no less than what 30s give: looks that are far apart may be
// of measurements that are not.
func noiseBound(interval time.Duration) float64 {
	return min(max(stats.MaxCorrelation, math.Exp(-interval.Seconds()/noiseTime.Seconds())), 0.9999)
}

// Look takes in one look and says what all looks so far show.
func (j *Judge) Look(l Look) Evidence {
	late := l.Seq <= j.Seq
	if !late {
		j.Seq = l.Seq
		j.take(l)
	}
	e := Evidence{
		Guardrails: make([]experiment.GuardrailVerdict, 0, len(j.rails)),
		Criteria:   make([]experiment.CriterionVerdict, 0, len(j.criteria)),
	}
	for i := range j.rails {
		e.Guardrails = append(e.Guardrails, j.guardrail(&j.rails[i], l, late))
	}
	for _, c := range j.criteria {
		e.Criteria = append(e.Criteria, j.criterion(c))
	}
	if j.mode == experiment.ModeSplit && !j.alone(l) {
		ratio := j.sampleRatio()
		e.SampleRatio = &ratio
	}
	return e
}

func (j *Judge) take(l Look) {
	if step := uint32(max(l.Step, 0)); l.Epoch != j.Epoch || step != j.Step { //nolint:gosec // a specification has few steps
		j.change(l.Epoch, step)
	}
	if l.Baseline == nil || l.Candidate == nil || j.alone(l) {
		return
	}
	settle := j.Settle > 0
	for i := range j.tracks {
		if j.wanted[i] {
			j.tracks[i].Mean.Bound = j.noise
			j.tracks[i].take(trackMeasures[i], j.mode, l)
		}
	}
	if settle {
		j.Settle--
		return
	}
	for i := range j.rails {
		j.rails[i].takeFailures(j.mode, l)
	}
	if j.mode == experiment.ModeSplit {
		j.takeRatio(l)
		j.takeUnits(l)
	}
}

// alone says whether only one arm has data, as it is meant to be: nothing can be
// compared, and what was found before stays.
func (j *Judge) alone(l Look) bool {
	return j.mode == experiment.ModeSplit && (l.Weight <= 0 || l.Weight >= 100)
}

// change begins another weight, or begins again after a pause.
func (j *Judge) change(epoch uint64, step uint32) {
	moved := step != j.Step
	j.Epoch, j.Step, j.Settle = epoch, step, settling
	j.After = 0
	j.Ratio, j.Units = 0, [2]uint64{}
	for i := range j.units {
		j.units[i].After, j.units[i].SeenAfter, j.units[i].Moved = [measureCount]float32{}, 0, 0
	}
	for i := range j.tracks {
		if j.mode == experiment.ModeSplit && moved {
			j.tracks[i] = track{} // the arms have other units now; railsOf counts the tests
		}
		j.tracks[i].gap()
	}
}
