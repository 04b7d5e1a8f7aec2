package adaptivesamplerprocessor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// inForce are the names of the rules in force.
func (f *frame) inForce() []string {
	names := []string{}
	for _, r := range *f.hub().rules.current.Load() {
		names = append(names, r.Name)
	}
	return names
}

// sees lets control have a snapshot, and time pass until the processor looked.
func (f *frame) sees(plane *controlPlane, version uint64, rules ...policy.SamplingRule) {
	f.t.Helper()
	plane.snapshot.Store(&policy.Snapshot{Version: version, Sampling: rules})
	time.Sleep(2 * pollInterval)
}

func TestRulesOfControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := newControlPlane()
		f := newFrame(t, `{control: phoenix_control, rules: [{name: own, dead_band: {match: {metric: own}, tolerance: {}}}]}`, extensions{controlID: plane}).start()
		defer f.shutdown()
		require.Equal(t, []string{"own"}, f.inForce())
		f.sees(plane, 7, deadBandRule("a", 0.1), deadBandRule("b", 0.1))
		require.Equal(t, []string{"own", "a", "b"}, f.inForce(), "those of the configuration first")
		require.EqualValues(t, 7, plane.sampling(t).PolicyVersion)

		plane.snapshot.Store(&policy.Snapshot{}) // control does not know: what is in force stays
		time.Sleep(time.Second)
		require.Equal(t, []string{"own", "a", "b"}, f.inForce())
		plane.snapshot.Store(nil)
		time.Sleep(time.Second)
		require.Len(t, f.inForce(), 3)

		f.sees(plane, 3, deadBandRule("b", 0.1)) // a store that was restored
		require.Equal(t, []string{"own", "b"}, f.inForce())
		f.sees(plane, 4, deadBandRule("b", 0.1)) // what changed is about others
		require.EqualValues(t, 4, plane.sampling(t).PolicyVersion)

		plane.snapshot.Store(&policy.Snapshot{Version: 5, Urgent: true}) // the kill switch
		time.Sleep(time.Second)
		require.Equal(t, []string{"own"}, f.inForce())
		require.Empty(t, f.sampling().Problems)
	})
}

// A rule is in force since it came, or was changed.
func TestSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := newControlPlane()
		f := newFrame(t, `control: phoenix_control`, extensions{controlID: plane}).start()
		defer f.shutdown()
		since := func(name string) time.Duration {
			for _, r := range *f.hub().rules.current.Load() {
				if r.Name == name {
					return time.Since(r.since)
				}
			}
			return -1
		}
		f.sees(plane, 1, deadBandRule("a", 0.1), deadBandRule("b", 0.1))
		time.Sleep(time.Minute)
		preview := deadBandRule("a", 0.1)
		preview.Mode = policy.ModePreview
		f.sees(plane, 2, preview, deadBandRule("b", 0.1))
		assert.Less(t, since("a"), time.Second)
		assert.Greater(t, since("b"), time.Minute)
		assert.Equal(t, policy.Duration(time.Minute), (*f.hub().rules.current.Load())[0].DeadBand.Heartbeat, "defaults are filled in")
	})
}

// What cannot be used is named, and does not keep the others from acting.
func TestRefusedRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := newControlPlane()
		f := newFrame(t, `{control: phoenix_control, rules: [{name: own, dead_band: {match: {metric: own}, tolerance: {}}}]}`, extensions{controlID: plane}).start()
		defer f.shutdown()
		money := policy.SamplingRule{Name: "money", Budget: &policy.Budget{Signal: policy.SignalMetrics, MonthlyCost: 100}}
		f.sees(plane, 7, deadBandRule("wrong", -1), deadBandRule("right", 0.1), deadBandRule("right", 0.2), deadBandRule("own", 0.1), money)
		require.Equal(t, []string{"own", "right"}, f.inForce())
		want := []string{
			"version 7: rule wrong: dead_band.tolerance.relative: must be at least 0 and below 1, 0.01 for 1 %, got -1",
			"version 7: rule right: name: another rule has it already",
			"version 7: rule own: name: another rule has it already",
			"version 7: rule money: budget.monthly_cost: only control knows prices; it has to be points_per_second or bytes_per_second here",
		}
		require.Equal(t, want, plane.sampling(t).Problems)
		require.Equal(t, []string{"Rules are refused, the others are in force"}, f.warned())
		f.sees(plane, 8, deadBandRule("right", 0.1))
		require.Empty(t, plane.sampling(t).Problems)
	})
}

