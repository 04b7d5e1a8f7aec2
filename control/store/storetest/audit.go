package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

func (l *lab) append(tb testing.TB, entry store.Entry) store.AuditRecord {
	tb.Helper()
	r, err := write(context.Background(), l, func(ctx context.Context, tx store.Tx) (store.AuditRecord, error) {
		return tx.AppendAudit(ctx, entry)
	})
	require.NoError(tb, err)
	return r
}

func (e Engine) testAudit(t *testing.T) {
	t.Run("a refusal is written as it is given", func(t *testing.T) {
		l := newLab(t, e)
		proof, err := l.VerifyAudit(t.Context(), store.AuditRange{})
		require.NoError(t, err)
		assert.Equal(t, store.AuditProof{AuditRange: store.AuditRange{First: 1}}, proof, "an empty log is whole")
		refusal := store.Entry{
			Principal: "CN=eve,O=\"x\"", Action: "policies.enforce", Outcome: store.OutcomeRefused, Resource: "policies/a/b", Namespace: "a",
			Origin: "[2001:db8::1]:99", RequestID: "é", Detail: map[string]string{"role": "viewer", "a\u2028b": "<&>\n\t\"\\ \u007f", "empty": ""},
		}
		r := l.append(t, refusal)
		assert.Equal(t, refusal, r.Entry)
		assert.Equal(t, []store.AuditRecord{r}, l.log(t))
	})
	t.Run("listed by what was asked for", e.testAuditFilters)
	t.Run("parts can be verified, and compared with what was noted", func(t *testing.T) {
		l := newLab(t, e)
		var hashes []store.Digest
		for i := range 12 {
			hashes = append(hashes, l.append(t, entry(strconv.Itoa(i))).Hash)
		}
		for _, span := range []store.AuditRange{{First: 1, Last: 12}, {First: 1, Last: 5}, {First: 5, Last: 5}, {First: 7, Last: 12}} {
			proof, err := l.VerifyAudit(t.Context(), span)
			require.NoError(t, err)
			assert.Equal(t, store.AuditProof{AuditRange: span, Hash: hashes[span.Last-1]}, proof)
		}
		for _, span := range []store.AuditRange{{First: 13}, {Last: 13}, {First: 5, Last: 4}, {First: 20, Last: 30}} {
			_, err := l.VerifyAudit(t.Context(), span)
			require.ErrorIs(t, err, store.ErrInvalid, "%+v", span)
		}
	})
}

func (e Engine) testAuditFilters(t *testing.T) {
	l := newLab(t, e)
	var all []store.AuditRecord
	for i := range 40 {
		if i%3 == 0 {
			l.clock.Advance(time.Minute)
		}
		all = append(all, l.append(t, store.Entry{
			Principal: []string{"ada", "bob", "a"}[i%3], Action: []string{"create", "delete"}[i%2],
			Resource: []string{"policies/a/1", "policies/a/12"}[i/2%2], Namespace: []string{"", "a", "b"}[i/4%3],
		}))
	}
	slices.Reverse(all)
	for _, q := range []store.AuditQuery{
		{},
		{Principal: "ada"},
		{Principal: "nobody"},
		{Action: "delete"},
		{Resource: "policies/a/1"},
		{Namespaces: []string{"a"}},
		{Namespaces: []string{"a", "b"}},
		{Namespaces: []string{}},
		{From: Start.Add(5 * time.Minute)},
		{To: Start.Add(5 * time.Minute)},
		{From: Start.Add(2 * time.Minute), To: Start.Add(9 * time.Minute), Principal: "bob", Action: "create", Namespaces: []string{"b", ""}},
	} {
		got := everything(t, func(request store.PageRequest) (store.Page[store.AuditRecord], error) {
			q.PageRequest = request
			return l.ListAudit(t.Context(), q)
		})
		want := slices.DeleteFunc(slices.Clone(all), func(r store.AuditRecord) bool {
			return q.Principal != "" && r.Principal != q.Principal || q.Action != "" && r.Action != q.Action ||
				q.Resource != "" && r.Resource != q.Resource || q.Namespaces != nil && !slices.Contains(q.Namespaces, r.Namespace) ||
				r.Time.Before(q.From) || !q.To.IsZero() && !r.Time.Before(q.To)
		})
		assert.ElementsMatch(t, want, got, "%+v", q)
		assert.True(t, slices.IsSortedFunc(got, func(a, b store.AuditRecord) int { return cmp.Compare(b.Seq, a.Seq) }))
	}
}

