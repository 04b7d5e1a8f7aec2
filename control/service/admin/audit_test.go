package admin_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/store"
)

// write puts a policy into the store, as somebody else's service would.
func (r *rig) write(t *testing.T, who, namespace, name string) {
	t.Helper()
	ctx := as(t, who, func(c *call.Call) { c.RequestID = "request-" + name })
	err := r.core.Change(ctx, func(within context.Context, tx store.Tx) error {
		_, err := tx.CreatePolicy(within, store.NewPolicy{
			PolicyKey: store.PolicyKey{Namespace: namespace, Name: name}, Spec: []byte("{}"),
		}, r.core.Entry(ctx, "policies.create"))
		return err
	})
	require.NoError(t, err)
}

func TestTheAuditLogShowsWhatOneMaySee(t *testing.T) {
	r := newRig(t, "")
	r.write(t, "root", "shop", "a")
	r.clock.forward(time.Hour)
	r.write(t, "root", "bank", "b")
	r.write(t, "shop-admin", "shop", "c")
	r.create(as(t, "root"), t, "ci", "viewer:*")

	list := func(who string, req *phoenixv1.ListAuditRequest) []string {
		t.Helper()
		answer, err := r.Audit.ListAudit(as(t, who), req)
		require.NoError(t, err)
		var found []string
		for _, rec := range answer.GetRecords() {
			found = append(found, rec.GetPrincipal()[len("certificate:"):]+" "+rec.GetAction()+" "+rec.GetNamespace())
		}
		return found
	}
	filter := func(text string) *phoenixv1.ListAuditRequest { return &phoenixv1.ListAuditRequest{Filter: text} }
	all := []string{"root apiKeys.create ", "shop-admin policies.create shop", "root policies.create bank", "root policies.create shop"}
	assert.Equal(t, all, list("root", filter("")))
	assert.Equal(t, []string{all[1], all[3]}, list("shop-operator", filter("")))
	assert.Equal(t, []string{all[1], all[3]}, list("root", filter(`namespace = "shop"`)))
	assert.Equal(t, []string{all[3]}, list("shop-admin", filter(`principal = "certificate:root"`)))
	assert.Equal(t, []string{all[1]}, list("root", filter(`resource = "policies/shop/c" AND action = "policies.create"`)))
	assert.Empty(t, list("shop-admin", filter(`action = "apiKeys.create"`)))
	hourLater := timestamppb.New(r.clock.Now())
	assert.Equal(t, all[3:], list("root", &phoenixv1.ListAuditRequest{To: hourLater}))
	assert.Equal(t, all[:3], list("root", &phoenixv1.ListAuditRequest{From: hourLater}))
	assert.Equal(t, all[:2], list("root", &phoenixv1.ListAuditRequest{PageSize: 2}))

	// These look at the log last, for the refusals are in it.
	_, err := r.Audit.ListAudit(as(t, "shop-admin"), filter(`namespace = "bank"`))
	refused(t, err, fault.NotFound)
	_, err = r.Audit.ListAudit(as(t, "viewer"), filter(""))
	refused(t, err, fault.Forbidden)
	assert.Equal(t, []string{"certificate:viewer audit.list refused", "certificate:shop-admin audit.list refused"}, r.audited(t)[:2])
}

func TestARecordHasAllThatWasNoted(t *testing.T) {
	r := newRig(t, "")
	_, err := r.System.EngageKillSwitch(as(t, "root"), &phoenixv1.EngageKillSwitchRequest{Reason: "why not"})
	require.NoError(t, err)
	answer, err := r.Audit.ListAudit(as(t, "root"), &phoenixv1.ListAuditRequest{})
	require.NoError(t, err)
	require.Len(t, answer.GetRecords(), 1)
	rec := answer.GetRecords()[0]
	assert.InDelta(t, 1, rec.GetSeq(), 0)
	assert.Equal(t, r.clock.Now(), rec.GetTime().AsTime())
	assert.Equal(t, "killSwitch.engage", rec.GetAction())
	assert.Equal(t, "done", rec.GetOutcome())
	assert.Equal(t, "killSwitch", rec.GetResource())
	assert.Equal(t, "192.0.2.7:1234", rec.GetOrigin())
	assert.Equal(t, "r-1", rec.GetRequestId())
	assert.Len(t, rec.GetHash(), 64)
	assert.Len(t, rec.GetAfter(), 64)
	assert.Empty(t, rec.GetPrevious())
}

