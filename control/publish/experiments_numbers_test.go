package publish_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

func manyTrials(n int) publish.Experiments {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("team-%02d/experiment-%05d", i%50, i)
	}
	return trials(ids...)
}

func TestTenThousandExperimentsArePublishedInTime(t *testing.T) {
	many := 10_000
	if raceEnabled {
		many = 500
	}
	s := newStore(t)
	fill(t, s, 1000)
	p := opened(t, publish.Settings{Store: s})
	e := manyTrials(many)
	began := time.Now()
	require.NoError(t, p.SetExperiments(t.Context(), e))
	cold := time.Since(began)
	require.Len(t, p.Policy().Routes, many)
	one, promoted := time.Hour, time.Hour
	for i := range 9 { // the best of some: this machine does other things, too
		e.Routes[i*many/10].Weight = 25
		began = time.Now()
		require.NoError(t, p.SetExperiments(t.Context(), e))
		one = min(one, time.Since(began))

		changed := put(t, s, "team-1", "policy-1", store.StateEnforced, bigSpec(many+i))
		e.Rules, e.Routes = e.Rules[1:], e.Routes[1:]
		began = time.Now()
		require.NoError(t, p.SetExperiments(t.Context(), e, changed))
		promoted = min(promoted, time.Since(began))
	}
	require.Len(t, p.Policy().Routes, many-9)
	t.Logf("%d experiments: cold %s, one changed %s, one promoted %s", many, cold, one, promoted)
	if raceEnabled {
		return
	}
	assert.Less(t, cold, 5*time.Second)
	assert.Less(t, one, 50*time.Millisecond)
	assert.Less(t, promoted, 50*time.Millisecond)
}

func BenchmarkExperiments(b *testing.B) {
	p := opened(b, publish.Settings{Store: newStore(b)})
	e := manyTrials(10_000)
	require.NoError(b, p.SetExperiments(b.Context(), e))
	b.Run("one changed", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			e.Routes[5000].Weight = 5 + i%2*20
			require.NoError(b, p.SetExperiments(b.Context(), e))
		}
	})
	sorted := publish.Experiments{
		Rules:  slices.SortedFunc(slices.Values(e.Rules), func(a, b policy.Rule) int { return strings.Compare(a.Name, b.Name) }),
		Routes: slices.SortedFunc(slices.Values(e.Routes), func(a, b policy.Route) int { return strings.Compare(a.Experiment, b.Experiment) }),
	}
	b.Run("one changed of sorted ones", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			sorted.Routes[5000].Weight = 5 + i%2*20
			require.NoError(b, p.SetExperiments(b.Context(), sorted))
		}
	})
	b.Run("in other memory", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			other := manyTrials(10_000)
			for i := range other.Routes {
				other.Routes[i].Lease = e.Routes[i].Lease
			}
			b.StartTimer()
			require.NoError(b, p.SetExperiments(b.Context(), other))
		}
	})
}
