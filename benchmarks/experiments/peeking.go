package main

import (
	"math"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/verdict"
)

// peeking is the judge that everybody would write first: a t-test at 5 % at each
// look, of units less their pre-period (split), or of the looks (mirror). It is the
// negative control: the measure that this simulation applies must refuse it.
type peeking struct {
	criteria []experiment.Criterion
	mirror   bool
	units    map[uint64]*past
	looks    moments
}

// past is what was seen of a unit at the first weight and at the present one.
type past struct {
	before, after float64
	first, moved  bool
}

func newPeeking(spec experiment.Spec) *peeking {
	return &peeking{criteria: spec.Success, mirror: spec.Mode == experiment.ModeMirror, units: map[uint64]*past{}}
}

// Look implements judge.
func (p *peeking) Look(l verdict.Look) verdict.Evidence {
	t := 0.0
	switch {
	case p.mirror:
		p.looks.add(math.Log(l.Candidate.Series / l.Baseline.Series))
		t = p.looks.mean / math.Sqrt(p.looks.variance()/p.looks.n)
	case l.Weight < 100:
		t = p.compare(l)
	}
	if math.IsNaN(t) {
		t = 0
	}
	const critical = 1.645
	e := verdict.Evidence{SampleRatio: &experiment.SampleRatio{Verdict: experiment.VerdictOK}}
	rail := experiment.GuardrailVerdict{Name: string(experiment.MeasureCost), Verdict: experiment.VerdictUndecided}
	if t > critical {
		rail.Verdict = experiment.VerdictBreached
	}
	e.Guardrails = append(e.Guardrails, rail)
	for _, c := range p.criteria {
		v := experiment.CriterionVerdict{Measure: c.Measure, Verdict: experiment.VerdictUndecided}
		if t < -critical {
			v.Verdict = experiment.VerdictMet
		}
		e.Criteria = append(e.Criteria, v)
	}
	return e
}

// compare is Welch's t of the logarithms of what units sent, less those of their
// pre-period.
func (p *peeking) compare(l verdict.Look) float64 {
	for _, u := range l.Units {
		seen := p.units[u.Unit]
		if seen == nil {
			seen = &past{}
			p.units[u.Unit] = seen
		}
		if l.Step == 0 {
			seen.before += u.Series
			seen.first = seen.first || u.Candidate
			continue
		}
		seen.after += u.Series
		seen.moved = u.Candidate
	}
	var arms [2]moments
	for _, u := range l.Units { // in a fixed order
		if seen := p.units[u.Unit]; l.Step > 0 && !seen.first && seen.before > 0 && seen.after > 0 {
			side := 0
			if seen.moved {
				side = 1
			}
			arms[side].add(math.Log(seen.after / seen.before))
		}
	}
	return (arms[1].mean - arms[0].mean) / math.Sqrt(arms[0].variance()/arms[0].n+arms[1].variance()/arms[1].n)
}

// moments are the mean and the sum of squares around it (Welford 1962).
type moments struct{ n, mean, squares float64 }

func (m *moments) add(x float64) {
	m.n++
	d := x - m.mean
	m.mean += d / m.n
	m.squares += d * (x - m.mean)
}

func (m *moments) variance() float64 { return m.squares / (m.n - 1) }