// With target_scope: fleet budgets of control are divided, too.
func TestFleetBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := newControlPlane()
		f := newFrame(t, `{control: phoenix_control, target_scope: fleet, replicas: 4}`, extensions{controlID: plane}).start()
		defer f.shutdown()
		given := policy.SamplingRule{Name: "b", Budget: &policy.Budget{Signal: policy.SignalMetrics, PointsPerSecond: 100}}
		f.sees(plane, 1, given)
		require.InDelta(t, 25, (*f.hub().rules.current.Load())[0].Budget.PointsPerSecond, 0)
		require.InDelta(t, 100, given.Budget.PointsPerSecond, 0, "a snapshot is not written to")
	})
}

// A process begins with the rules that control had sent to the last one, if
// control does not know its rules yet.
func TestRulesOutliveTheProcess(t *testing.T) {
	host := newStorageHost(t, t.TempDir())
	plane := newControlPlane()
	host[controlID] = plane
	const yaml = "{control: phoenix_control, storage: file_storage}"
	rules := []policy.SamplingRule{
		deadBandRule("a", 0.1),
		{Name: "b", Budget: &policy.Budget{Signal: policy.SignalLogs, BytesPerSecond: 100}},
		{Name: "c", Mode: policy.ModePreview, Series: &policy.SeriesSample{Match: policy.Match{Metric: "x"}, Ratio: 0.5, Seed: 3}},
	}
	plane.snapshot.Store(&policy.Snapshot{Version: 7, Sampling: rules})
	f := newFrame(t, yaml, host).start()
	before := *f.hub().rules.current.Load()
	f.kill()

	plane.snapshot.Store(&policy.Snapshot{})
	f = newFrame(t, yaml, host).start()
	require.Equal(t, []string{"a", "b", "c"}, f.inForce())
	for i, r := range *f.hub().rules.current.Load() {
		require.Equal(t, before[i].SamplingRule, r.SamplingRule)
	}
	require.EqualValues(t, 7, f.hub().PolicyVersion())
	plane.snapshot.Store(&policy.Snapshot{Version: 1, Sampling: rules[:1]}) // of another life of control
	f.hub().poll(t.Context())
	require.Equal(t, []string{"a"}, f.inForce())
	f.shutdown()

	f = newFrame(t, "storage: file_storage", host).start() // without control
	require.Empty(t, f.inForce())
	f.shutdown()
	plane.snapshot.Store(&policy.Snapshot{})
	f = newFrame(t, yaml, host).start()
	require.Empty(t, f.inForce(), "they were given up")
	f.shutdown()
}

func TestDamagedRules(t *testing.T) {
	host := newStorageHost(t, t.TempDir())
	plane := newControlPlane()
	host[controlID] = plane
	const yaml = "{control: phoenix_control, storage: file_storage}"
	plane.snapshot.Store(&policy.Snapshot{Version: 7, Sampling: []policy.SamplingRule{deadBandRule("a", 0.1)}})
	f := newFrame(t, yaml, host).start()
	require.NoError(t, f.hub().state.client.Set(t.Context(), policyKey, []byte("something else")))
	f.kill()
	plane.snapshot.Store(&policy.Snapshot{})
	f = newFrame(t, yaml, host).start()
	defer f.shutdown()
	require.Empty(t, f.inForce())
	require.Equal(t, []string{"Could not use the rules of control that the last process had"}, f.warned())
}