func TestMistakesOfAuditRequests(t *testing.T) {
	r := newRig(t, "")
	f := func(req *phoenixv1.ListAuditRequest, fields ...string) {
		t.Helper()
		_, err := r.Audit.ListAudit(as(t, "root"), req)
		violation(t, err, fields...)
	}
	f(&phoenixv1.ListAuditRequest{Filter: `principal = "a*"`}, "filter")
	f(&phoenixv1.ListAuditRequest{Filter: `principal != "a"`}, "filter")
	f(&phoenixv1.ListAuditRequest{Filter: `principal = ""`}, "filter")
	f(&phoenixv1.ListAuditRequest{Filter: `action = "a" AND action = "b" AND principal : "c"`}, "filter", "filter")
	f(&phoenixv1.ListAuditRequest{Filter: `outcome = "done"`}, "filter")
	f(&phoenixv1.ListAuditRequest{Filter: "'; DROP TABLE audit; --"}, "filter")
	now := timestamppb.Now()
	f(&phoenixv1.ListAuditRequest{From: now, To: now, PageSize: 5000}, "to", "page_size")
	f(&phoenixv1.ListAuditRequest{PageToken: "AA"}, "page_token")
	verify := func(first, last float64, fields ...string) {
		t.Helper()
		_, err := r.Audit.VerifyAudit(as(t, "root"), &phoenixv1.VerifyAuditRequest{First: first, Last: last})
		violation(t, err, fields...)
	}
	verify(-1, 0.5, "first", "last")
	verify(math.NaN(), math.Inf(1), "first", "last")
	verify(0, 1e300, "last")
	verify(3, 2, "last")
}

func TestAnEditedLogIsFound(t *testing.T) {
	r := newRig(t, "")
	for _, name := range []string{"a", "b", "c", "d"} {
		r.write(t, "root", "shop", name)
	}
	verify := func() *phoenixv1.VerifyAuditResponse {
		t.Helper()
		answer, err := r.Audit.VerifyAudit(as(t, "operator"), &phoenixv1.VerifyAuditRequest{})
		require.NoError(t, err)
		return answer
	}
	whole := verify()
	assert.True(t, whole.GetIntact())
	assert.InDelta(t, 1, whole.GetFirst(), 0)
	assert.InDelta(t, 4, whole.GetLast(), 0)
	assert.Len(t, whole.GetHash(), 64)
	part, err := r.Audit.VerifyAudit(as(t, "root"), &phoenixv1.VerifyAuditRequest{First: 2, Last: 3})
	require.NoError(t, err)
	assert.InDelta(t, 3, part.GetLast(), 0)
	_, err = r.Audit.VerifyAudit(as(t, "shop-admin"), &phoenixv1.VerifyAuditRequest{})
	refused(t, err, fault.Forbidden)

	// Somebody who has the file changes which request made b.
	require.NoError(t, r.store.Close())
	content, err := os.ReadFile(r.path)
	require.NoError(t, err)
	edited := bytes.Replace(content, []byte("request-b"), []byte("request-x"), 1)
	require.NotEqual(t, content, edited)
	require.NoError(t, os.WriteFile(r.path, edited, 0o600))
	r.open(t, "")
	broken := verify()
	assert.False(t, broken.GetIntact())
	assert.InDelta(t, 2, broken.GetBrokenAt(), 0)
	assert.NotEmpty(t, broken.GetReason())
}
