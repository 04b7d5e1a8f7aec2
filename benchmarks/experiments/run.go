package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/verdict"
)

// interval is the time between looks. A day has 288 of them.
const interval = 5 * time.Minute

var began = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

// setting is what the runs of one row of the table have in common.
type setting struct {
	mode   experiment.Mode
	units  int
	levels levels
	truth
	peeking bool
}

// truth is what the candidate really does, and what is demanded of it.
type truth struct {
	name string
	// effect is the factor on series, points, bytes and cost, slower that on latency
	// and memory, and price a further one on cost.
	effect, slower, price float64
	atLeast               float64
	// noise is the factor on the noise of what is measured of an arm.
	noise float64
	// right is the phase in which it ought to end; none: both a rollback and a
	// promotion are wrong.
	right experiment.Phase
}

const effectSize = 0.05

// The demand of 0.01 % makes both a rollback and a promotion of equal arms wrong. In
// costly only the guardrail can tell; still is a mirror whose arms see the same
// points at nearly the same time.
var (
	same    = truth{name: "same", effect: 1, slower: 1, price: 1, atLeast: 1e-4, noise: 1}
	edge    = truth{name: "edge", effect: 1 - effectSize, slower: 1.05, price: 1, atLeast: effectSize, noise: 1}
	dearer  = truth{name: "dearer", effect: 1 + effectSize, slower: 1, price: 1, atLeast: 1e-4, noise: 1, right: experiment.PhaseRolledBack}
	cheaper = truth{name: "cheaper", effect: 1 - effectSize, slower: 1, price: 1, atLeast: 1e-4, noise: 1, right: experiment.PhasePromoted}
	costly  = truth{name: "costly", effect: 1 - effectSize, slower: 1, price: 1.05 / (1 - effectSize), atLeast: effectSize, noise: 1, right: experiment.PhaseRolledBack}
	still   = truth{name: "still", effect: 1 - effectSize, slower: 1, price: 1, atLeast: 1e-4, noise: 0.05, right: experiment.PhasePromoted}
)

func (c setting) mirror() bool { return c.mode == experiment.ModeMirror }

func (c setting) String() string {
	name := fmt.Sprintf("%s %d %s %s", c.mode, c.units, c.levels, c.name)
	if c.peeking {
		name += " peeking"
	}
	return name
}

func (c setting) spec() experiment.Spec {
	s := experiment.Spec{
		ID: "default/simulated", Mode: c.mode, Scope: map[string]string{"service.name": "shop"},
		Rules:    []policy.Rule{{Name: "pods", Match: policy.Match{Metric: "*"}, Attributes: policy.Attributes{Drop: []string{"point.pod"}}}},
		Success:  []experiment.Criterion{{Measure: experiment.MeasureSeries, AtLeast: c.atLeast}, {Measure: experiment.MeasureBytes, AtLeast: c.atLeast}},
		Interval: experiment.Duration(interval), MaxDuration: experiment.Duration(24 * time.Hour),
	}
	if !c.mirror() {
		s.Unit = experiment.Unit{Kind: experiment.UnitResource}
		s.Steps = c.steps()
	}
	return s
}

// steps leave three hours of pre-period, and most of the day to the weight at which
// most is seen.
func (c setting) steps() []experiment.WeightStep {
	hours := func(h float64) experiment.Duration { return experiment.Duration(h * float64(time.Hour)) }
	first := 5
	if c.units < 50 {
		first = 25
	}
	return []experiment.WeightStep{{Weight: first, Dwell: hours(3)}, {Weight: 50, Dwell: hours(20)}, {Weight: 100, Dwell: hours(0.5)}}
}

// promise is what part of the runs reaches the right verdict, and by when half of all
// runs do; the published table has both.
type promise struct {
	share float64
	half  time.Duration
}

func (c setting) promised() promise {
	switch {
	case c.name == still.name:
		return promise{0.99, 4 * time.Hour}
	case c.mirror() && c.right == experiment.PhaseRolledBack:
		return promise{0.95, 12 * time.Hour}
	case c.mirror():
		return promise{0.8, 20 * time.Hour}
	case c.units >= 500:
		return promise{0.95, 5 * time.Hour}
	}
	return promise{0.4, 24 * time.Hour}
}

