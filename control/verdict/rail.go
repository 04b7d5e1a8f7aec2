package verdict

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/stats"
)

// rail is a guardrail on a built-in measure.
type rail struct {
	experiment.Guardrail
	allowed, alpha float64
	failures
}

// failures are bets that the candidate fails more often than it may, and less
// often.
type failures struct{ More, Fewer stats.Bets }

func railsOf(spec experiment.Spec) []rail {
	var list []rail
	for _, g := range spec.Guardrails {
		if g.Query == "" && g.Measure != experiment.MeasureFidelity {
			list = append(list, rail{Guardrail: g, allowed: *g.AllowedChange})
		}
	}
	for i := range list {
		list[i].alpha = Alpha / 2 / float64(len(list))
		if m := list[i].Measure; spec.Mode == experiment.ModeSplit && (m == experiment.MeasureLatency || m == experiment.MeasureMemory) {
			list[i].alpha /= float64(len(spec.Steps)) // each weight step has a test of its own
		}
	}
	return list
}

func (r *rail) counts() bool {
	return r.Measure == experiment.MeasureErrors || r.Measure == experiment.MeasureRefused
}

// takeFailures bets on whose the failed batches of this look are. Each arm's fair
// share is its part of all batches; batches of a split may be of different sizes,
// and a larger one fails more often, at most by as much as it is larger. Of a unit
// that always fails nothing is known here: its arm fails.
func (r *rail) takeFailures(mode experiment.Mode, l Look) {
	if !r.counts() {
		return
	}
	b, c := *l.Baseline, *l.Candidate
	failedB, failedC := b.failed(r.Measure), c.failed(r.Measure)
	all := failedB + failedC
	if !(b.Batches > 0 && c.Batches > 0 && all > 0) {
		return
	}
	scale := 1.0
	if mode == experiment.ModeSplit {
		if s := load(l, true); s > 0 {
			scale = s
		}
	}
	may := c.Batches * max(1, scale) * (1 + r.allowed)
	r.More.Add(failedC/all, may/(may+b.Batches))
	must := c.Batches * min(1, scale) * (1 - r.allowed)
	r.Fewer.Add(failedB/all, b.Batches/(must+b.Batches))
}

// failed counts the batches that failed, or those of them that were refused, by
// their share of the points.
func (c Counts) failed(m experiment.Measure) float64 {
	lost := max(c.Refused, 0) + max(c.Failed, 0)
	batches := max(c.FailedBatches, 0)
	if lost > 0 && batches == 0 {
		batches = 1
	}
	batches = min(batches, c.Batches)
	if m == experiment.MeasureRefused {
		if lost == 0 {
			return 0
		}
		batches *= max(c.Refused, 0) / lost
	}
	return batches
}

// guardrail is the verdict on a guardrail after a look, or after those before it if
// the look was late.
func (j *Judge) guardrail(r *rail, l Look, late bool) experiment.GuardrailVerdict {
	v := experiment.GuardrailVerdict{Name: r.Name, Verdict: experiment.VerdictUndecided}
	known := func(of func(c Counts) bool) bool {
		return late || j.alone(l) || l.Baseline != nil && l.Candidate != nil && of(*l.Baseline) && of(*l.Candidate)
	}
	data := false
	switch {
	case r.counts():
		data = known(func(c Counts) bool { return c.Batches > 0 })
		j.judgeFailures(r, &v)
	case j.mode == experiment.ModeSplit && r.Measure == experiment.MeasureCost:
		data = known(func(Counts) bool { return true })
		j.judgeUnits(r, &v)
	default:
		data = known(func(c Counts) bool { return value(c, r.Measure) > 0 })
		j.judgeTrack(r, &v)
	}
	if !data && v.Verdict != experiment.VerdictBreached {
		return experiment.GuardrailVerdict{Name: r.Name, Verdict: experiment.VerdictNoData}
	}
	return v
}

// conclude sets the verdict from the evidence, a logarithm, and from what is
// estimated.
func (r *rail) conclude(v *experiment.GuardrailVerdict, evidence float64, change stats.Interval) {
	v.Change = estimate(change)
	v.Evidence, v.Limit = experiment.Number(math.Exp(min(evidence, 600))), experiment.Number(1/r.alpha)
	lower, upper := r.bounds()
	switch {
	case evidence >= -math.Log(r.alpha):
		v.Verdict = experiment.VerdictBreached
	case change.Within(lower, upper):
		v.Verdict = experiment.VerdictOK
	}
}

// bounds are between which changes the guardrail holds.
func (r *rail) bounds() (lower, upper float64) {
	lower, upper = math.Inf(-1), math.Inf(1)
	if r.Direction != experiment.DirectionDecrease {
		upper = r.allowed
	}
	if r.Direction != experiment.DirectionIncrease {
		lower = -r.allowed
	}
	return lower, upper
}

// side is the error of one bound.
func (r *rail) side() float64 {
	if r.Direction == experiment.DirectionEither {
		return r.alpha / 2
	}
	return r.alpha
}

// either picks the evidence of a direction; of both directions it is the mean of
// the e-values.
func (r *rail) either(more, fewer float64) float64 {
	switch r.Direction {
	case experiment.DirectionIncrease:
		return more
	case experiment.DirectionDecrease:
		return fewer
	case experiment.DirectionEither:
	}
	top := max(more, fewer)
	return top + math.Log((math.Exp(more-top)+math.Exp(fewer-top))/2)
}

