package storetest

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlstore"
)

func (e Engine) testOpening(t *testing.T) {
	t.Run("by several starters at once", func(t *testing.T) {
		place := e.NewPlace(t)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				s, err := e.Open(t.Context(), place, Options{})
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, increment(t.Context(), s))
				assert.NoError(t, s.Close())
			})
		}
		wg.Wait()
		s, err := e.Open(t.Context(), place, Options{})
		require.NoError(t, err)
		fact, err := s.GetFact(t.Context(), "counter")
		require.NoError(t, err)
		assert.Equal(t, "4", string(fact.Value))
		require.NoError(t, s.Close())
	})
	t.Run("keeps what is there", func(t *testing.T) {
		l := newLab(t, e)
		l.fill(t)
		before := l.contents(t)
		require.NoError(t, l.Close())
		l.open(t)
		assert.Equal(t, before, l.contents(t))
	})
	t.Run("brings an older schema up to date", e.testUpgrade)
	t.Run("what a newer program has written is refused, untouched", func(t *testing.T) {
		l := newLab(t, e)
		require.NoError(t, l.Close())
		require.NoError(t, e.Exec(t.Context(), l.place, "INSERT INTO "+sqlstore.SchemaTable+" (version_id, is_applied) VALUES (99999, true)"))
		for range 2 {
			_, err := e.Open(t.Context(), l.place, Options{})
			require.ErrorIs(t, err, store.ErrNewerSchema)
			require.ErrorContains(t, err, "schema 99999")
		}
		require.NoError(t, e.Exec(t.Context(), l.place, "DELETE FROM "+sqlstore.SchemaTable+" WHERE version_id = 99999"))
		l.open(t)
	})
	t.Run("says what it runs on", func(t *testing.T) {
		l := newLab(t, e)
		d, err := l.Describe(t.Context())
		require.NoError(t, err)
		assert.NotEmpty(t, d.Engine)
		assert.Regexp(t, `^\d+\.\d+`, d.EngineVersion)
		assert.Equal(t, int64(2), d.SchemaVersion)
		assert.Positive(t, d.SizeBytes)
	})
	t.Run("after Close everything says so", e.testClosed)
}

// testUpgrade opens a database as version 1 of the schema left it.
func (e Engine) testUpgrade(t *testing.T) {
	l := newLab(t, e)
	l.fill(t)
	for _, name := range strange[:5] {
		require.NoError(t, l.removeExperiment(experimentKey("shop", name), store.Any))
	}
	before := l.contents(t)
	require.NoError(t, l.Close())
	l.executes(t, "DROP TABLE experiments; DROP TABLE experiment_states; DELETE FROM "+sqlstore.SchemaTable+" WHERE version_id = 2")
	l.open(t)
	assert.Equal(t, before, l.contents(t))
	l.try(t, experimentKey("a", "b"), "Draft", "x")
}

func (e Engine) testClosed(t *testing.T) {
	l := newLab(t, e)
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"GetPolicy":         func() error { _, err := l.GetPolicy(ctx, key("a", "b")); return err },
		"ListPolicies":      func() error { _, err := l.ListPolicies(ctx, store.PolicyQuery{}); return err },
		"PoliciesInForce":   func() error { _, err := l.PoliciesInForce(ctx); return err },
		"PolicyVersion":     func() error { _, err := l.PolicyVersion(ctx); return err },
		"GetExperiment":     func() error { _, err := l.GetExperiment(ctx, experimentKey("a", "b")); return err },
		"ListExperiments":   func() error { _, err := l.ListExperiments(ctx, store.ExperimentQuery{}); return err },
		"ActiveExperiments": func() error { _, err := l.ActiveExperiments(ctx); return err },
		"SaveExperimentStates": func() error {
			_, err := l.SaveExperimentStates(ctx, []store.ExperimentState{{ExperimentKey: experimentKey("a", "b")}})
			return err
		},
		"VerifyAudit":   func() error { _, err := l.VerifyAudit(ctx, store.AuditRange{}); return err },
		"Write":         func() error { return l.Write(ctx, func(context.Context, store.Tx) error { return nil }) },
		"AppendSamples": func() error { _, err := l.AppendSamples(ctx, nil); return err },
		"TouchAPIKey":   func() error { return l.TouchAPIKey(ctx, "k") },
		"Maintain":      func() error { _, err := l.Maintain(ctx); return err },
		"Describe":      func() error { _, err := l.Describe(ctx); return err },
		"Backup":        func() error { return l.Backup(ctx, &bytes.Buffer{}) },
		"Restore":       func() error { return l.Restore(ctx, &bytes.Buffer{}) },
	} {
		require.ErrorIs(t, call(), store.ErrClosed, name)
	}
}
