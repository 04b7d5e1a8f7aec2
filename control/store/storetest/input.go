package storetest

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

// testBadInput gives the store what it cannot keep: it says which field, and
// writes nothing.
func (e Engine) testBadInput(t *testing.T) {
	l := newLab(t, e)
	good := key("a", "b")
	long, big := strings.Repeat("x", store.MaxName+1), make([]byte, store.MaxBlob+1)
	for _, bad := range []string{"", "a/b", "a\x00b", "a\nb", "\xff", "a\U0010FFFF", "\u0085", long} {
		l.refuses(t, "namespace", func(ctx context.Context, tx store.Tx) error {
			_, err := tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: key(bad, "b")}, entry("x"))
			return err
		})
		l.refuses(t, "name", func(ctx context.Context, tx store.Tx) error {
			_, err := tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: key("a", bad)}, entry("x"))
			return err
		})
		l.refuses(t, "name", func(ctx context.Context, tx store.Tx) error {
			_, err := tx.GetPolicy(ctx, key("a", bad))
			return err
		})
		l.refusesExperimentNames(t, bad)
		l.refuses(t, "name", func(ctx context.Context, tx store.Tx) error {
			_, err := tx.PutPriceModel(ctx, store.PriceModelUpdate{Name: bad}, entry("x"))
			return err
		})
		l.refuses(t, "id", func(ctx context.Context, tx store.Tx) error {
			_, err := tx.CreateAPIKey(ctx, store.NewAPIKey{ID: bad, Hash: store.SumSHA256(nil)}, entry("x"))
			return err
		})
		if bad != "a/b" {
			l.refuses(t, "key", func(ctx context.Context, tx store.Tx) error {
				_, err := tx.PutFact(ctx, store.FactUpdate{Key: bad}, entry("x"))
				return err
			})
		}
	}
	l.refuses(t, "spec", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: good, Spec: big}, entry("x"))
		return err
	})
	for _, state := range []store.PolicyState{"on", store.StateDeleted} {
		l.refuses(t, "state", func(ctx context.Context, tx store.Tx) error {
			_, err := tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: good, State: state}, entry("x"))
			return err
		})
	}
	l.refuses(t, "if", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.UpdatePolicy(ctx, store.PolicyUpdate{PolicyKey: good, If: -2}, entry("x"))
		return err
	})
	l.refuses(t, "hash", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.CreateAPIKey(ctx, store.NewAPIKey{ID: "k"}, entry("x"))
		return err
	})
	l.refusesExperiments(t, big)
	t.Run("in entries", l.testBadEntries)
	t.Run("in queries", l.testBadQueries)
	l.requireUntouched(t)
}

// refusesExperimentNames gives a name that none can have.
func (l *lab) refusesExperimentNames(t *testing.T, bad string) {
	t.Helper()
	l.refuses(t, "namespace", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.CreateExperiment(ctx, store.NewExperiment{ExperimentKey: experimentKey(bad, "b"), Phase: "Draft"}, entry("x"))
		return err
	})
	l.refuses(t, "name", func(ctx context.Context, tx store.Tx) error {
		return tx.DeleteExperiment(ctx, experimentKey("a", bad), store.Any, entry("x"))
	})
	l.refuses(t, "phase", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.CreateExperiment(ctx, store.NewExperiment{ExperimentKey: experimentKey("a", "b"), Phase: bad}, entry("x"))
		return err
	})
}

// refusesExperiments gives what no experiment can hold.
func (l *lab) refusesExperiments(t *testing.T, big []byte) {
	t.Helper()
	for field, u := range map[string]store.ExperimentUpdate{
		"if": {If: -2}, "spec": {Spec: big}, "state": {State: big}, "evidence": {Evidence: big}, "promoted_policy": {PromotedPolicy: "a\nb"},
	} {
		l.refuses(t, field, func(ctx context.Context, tx store.Tx) error {
			u.ExperimentKey = experimentKey("a", "b")
			_, err := tx.UpdateExperiment(ctx, u, entry("x"))
			return err
		})
	}
}

