package publish_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

func TestTenThousandPoliciesArePublishedInTime(t *testing.T) {
	many := 10_000 // that is how many a publisher has to bear
	if raceEnabled {
		many = 500
	}
	s := newStore(t)
	fill(t, s, many)
	p := publish.New(publish.Settings{Store: s})
	ctx := t.Context()

	began := time.Now()
	require.NoError(t, p.Refresh(ctx))
	cold := time.Since(began)
	require.Len(t, p.Policy().Rules, many)

	// The best of some: this machine does other things, too.
	warm, one := time.Hour, time.Hour
	for i := range 5 {
		changed := put(t, s, "team-1", "policy-1", store.StateEnforced, bigSpec(many+i))
		began = time.Now()
		require.NoError(t, p.Refresh(ctx))
		warm = min(warm, time.Since(began))
		assert.True(t, p.Includes(p.Policy().Version, changed.Version))

		changed = put(t, s, "team-1", "policy-1", store.StatePreview, bigSpec(many+i))
		began = time.Now()
		require.NoError(t, p.Changed(ctx, changed))
		one = min(one, time.Since(began))
		assert.True(t, p.Includes(p.Policy().Version, changed.Version))
	}
	t.Logf("cold %s, warm %s, one policy %s", cold, warm, one)
	if raceEnabled {
		return
	}
	assert.Less(t, cold, 10*time.Second)
	assert.Less(t, warm, 200*time.Millisecond)
	assert.Less(t, one, 50*time.Millisecond)
}

func BenchmarkPublish(b *testing.B) {
	s := newStore(b)
	fill(b, s, 10_000)
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p := publish.New(publish.Settings{Store: s})
			require.NoError(b, p.Refresh(b.Context()))
		}
	})
	p := publish.New(publish.Settings{Store: s})
	require.NoError(b, p.Refresh(b.Context()))
	state := []store.PolicyState{store.StatePreview, store.StateEnforced}
	b.Run("warm", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			put(b, s, "team-1", "policy-1", state[i%2], bigSpec(1))
			b.StartTimer()
			require.NoError(b, p.Refresh(b.Context()))
		}
	})
	b.Run("changed", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			changed := put(b, s, "team-1", "policy-1", state[i%2], bigSpec(1))
			b.StartTimer()
			require.NoError(b, p.Changed(b.Context(), changed))
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, p.Refresh(b.Context()))
		}
	})
}