// judge is what turns looks into verdicts.
type judge interface {
	Look(l verdict.Look) verdict.Evidence
}

// outcome is how a run ended.
type outcome struct {
	phase experiment.Phase
	// found is when the verdict that is right was reached first: a breach, a criterion
	// refuted, or all criteria met; negative if never.
	found time.Duration
	// cause is the first reason of the end.
	cause string
}

// simulate is one run of a day: what the fleet measures goes through the judge and
// experiment.Step, as in the conductor.
func simulate(c setting, seed uint64) outcome {
	f := newFleet(c, rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)))
	spec := c.spec()
	var j judge = verdict.New(spec)
	if c.peeking {
		j = newPeeking(spec)
	}
	state, _, _, err := experiment.Apply(spec, experiment.NewState(began), experiment.Command{Kind: experiment.CommandStart}, began)
	if err != nil {
		panic(err) // the specification is of this file
	}
	o := outcome{found: -1}
	weight := -1
	var assigned [2]uint64
	for seq := uint64(1); ; seq++ {
		if !c.mirror() && state.Weights.Candidate != weight {
			weight = state.Weights.Candidate
			assigned = f.assign(weight)
		}
		ran := time.Duration(seq) * interval
		observed := f.observe(j, state, seq, assigned, ran)
		if o.found < 0 && c.reached(observed) {
			o.found = ran
		}
		observed.SpecHash = state.SpecHash
		observed.Router = experiment.RouterReport{Lease: experiment.LeaseHeld, Epoch: state.Lease.Epoch}
		state, _, _ = experiment.Step(spec, state, observed, began.Add(ran))
		if state.Phase != experiment.PhaseRunning {
			break
		}
	}
	o.phase = state.Phase
	if len(state.Reasons) > 0 {
		o.cause = string(state.Reasons[0].Code)
		if s := state.Reasons[0].Subject; s != "" {
			o.cause += " " + s
		}
	}
	return o
}

func (f *fleet) observe(j judge, state experiment.State, seq uint64, assigned [2]uint64, ran time.Duration) experiment.Observation {
	counts, units := f.look(float64(ran%(24*time.Hour)) / float64(24*time.Hour))
	o := experiment.Observation{Seq: seq, At: began.Add(ran)}
	alone := !f.c.mirror() && state.Weights.Candidate == 100
	if counts[1].Given == 0 || counts[0].Given == 0 && !alone {
		return o
	}
	l := verdict.Look{
		Seq: seq, Epoch: state.Lease.Epoch, Step: state.Step, Weight: state.Weights.Candidate, Elapsed: interval,
		Candidate: &counts[1], Units: units, RouterUnits: assigned,
	}
	o.Candidate = armOf(counts[1])
	if !alone {
		l.Baseline, o.Baseline = &counts[0], armOf(counts[0])
	}
	e := j.Look(l)
	o.Guardrails, o.Criteria, o.SampleRatio = e.Guardrails, e.Criteria, e.SampleRatio
	return o
}

func armOf(c verdict.Counts) *experiment.Arm {
	return &experiment.Arm{
		Series: uint64(c.Series), Points: uint64(c.Points), Bytes: uint64(c.Bytes), Refused: uint64(c.Refused), Failed: uint64(c.Failed),
		Latency: experiment.Duration(c.Latency), MemoryBytes: uint64(c.MemoryBytes), CostMicros: int64(c.CostMicros),
	}
}

// reached says whether a look has what the right end needs.
func (c setting) reached(o experiment.Observation) bool {
	met := len(o.Criteria) > 0
	for _, v := range o.Criteria {
		met = met && v.Verdict == experiment.VerdictMet
		if c.right == experiment.PhaseRolledBack && v.Verdict == experiment.VerdictRefuted {
			return true
		}
	}
	for _, v := range o.Guardrails {
		if c.right == experiment.PhaseRolledBack && v.Verdict == experiment.VerdictBreached {
			return true
		}
	}
	return c.right == experiment.PhasePromoted && met
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