func (j *Judge) judgeFailures(r *rail, v *experiment.GuardrailVerdict) {
	v.Units = uint64(r.More.Count)
	if r.More.Count == 0 {
		v.Verdict, v.Limit, v.Evidence = experiment.VerdictOK, experiment.Number(1/r.alpha), 1
		return
	}
	odds := r.More.Odds(r.side())
	change := stats.Interval{Value: odds.Value*(1+r.allowed) - 1, Lower: odds.Lower*(1+r.allowed) - 1, Upper: odds.Upper*(1+r.allowed) - 1}
	r.conclude(v, r.either(r.More.Against(), r.Fewer.Against()), change)
}

func (j *Judge) judgeTrack(r *rail, v *experiment.GuardrailVerdict) {
	t := j.track(r.Measure)
	v.Units = t.Mean.Count
	if t.Mean.Count == 0 && j.mode == experiment.ModeSplit {
		v.Note = "not compared: the points that the arms were given are not known"
	}
	change := t.change(r.side())
	bound := func(c float64) float64 { return toDifference(max(c, -1)) }
	evidence := r.either(t.Mean.AgainstAtMost(bound(r.allowed)), t.Mean.AgainstAtLeast(bound(-r.allowed)))
	if lower, upper := r.bounds(); t.Doubt > 0 && change.Lower <= upper && change.Upper >= lower {
		evidence = min(evidence, 0) // within what the measurement itself may be wrong by
	}
	r.conclude(v, evidence, change)
}

func (j *Judge) track(m experiment.Measure) *track {
	for i, measure := range trackMeasures {
		if measure == m {
			return &j.tracks[i]
		}
	}
	return &track{}
}

func (j *Judge) judgeUnits(r *rail, v *experiment.GuardrailVerdict) {
	change, known := j.unitChange(experiment.MeasureCost, func(e effect) stats.Interval { return e.Rail })
	v.Units, v.Note = j.unitCount(), j.unitNote()
	if !known {
		return
	}
	v.Change = estimate(change)
	switch lower, upper := r.bounds(); {
	case change.Lower > upper || change.Upper < lower:
		v.Verdict = experiment.VerdictBreached
	case change.Within(lower, upper):
		v.Verdict = experiment.VerdictOK
	}
}

func estimate(v stats.Interval) experiment.Estimate {
	return experiment.Estimate{Value: experiment.Number(v.Value), Lower: experiment.Number(v.Lower), Upper: experiment.Number(v.Upper)}
}

func normalQuantile(alpha float64) float64 { return -distuv.UnitNormal.Quantile(alpha) }

// criterion is the verdict on a criterion.
func (j *Judge) criterion(c experiment.Criterion) experiment.CriterionVerdict {
	v := experiment.CriterionVerdict{Measure: c.Measure, Verdict: experiment.VerdictNoData}
	var change stats.Interval
	if j.mode == experiment.ModeSplit {
		known := false
		change, known = j.unitChange(c.Measure, func(e effect) stats.Interval { return e.Criterion })
		v.Units, v.Note = j.unitCount(), j.unitNote()
		if !known {
			if len(j.units) > 0 {
				v.Verdict = experiment.VerdictUndecided
			}
			return v
		}
	} else {
		t := j.track(c.Measure)
		if v.Units = t.Mean.Count; t.Mean.Count == 0 {
			return v
		}
		change = t.change(j.criterionAlpha())
	}
	v.Verdict = experiment.VerdictUndecided
	v.Saving = experiment.Estimate{
		Value: experiment.Number(-change.Value), Lower: experiment.Number(-change.Upper), Upper: experiment.Number(-change.Lower),
	}
	switch {
	case -change.Upper >= c.AtLeast:
		v.Verdict = experiment.VerdictMet
	case -change.Lower < c.AtLeast:
		v.Verdict = experiment.VerdictRefuted
	}
	return v
}

// criterionAlpha is the error of one side of the interval of a criterion.
func (j *Judge) criterionAlpha() float64 { return Alpha / 2 / float64(max(len(j.criteria), 1)) }

// sampleRatio is the verdict on the assignment.
func (j *Judge) sampleRatio() experiment.SampleRatio {
	v := experiment.SampleRatio{
		Verdict: experiment.VerdictUndecided, PValue: experiment.Number(min(1, math.Exp(-j.Ratio))), Baseline: j.Units[0], Candidate: j.Units[1],
	}
	switch {
	case j.ratioBreached():
		v.Verdict = experiment.VerdictBreached
	case min(j.Units[0], j.Units[1]) >= stats.MinUnits:
		v.Verdict = experiment.VerdictOK
	}
	return v
}

// ratioBreached: each weight step is a test of its own.
func (j *Judge) ratioBreached() bool {
	return j.Ratio >= math.Log(float64(max(j.steps, 1))/RatioAlpha)
}

func (j *Judge) takeRatio(l Look) {
	if l.RouterUnits == [2]uint64{} {
		return
	}
	j.Units = l.RouterUnits
	j.Ratio = stats.SampleRatio(l.RouterUnits[0], l.RouterUnits[1], float64(l.Weight)/100)
}

func (j *Judge) unitCount() uint64 { return uint64(j.Sides[0]) + uint64(j.Sides[1]) }

func (j *Judge) unitNote() string {
	if min(j.Sides[0], j.Sides[1]) >= stats.MinUnits {
		return ""
	}
	return fmt.Sprintf("%d and %d units are compared, at least %d of each arm are needed", j.Sides[0], j.Sides[1], stats.MinUnits)
}