// testTampering changes the log in the database: every change is found, at the
// first record that is not as it was.
func (e Engine) testTampering(t *testing.T) {
	l := newLab(t, e)
	for range 9 {
		l.append(t, store.Entry{
			Principal: "ada", Action: "create", Resource: "policies/a/b", Namespace: "a", Origin: "192.0.2.1", RequestID: "req-1",
			Detail: map[string]string{"force": "true"},
		})
	}
	l.executes(t, "CREATE TABLE whole AS SELECT * FROM audit")
	for _, c := range []struct {
		name, statement string
		at              uint64
	}{
		{"a principal", "UPDATE audit SET principal = 'eve' WHERE seq = 4", 4},
		{"an action", "UPDATE audit SET action = 'x' WHERE seq = 1", 1},
		{"an outcome", "UPDATE audit SET outcome = 'refused' WHERE seq = 4", 4},
		{"a resource", "UPDATE audit SET resource = '' WHERE seq = 4", 4},
		{"a namespace", "UPDATE audit SET namespace = 'b' WHERE seq = 9", 9},
		{"an origin", "UPDATE audit SET origin = '192.0.2.2' WHERE seq = 4", 4},
		{"a request", "UPDATE audit SET request_id = 'req-2' WHERE seq = 4", 4},
		{"a detail", "UPDATE audit SET detail = '{\"force\":\"false\"}' WHERE seq = 4", 4},
		{"a detail that is none", "UPDATE audit SET detail = '{' WHERE seq = 4", 4},
		{"no detail", "UPDATE audit SET detail = '' WHERE seq = 4", 4},
		{"a time, by a microsecond", "UPDATE audit SET at = at + 1 WHERE seq = 4", 4},
		{"what was before", "UPDATE audit SET before_sha256 = hash WHERE seq = 4", 4},
		{"what is after", "UPDATE audit SET after_sha256 = hash WHERE seq = 4", 4},
		{"a hash", "UPDATE audit SET hash = previous WHERE seq = 4", 4},
		{"a hash that is none", "UPDATE audit SET hash = before_sha256 WHERE seq = 4", 4},
		{"a link", "UPDATE audit SET previous = hash WHERE seq = 4", 4},
		{"the first is gone", "DELETE FROM audit WHERE seq = 1", 1},
		{"one is gone", "DELETE FROM audit WHERE seq = 4", 4},
		{"several are gone", "DELETE FROM audit WHERE seq BETWEEN 3 AND 6", 3},
		{"the last is gone", "DELETE FROM audit WHERE seq = 9", 9},
		{"all are gone", "DELETE FROM audit", 1},
		{"the last is gone, and the head says so", "DELETE FROM audit WHERE seq = 9; UPDATE head SET audit_seq = 8", 8},
		{"one is gone, and the gap is closed", "DELETE FROM audit WHERE seq = 8; UPDATE audit SET seq = 8 WHERE seq = 9; UPDATE head SET audit_seq = 8", 8},
		{"two are exchanged", "UPDATE audit SET seq = 100 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 100", 4},
		{"one is there twice", "UPDATE audit SET seq = 10 WHERE seq = 9; " + clone(9, 8), 9},
		{"one was added", clone(10, 9), 10},
		{"one was added before all", clone(0, 1), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l.executes(t, "DELETE FROM audit; INSERT INTO audit SELECT * FROM whole; UPDATE head SET audit_seq = 9")
			l.log(t)
			l.executes(t, c.statement)
			_, err := l.VerifyAudit(t.Context(), store.AuditRange{})
			require.ErrorIs(t, err, store.ErrChainBroken)
			var broken *store.ChainError
			require.ErrorAs(t, err, &broken)
			assert.Equal(t, c.at, broken.Seq, broken.Reason)
		})
	}
}

// executes changes the database behind the back of the store.
func (l *lab) executes(tb testing.TB, statements string) {
	tb.Helper()
	for statement := range strings.SplitSeq(statements, ";") {
		require.NoError(tb, l.engine.Exec(context.Background(), l.place, statement))
	}
}

// clone is a statement that adds a record like another one.
func clone(seq, of int) string {
	return fmt.Sprintf("INSERT INTO audit SELECT %d, at, principal, action, outcome, resource, namespace, origin, request_id, detail,"+
		" before_sha256, after_sha256, previous, hash FROM audit WHERE seq = %d", seq, of)
}
