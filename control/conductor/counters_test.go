package conductor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

var (
	start   = time.Date(2026, 3, 11, 12, 0, 0, 0, time.UTC)
	mirrors = experiment.Spec{ID: "a/b", Mode: experiment.ModeMirror}.WithDefaults()
	splits  = experiment.Spec{ID: "a/b", Mode: experiment.ModeSplit}.WithDefaults()
)

// seen are the reports of both ends at a time, with the points of each.
func seen(since time.Time, baselinePoints, candidatePoints uint64) sight {
	end := func(arm string, points uint64) report.ArmReport {
		return report.ArmReport{Component: "cardinality/" + arm, Point: arm, Arm: arm, Since: since, Points: points, Bytes: points * 10, Series: points / 10}
	}
	return sight{arms: []report.ArmReport{end("baseline", baselinePoints), end("candidate", candidatePoints)}}
}

func inEpoch(epoch uint64) experiment.State {
	return experiment.State{Phase: experiment.PhaseRunning, Lease: experiment.Lease{Epoch: epoch}, Mirror: true}
}

// An arm that sends once a minute is compared with the same minute of the other.
func TestArmsThatSendAtDifferentTimes(t *testing.T) {
	var c counters
	s := inEpoch(1)
	look, arms := c.look(mirrors, s, seen(start, 100, 0), start.Add(10*time.Second))
	assert.Nil(t, look)
	assert.NotNil(t, arms[baseline])
	assert.Nil(t, arms[candidate], "it has sent nothing yet")
	look, _ = c.look(mirrors, s, seen(start, 600, 60), start.Add(60*time.Second))
	require.NotNil(t, look)
	assert.InDelta(t, 600, look.Baseline.Points, 0)
	assert.InDelta(t, 60, look.Candidate.Points, 0)
	look, arms = c.look(mirrors, s, seen(start, 900, 60), start.Add(90*time.Second))
	assert.Nil(t, look)
	assert.NotNil(t, arms[candidate], "it sends once a minute")
	assert.Equal(t, uint64(900), arms[baseline].Points, "since the present weight")
	look, _ = c.look(mirrors, s, seen(start, 1200, 120), start.Add(120*time.Second))
	require.NotNil(t, look)
	assert.InDelta(t, 600, look.Baseline.Points, 0)
	assert.Equal(t, time.Minute, look.Elapsed)
	_, arms = c.look(mirrors, s, seen(start, 3000, 120), start.Add(5*time.Minute))
	assert.Nil(t, arms[candidate], "two minutes are silence")
}

func TestSourcesThatBeginAnew(t *testing.T) {
	var c counters
	s := inEpoch(1)
	c.look(mirrors, s, seen(start, 1000, 400), start.Add(10*time.Second))
	look, arms := c.look(mirrors, s, seen(start.Add(15*time.Second), 50, 20), start.Add(20*time.Second))
	require.NotNil(t, look)
	assert.InDelta(t, 50, look.Baseline.Points, 0, "a component that restarted counts from 0")
	assert.Equal(t, uint64(1050), arms[baseline].Points)
}

// What came during a pause is no part of what follows.
func TestAPauseIsNotCounted(t *testing.T) {
	var c counters
	c.look(mirrors, inEpoch(1), seen(start, 1000, 400), start.Add(10*time.Second))
	look, arms := c.look(mirrors, inEpoch(2), seen(start, 9000, 400), start.Add(time.Hour))
	assert.Nil(t, look)
	assert.Nil(t, arms[candidate])
	look, arms = c.look(mirrors, inEpoch(2), seen(start, 9100, 440), start.Add(time.Hour+10*time.Second))
	require.NotNil(t, look)
	assert.InDelta(t, 100, look.Baseline.Points, 0)
	assert.InDelta(t, 40, look.Candidate.Points, 0)
	assert.Equal(t, uint64(100), arms[baseline].Points)
}

// A candidate that fails is judged though nothing leaves it.
func TestFailuresAreSeenWithoutPoints(t *testing.T) {
	var c counters
	in := seen(start, 1000, 0)
	in.routes = []report.RouteReport{{
		Component: "ab_router", Epoch: 1, Since: start,
		Baseline:  report.RouteArm{Batches: 10, Time: 20 * time.Millisecond},
		Candidate: report.RouteArm{Batches: 10, Failed: 700, Refused: 200, Dropped: 100, FailedBatches: 9, Time: 50 * time.Millisecond},
	}}
	look, arms := c.look(mirrors, inEpoch(1), in, start.Add(10*time.Second))
	require.NotNil(t, look)
	assert.InDelta(t, 9, look.Candidate.FailedBatches, 0)
	assert.InDelta(t, 700, look.Candidate.Failed, 0)
	assert.InDelta(t, 300, look.Candidate.Refused, 0, "what a queue had no room for was not taken")
	assert.Equal(t, 5*time.Millisecond, look.Candidate.Latency)
	assert.Nil(t, arms[candidate])
}

