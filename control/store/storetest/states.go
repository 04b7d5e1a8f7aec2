package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

func (e Engine) testExperimentStates(t *testing.T) {
	t.Run("of many at once", func(t *testing.T) { e.testStates(t, 350) })
	t.Run("of a few", func(t *testing.T) { e.testStates(t, 5) })
	t.Run("of none, or of one that cannot be", func(t *testing.T) {
		l := newLab(t, e)
		stale, err := l.SaveExperimentStates(t.Context(), nil)
		require.NoError(t, err)
		assert.Empty(t, stale)
		x := l.try(t, experimentKey("a", "b"), "Running", "x")
		_, err = l.SaveExperimentStates(t.Context(), []store.ExperimentState{
			{ExperimentKey: x.ExperimentKey, If: store.Any, State: []byte("s")},
			{ExperimentKey: experimentKey("a", "b/c"), If: -2, State: make([]byte, store.MaxBlob+1)},
		})
		require.ErrorIs(t, err, store.ErrInvalid)
		for _, field := range []string{"name: has a slash", "if: -2 is no revision", "state: has 1048577 bytes"} {
			require.ErrorContains(t, err, field)
		}
		read, err := l.GetExperiment(t.Context(), x.ExperimentKey)
		require.NoError(t, err)
		assert.Equal(t, x, read)
	})
	t.Run("of one experiment twice", func(t *testing.T) {
		l := newLab(t, e)
		k := l.try(t, experimentKey("a", "b"), "Running", "x").ExperimentKey
		_, err := l.SaveExperimentStates(t.Context(), []store.ExperimentState{
			{ExperimentKey: k, If: store.Any, State: []byte("1"), Evidence: []byte("1")}, {ExperimentKey: k, If: store.Any, State: []byte("2")},
		})
		require.NoError(t, err)
		read, err := l.GetExperiment(t.Context(), k)
		require.NoError(t, err)
		assert.Equal(t, []string{"2", "1"}, []string{string(read.State), string(read.Evidence)}, "what comes later counts")
	})
}

// testStates saves the states of n experiments, of which some are not as the
// writer thinks.
func (e Engine) testStates(t *testing.T, n int) {
	t.Helper()
	l := newLab(t, e)
	before := make([]store.Experiment, n)
	for i := range before {
		before[i] = l.try(t, experimentKey("a", fmt.Sprintf("%03d", i)), "Running", "x")
	}
	require.NoError(t, l.removeExperiment(before[1].ExperimentKey, store.Any))
	records := l.log(t)
	l.clock.Advance(time.Minute)
	var states []store.ExperimentState
	for i, x := range before {
		s := store.ExperimentState{ExperimentKey: x.ExperimentKey, If: x.Revision}
		if i%3 != 1 {
			s.State = []byte("s")
		}
		if i%3 != 2 {
			s.Evidence = []byte("e")
		}
		switch i {
		case 2:
			s.If++
		case 3:
			s.If = store.Any
		case 4:
			s.State, s.Evidence = nil, nil
		}
		states = append(states, s)
	}
	stale, err := l.SaveExperimentStates(t.Context(), states)
	require.NoError(t, err)
	assert.Equal(t, []store.ExperimentKey{before[1].ExperimentKey, before[2].ExperimentKey}, stale)
	for i, want := range before {
		got, err := l.GetExperiment(t.Context(), want.ExperimentKey)
		if i == 1 {
			require.ErrorIs(t, err, store.ErrNotFound, "what was deleted does not come back")
			continue
		}
		require.NoError(t, err)
		if i%3 != 1 && i != 2 {
			want.State = []byte("s")
		}
		if i%3 != 2 && i != 4 {
			want.Evidence = []byte("e")
		}
		require.Equal(t, want, got, "neither revision nor time of change are others: %d", i)
	}
	assert.Equal(t, records, l.log(t), "no audit entry")
	x, err := l.updateExperiment(store.ExperimentUpdate{ExperimentKey: before[0].ExperimentKey, If: before[0].Revision, Phase: "Promoted"})
	require.NoError(t, err, "a state that was saved is in nobody's way")
	assert.Equal(t, "s", string(x.State))
	log := l.log(t)
	assert.Equal(t, x.Digest(), log[len(log)-1].After)
	read, err := l.GetExperiment(t.Context(), x.ExperimentKey)
	require.NoError(t, err)
	assert.Equal(t, x.Digest(), read.Digest(), "the log says what was known when it was decided")
}

// runMany makes many experiments that are active.
func (l *lab) runMany(tb testing.TB) []store.ExperimentState {
	tb.Helper()
	spec := []byte(`{"id":"x","rules":["` + strings.Repeat("x", 1500) + `"]}`)
	states := make([]store.ExperimentState, many)
	for from := 0; from < many; from += 500 {
		require.NoError(tb, l.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
			for i := from; i < from+500; i++ {
				k := experimentKey(manyKey(i).Namespace, manyKey(i).Name)
				if _, err := tx.CreateExperiment(ctx, store.NewExperiment{ExperimentKey: k, Spec: spec, Phase: "Draft"}, entry("create")); err != nil {
					return err
				}
				x, err := tx.UpdateExperiment(ctx, store.ExperimentUpdate{
					ExperimentKey: k, If: store.Any, Phase: "Running", Active: new(true), State: []byte("{}"), Evidence: []byte("{}"),
				}, entry("start"))
				if err != nil {
					return err
				}
				states[i] = store.ExperimentState{ExperimentKey: k, If: x.Revision}
			}
			return nil
		}))
	}
	return states
}

// look fills in states of the usual size, each time others.
func look(states []store.ExperimentState, n int) {
	for i := range states {
		states[i].State = []byte(fmt.Sprintf(`{"look":%d,"x":"`, n) + strings.Repeat("s", 900) + `"}`)
		states[i].Evidence = []byte(fmt.Sprintf(`{"look":%d,"x":"`, n) + strings.Repeat("e", 1500) + `"}`)
	}
}

// numbersOfStates requires that the states of many experiments are saved, and all
// active ones are read, in less than 3s each, at best of some attempts: a machine
// with nothing else to do takes a fifth of that.
func numbersOfStates(t *testing.T, e Engine) {
	t.Helper()
	l := newLab(t, e)
	states := l.runMany(t)
	n := 0
	saved := fastest(5, func() {
		n++
		look(states, n)
		stale, err := l.SaveExperimentStates(t.Context(), states)
		require.NoError(t, err)
		require.Empty(t, stale)
	})
	read := fastest(5, func() {
		active, err := l.ActiveExperiments(t.Context())
		require.NoError(t, err)
		require.Len(t, active, many)
	})
	listed := median(21, func() {
		_, err := l.ListExperiments(t.Context(), store.ExperimentQuery{Namespaces: []string{"team-07"}, Phases: []string{"Running"}})
		require.NoError(t, err)
	})
	t.Logf("states of %d experiments: saved in %s, all active ones read in %s, a page listed in %s", many, saved, read, listed)
	require.Less(t, saved, 3*time.Second)
	require.Less(t, read, 3*time.Second)
	require.Less(t, listed, 5*time.Millisecond)
}
