package conductor_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/conductor"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/store"
)

// How the store behind a network behaves.
const (
	answers  = iota
	hangs    // it does not answer
	written  // it wrote, and the answer was lost
	unasked  // it did not write, and nobody knows that
	attempts // how many there are
)

// network is a store behind a network that fails.
type network struct {
	store.Store
	trouble atomic.Int64
}

func (n *network) Write(ctx context.Context, change func(context.Context, store.Tx) error) error {
	switch n.trouble.Load() {
	case hangs:
		<-ctx.Done()
		return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	case written:
		if err := n.Store.Write(ctx, change); err != nil {
			return err
		}
		fallthrough
	case unasked:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, store.ErrUncertain)
	}
	return n.Store.Write(ctx, change)
}

func (n *network) SaveExperimentStates(ctx context.Context, states []store.ExperimentState) ([]store.ExperimentKey, error) {
	if n.trouble.Load() != answers {
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
	return n.Store.SaveExperimentStates(ctx, states)
}

func behindNetwork(t *testing.T) (*rig, *network) {
	t.Helper()
	n := &network{}
	return newRig(t, func(s *conductor.Settings) { n.Store, s.Store = s.Store, n }), n
}

func TestAStoreThatHangsKeepsNoWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, n := behindNetwork(t)
		k := r.start(mirrorSpec("hangs", "cart", long))
		other := r.start(mirrorSpec("other", "web", long))
		time.Sleep(20 * time.Second)
		n.trouble.Store(hangs)
		r.world.Set(func() { r.world.Breach["shop/hangs"] = "12 of 20 batches failed" })
		time.Sleep(time.Second)
		assert.False(t, r.open(k))
		assert.Equal(t, experiment.PhaseRolledBack, r.phase(k))
		r.world.Set(func() { r.world.Breach["shop/other"] = "12 of 20 batches failed" })
		time.Sleep(time.Second)
		assert.False(t, r.open(other), "nor does the next one wait")
		n.trouble.Store(answers)
		time.Sleep(15 * time.Second)
		for _, k := range []store.ExperimentKey{k, other} {
			e, _ := r.stored(k)
			assert.Equal(t, "RolledBack", e.Phase)
		}
	})
}

// Whatever became of a commit that nobody confirmed, memory, store and snapshot
// agree when the store answers again.
func TestCommitsThatNobodyConfirmed(t *testing.T) {
	for trouble := int64(written); trouble < attempts; trouble++ {
		t.Run(fmt.Sprintf("a start %d", trouble), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, n := behindNetwork(t)
				k := r.create(mirrorSpec("start", "cart", long))
				n.trouble.Store(trouble)
				_, err := r.command(k, experiment.CommandStart)
				require.ErrorIs(t, err, store.ErrUncertain)
				n.trouble.Store(answers)
				time.Sleep(10 * time.Second)
				e, _ := r.stored(k)
				want := map[int64]string{written: "Running", unasked: "Draft"}[trouble]
				assert.Equal(t, want, e.Phase)
				assert.Equal(t, experiment.Phase(want), r.phase(k))
				assert.Equal(t, trouble == written, r.open(k))
			})
		})
		t.Run(fmt.Sprintf("a rollback %d", trouble), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, n := behindNetwork(t)
				k := r.start(mirrorSpec("rollback", "cart", long))
				n.trouble.Store(trouble)
				r.world.Set(func() { r.world.Breach["shop/rollback"] = "12 of 20 batches failed" })
				time.Sleep(time.Second)
				assert.False(t, r.open(k))
				n.trouble.Store(answers)
				time.Sleep(15 * time.Second)
				e, s := r.stored(k)
				assert.Equal(t, "RolledBack", e.Phase)
				assert.Equal(t, experiment.ReasonRouter, s.Reasons[0].Code)
				assert.Empty(t, r.publisher.Policy().Rules)
				_, there := r.conductor.View(k)
				assert.False(t, there)
			})
		})
		t.Run(fmt.Sprintf("a promotion %d", trouble), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, n := behindNetwork(t)
				k := r.start(mirrorSpec("promotion", "cart"))
				n.trouble.Store(trouble)
				time.Sleep(time.Minute)
				n.trouble.Store(answers)
				r.reach(k, experiment.PhasePromoted, time.Minute)
				time.Sleep(time.Second)
				assert.Empty(t, r.publisher.Policy().For(policy.RoleCandidate))
				assert.Len(t, r.publisher.Policy().For(policy.RoleCommon), 1)
				_, s := r.stored(k)
				assert.Equal(t, experiment.PhasePromoted, s.Phase)
			})
		})
	}
}