// Nobody counts what leaves the arms of traces: what they were given counts.
func TestArmsOfTraces(t *testing.T) {
	spec := experiment.Spec{ID: "a/b", Mode: experiment.ModeMirror, Signal: experiment.SignalTraces}.WithDefaults()
	var c counters
	in := sight{routes: []report.RouteReport{{
		Component: "ab_router", Epoch: 1, Since: start, Baseline: report.RouteArm{Points: 500, Batches: 5}, Candidate: report.RouteArm{Points: 500, Batches: 5},
	}}}
	look, arms := c.look(spec, inEpoch(1), in, start.Add(10*time.Second))
	require.NotNil(t, look)
	assert.InDelta(t, 500, look.Candidate.Points, 0)
	assert.Equal(t, uint64(500), arms[baseline].Points)
}

func TestUnitsAreInTheArmThatTheyAreAssignedTo(t *testing.T) {
	var c counters
	s := inEpoch(1)
	s.Weights, s.Mirror = experiment.Weights{Baseline: 50, Candidate: 50}, false
	units := []uint64{}
	for u := uint64(1); len(units) < 20; u++ {
		units = append(units, u*0x9e3779b97f4a7c15)
	}
	sees := func(times uint64) sight {
		in := seen(start, 1000*times, 1000*times)
		for _, u := range units {
			for i := range in.arms { // both arms still send of all: the last of a move
				in.arms[i].Units = append(in.arms[i].Units, report.UnitReport{Unit: u, Points: 10 * times, Bytes: 100 * times, Series: 3})
			}
		}
		in.routes = []report.RouteReport{{Component: "ab_router", Epoch: 1, Baseline: report.RouteArm{Units: 9}, Candidate: report.RouteArm{Units: 11}}}
		return in
	}
	c.look(splits, s, sees(1), start.Add(10*time.Second))
	look, _ := c.look(splits, s, sees(3), start.Add(20*time.Second))
	require.NotNil(t, look)
	require.Len(t, look.Units, len(units), "each in one arm")
	for _, u := range look.Units {
		assert.Equal(t, routing.Candidate(u.Unit, 50), u.Candidate)
		assert.InDelta(t, 20, u.Points, 0, "since the last look")
		assert.InDelta(t, 3, u.Series, 0)
	}
	assert.Equal(t, [2]uint64{9, 11}, look.RouterUnits)
	look, _ = c.look(splits, s, func() sight { in := sees(3); in.arms[0].Points, in.arms[1].Points = 4000, 4000; return in }(), start.Add(30*time.Second))
	require.NotNil(t, look)
	assert.Empty(t, look.Units, "units that send nothing are left out")
}

// near must name everybody whom Overlap would.
func TestNearLeavesNobodyOut(t *testing.T) {
	all := scopes{}
	var runs []*run
	add := func(id string, scope map[string]string) {
		spec := experiment.Spec{ID: id, Scope: scope}.WithDefaults()
		r := &run{spec: spec, scope: scopeOf(spec)}
		runs = append(runs, r)
		all.set(r, true)
	}
	check := func() {
		t.Helper()
		for _, r := range runs {
			near := map[string]bool{}
			for _, a := range all.near(r.spec) {
				near[a.ID] = true
			}
			for id, other := range all.of(experiment.SignalMetrics).all {
				if overlap, _ := experiment.Overlap(r.spec, other.spec); overlap {
					assert.True(t, near[id], "%s holds what %s wants", id, r.spec.ID)
				}
			}
		}
	}
	for _, service := range []string{"a", "b", "c"} {
		add("service-"+service, map[string]string{"service.name": service})
	}
	check()
	assert.Len(t, all.near(runs[0].spec), 1, "the others are not compared with")
	add("both", map[string]string{"resource.service.name": "a", "point.tier": "1"})
	add("point", map[string]string{"point.tier": "1"})
	check()
	for _, r := range runs[:2] {
		all.set(r, false)
		all.set(r, false)
	}
	check()
	assert.Len(t, all.of(experiment.SignalMetrics).all, 3)
}