func (l *lab) testBadEntries(t *testing.T) {
	many := map[string]string{}
	for i := range 33 {
		many[strings.Repeat("x", i+1)] = ""
	}
	for field, bad := range map[string]store.Entry{
		"principal":  {Action: "x"},
		"action":     {Principal: "x"},
		"origin":     {Principal: "x", Action: "x", Origin: "a\r\nb"},
		"request_id": {Principal: "x", Action: "x", RequestID: strings.Repeat("x", store.MaxText+1)},
		"detail":     {Principal: "x", Action: "x", Detail: many},
		"detail.a":   {Principal: "x", Action: "x", Detail: map[string]string{"a": "\xff"}},
		"detail.b":   {Principal: "x", Action: "x", Detail: map[string]string{"b": "\x00"}},
	} {
		l.refuses(t, field, func(ctx context.Context, tx store.Tx) error {
			_, err := tx.AppendAudit(ctx, bad)
			return err
		})
		l.refuses(t, field, func(ctx context.Context, tx store.Tx) error {
			_, err := tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: key("a", "b")}, bad)
			return err
		})
	}
	l.refuses(t, "outcome", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.AppendAudit(ctx, store.Entry{Principal: "x", Action: "x", Outcome: "perhaps"})
		return err
	})
}

func (l *lab) testBadQueries(t *testing.T) {
	for _, token := range []string{"x", "AAAA", "!", strings.Repeat("A", 5000), "AQAAAAAAAAAAAA"} {
		_, err := l.ListPolicies(t.Context(), store.PolicyQuery{PageRequest: store.PageRequest{Token: token}})
		require.ErrorIs(t, err, store.ErrInvalid)
		require.ErrorContains(t, err, "page_token")
	}
	for _, size := range []int{-1, store.MaxPageSize + 1} {
		_, err := l.ListAPIKeys(t.Context(), store.PageRequest{Size: size})
		require.ErrorIs(t, err, store.ErrInvalid)
		require.ErrorContains(t, err, "page_size")
	}
	for _, text := range []string{"\x00", "\xff", "a\x00", "a\U0010FFFF"} {
		_, err := l.ListPolicies(t.Context(), store.PolicyQuery{NamePrefix: text})
		_, err2 := l.ListPolicies(t.Context(), store.PolicyQuery{Namespaces: []string{"a", text}})
		_, err3 := l.ListAudit(t.Context(), store.AuditQuery{Principal: text})
		_, err4 := l.ListAudit(t.Context(), store.AuditQuery{Namespaces: []string{text}})
		_, err5 := l.ListFacts(t.Context(), text, store.PageRequest{})
		_, err6 := l.ListHistoryKeys(t.Context(), text, store.PageRequest{})
		_, err7 := l.GetHistory(t.Context(), store.HistoryQuery{Kind: text, Step: store.FineStep})
		_, err8 := l.ListExperiments(t.Context(), store.ExperimentQuery{NamePrefix: text})
		_, err9 := l.ListExperiments(t.Context(), store.ExperimentQuery{Phases: []string{"Draft", text}})
		for _, err := range []error{err8, err9, err, err2, err3, err4, err5, err6, err7} {
			require.ErrorIs(t, err, store.ErrInvalid, "%q", text)
		}
	}
	_, err := l.ListPolicies(t.Context(), store.PolicyQuery{States: []store.PolicyState{"on\x00"}})
	require.ErrorIs(t, err, store.ErrInvalid)
}

// refuses requires that a write fails because of a field.
func (l *lab) refuses(tb testing.TB, field string, change func(context.Context, store.Tx) error) {
	tb.Helper()
	err := l.Write(context.Background(), change)
	require.ErrorIs(tb, err, store.ErrInvalid)
	var invalid *store.InvalidError
	require.ErrorAs(tb, err, &invalid)
	require.Equal(tb, field, invalid.Field, err)
}
