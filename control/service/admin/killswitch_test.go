package admin_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/service/admin"
	"github.com/phoenix-platform/phoenix/control/store"
)

func (r *rig) engage(t *testing.T, who, reason string) *phoenixv1.KillSwitch {
	t.Helper()
	k, err := r.System.EngageKillSwitch(as(t, who), &phoenixv1.EngageKillSwitchRequest{Reason: reason})
	require.NoError(t, err)
	return k
}

func (r *rig) release(t *testing.T, reason string) *phoenixv1.KillSwitch {
	t.Helper()
	k, err := r.System.ReleaseKillSwitch(as(t, "operator"), &phoenixv1.ReleaseKillSwitchRequest{Reason: reason})
	require.NoError(t, err)
	return k
}

// atOnce is half a second, and what a busy machine takes beside it.
const atOnce = 3 * time.Second

func (r *rig) cut(t *testing.T) {
	t.Helper()
	r.line.set(func() { r.line.cut = store.ErrUnavailable })
}

func (r *rig) mend(t *testing.T) {
	t.Helper()
	r.line.set(func() { r.line.cut = nil })
}

// turned returns what the audit log says of the kill switch, the oldest first.
func (r *rig) turned(t *testing.T) []string {
	t.Helper()
	page, err := r.store.ListAudit(t.Context(), store.AuditQuery{Resource: "killSwitch"})
	require.NoError(t, err)
	var list []string
	for _, rec := range page.Items {
		assert.NotEmpty(t, rec.Origin)
		assert.NotEmpty(t, rec.RequestID)
		line := fmt.Sprintf("%s %s %q", rec.Principal, rec.Action, rec.Detail["reason"])
		if rec.Detail["in_process"] != "" {
			line += " in process"
		}
		list = append([]string{line}, list...)
	}
	_, err = r.store.VerifyAudit(t.Context(), store.AuditRange{})
	require.NoError(t, err)
	return list
}

// eventually waits until the audit log has this of the kill switch.
func (r *rig) eventually(t *testing.T, want ...string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.turned(t)) >= len(want) }, waitLong, waitStep)
	assert.Equal(t, want, r.turned(t))
}

func TestTheKillSwitchNeedsNoStore(t *testing.T) {
	kill := filepath.Join(t.TempDir(), "kill-switch")
	r := newRig(t, kill)
	runs(t, r.publisher.Run)
	r.cut(t)
	at := r.clock.Now()
	began := time.Now()
	k := r.engage(t, "operator", "sums\nare wrong")
	assert.Less(t, time.Since(began), atOnce)
	assert.True(t, k.GetEngaged())
	assert.Equal(t, "api", k.GetSource())
	assert.Equal(t, "certificate:operator", k.GetBy())
	assert.True(t, r.publisher.Policy().Urgent)
	require.Len(t, k.GetWarnings(), 1)
	assert.Contains(t, k.GetWarnings()[0], "the store has not taken it yet")
	assert.Positive(t, r.logs.FilterLevelExact(zap.ErrorLevel).FilterMessageSnippet("did not take it yet").Len())

	// The file makes it survive a restart.
	require.Eventually(t, func() bool { return r.publisher.Status().Kill.Kept }, waitLong, waitStep)
	assert.Equal(t, "api", r.publisher.Status().Kill.Source, "the own file is no second switch")
	next := publish.New(publish.Settings{Store: r.line, KillFile: kill})
	require.Error(t, next.Open(t.Context()), "of the next process, which has no store either")
	assert.Equal(t, "file sums are wrong", next.Status().Kill.Source+" "+next.Status().Kill.Reason)

	r.clock.forward(time.Hour)
	r.mend(t)
	r.eventually(t, `certificate:operator killSwitch.engage "sums\nare wrong"`)
	require.Eventually(t, func() bool { return !r.publisher.Status().Kill.Unstored }, waitLong, waitStep)
	stored, err := r.store.GetKillSwitch(t.Context())
	require.NoError(t, err)
	assert.True(t, stored.On)
	assert.Equal(t, at, stored.At, "that is when it was engaged")
	page, err := r.store.ListAudit(t.Context(), store.AuditQuery{})
	require.NoError(t, err)
	assert.Equal(t, at.Format(time.RFC3339), page.Items[0].Detail["at"])
	assert.Equal(t, r.clock.Now(), page.Items[0].Time, "that is when it was stored")
	require.Eventually(t, func() bool { return gone(kill) }, waitLong, waitStep, "the file is not needed any more")
	assert.Empty(t, r.release(t, "over").GetWarnings())
	assert.False(t, r.publisher.Status().Kill.Engaged)
}

func gone(path string) bool {
	_, err := os.Lstat(path)
	return os.IsNotExist(err)
}

func TestAReleaseCancelsWhatIsNotStored(t *testing.T) {
	kill := filepath.Join(t.TempDir(), "kill-switch")
	r := newRig(t, kill)
	runs(t, r.publisher.Run)
	r.cut(t)
	r.engage(t, "operator", "one")
	r.engage(t, "root", "two")
	assert.Equal(t, "two", r.publisher.Status().Kill.Reason)
	assert.False(t, gone(kill))
	k := r.release(t, "over")
	assert.False(t, k.GetEngaged())
	assert.Empty(t, k.GetSource())
	require.Eventually(t, func() bool { return gone(kill) }, waitLong, waitStep)
	r.mend(t)
	r.eventually(t, `certificate:operator killSwitch.engage "one" in process`, `certificate:root killSwitch.engage "two" in process`,
		`certificate:operator killSwitch.release "over" in process`)
	stored, err := r.store.GetKillSwitch(t.Context())
	require.NoError(t, err)
	assert.Zero(t, stored, "the store never had it")
	assert.False(t, r.publisher.Status().Kill.Engaged)
}

// TestWhatTheStoreHasIsReleasedThere: only the store can release what others see.
func TestWhatTheStoreHasIsReleasedThere(t *testing.T) {
	r := newRig(t, "")
	r.engage(t, "operator", "one")
	r.cut(t)
	r.engage(t, "root", "two")
	_, err := r.System.ReleaseKillSwitch(as(t, "operator"), &phoenixv1.ReleaseKillSwitchRequest{})
	refused(t, err, fault.Unavailable)
	assert.Equal(t, "two", r.publisher.Status().Kill.Reason)
	r.mend(t)
	k := r.release(t, "over")
	assert.False(t, k.GetEngaged())
	// The second one may have been on its way to the store.
	require.Eventually(t, func() bool {
		stored, err := r.store.GetKillSwitch(t.Context())
		return err == nil && !stored.On && len(r.turned(t)) >= 3 && !r.publisher.Status().Kill.Engaged
	}, waitLong, waitStep)
}

// TestACommitThatWasNotConfirmedIsNotRepeated: it is in the audit log once, and
// a release takes it back though nobody knew that it was stored.
func TestACommitThatWasNotConfirmedIsNotRepeated(t *testing.T) {
	r := newRig(t, "")
	r.line.set(func() { r.line.deaf = true })
	assert.NotEmpty(t, r.engage(t, "operator", "one").GetWarnings())
	r.mend(t)
	require.Eventually(t, func() bool { return !r.publisher.Status().Kill.Unstored }, waitLong, waitStep)
	assert.Equal(t, []string{`certificate:operator killSwitch.engage "one"`}, r.turned(t))
	r.release(t, "over")

	r.line.set(func() { r.line.deaf = true })
	r.engage(t, "operator", "again")
	assert.False(t, r.release(t, "over again").GetEngaged())
	r.mend(t)
	r.eventually(t, `certificate:operator killSwitch.engage "one"`, `certificate:operator killSwitch.release "over"`,
		`certificate:operator killSwitch.engage "again"`, `certificate:operator killSwitch.release "over again"`)
	stored, err := r.store.GetKillSwitch(t.Context())
	require.NoError(t, err)
	assert.False(t, stored.On)
}

// A store that hangs as disks and networks do, whatever contexts say.
func TestTheKillSwitchDoesNotWaitForAStoreThatHangs(t *testing.T) {
	r := newRig(t, "")
	works := make(chan struct{})
	r.line.set(func() { r.line.hangs = works })
	began := time.Now()
	k := r.engage(t, "operator", "stuck")
	assert.Less(t, time.Since(began), atOnce)
	assert.True(t, k.GetEngaged())
	assert.True(t, r.publisher.Policy().Urgent)
	assert.False(t, r.release(t, "a mistake").GetEngaged())
	r.line.set(func() { r.line.hangs = nil })
	close(works)
	// The first one was on its way when it was released.
	r.eventually(t, `certificate:operator killSwitch.engage "stuck"`, `certificate:operator killSwitch.release "a mistake"`)
	require.Eventually(t, func() bool { return !r.publisher.Status().Kill.Engaged }, waitLong, waitStep)
}

func TestWhatWaitsForTheStoreIsBounded(t *testing.T) {
	r := newRig(t, "")
	r.cut(t)
	done := make(chan struct{})
	for range 70 { // together: each waits for the store
		go func() {
			defer func() { done <- struct{}{} }()
			_, _ = r.System.EngageKillSwitch(as(t, "operator"), &phoenixv1.EngageKillSwitchRequest{Reason: "again"})
		}()
	}
	for range 70 {
		<-done
	}
	assert.Equal(t, 6, r.logs.FilterMessageSnippet("too often to be audited").Len())
	r.mend(t)
	require.Eventually(t, func() bool { return len(r.audited(t)) == 64 }, waitLong, waitStep)
}

// A file that is not ours is not touched, and one that cannot be made is told.
func TestTheFileOfSomebodyElseStays(t *testing.T) {
	kill := filepath.Join(t.TempDir(), "none", "kill-switch")
	r := newRig(t, kill)
	runs(t, r.publisher.Run)
	r.cut(t)
	k := r.engage(t, "operator", "one")
	assert.Contains(t, k.GetWarnings()[0], "a restart of this collector forgets it")
	require.NoError(t, os.Mkdir(filepath.Dir(kill), 0o700))
	require.Eventually(t, func() bool { return r.publisher.Status().Kill.Kept }, waitLong, waitStep, "it is tried again")
	require.NoError(t, os.WriteFile(kill, []byte("mine now"), 0o600))
	require.Eventually(t, func() bool { return r.publisher.Status().Kill.Source == "both" }, waitLong, waitStep)
	r.mend(t)
	require.Eventually(t, func() bool { return !r.publisher.Status().Kill.Unstored }, waitLong, waitStep)
	k = r.release(t, "over")
	assert.True(t, k.GetEngaged())
	assert.Equal(t, "file", k.GetSource())
	assert.False(t, gone(kill))
}

// TestAnEndBeforeItIsStoredIsTold: the log has what the audit log never got.
func TestAnEndBeforeItIsStoredIsTold(t *testing.T) {
	r := newRig(t, "")
	r.cut(t)
	services := admin.New(admin.Settings{Core: r.core, Keys: r.keys, Publisher: r.publisher})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		services.KillSwitch.Run(ctx)
	}()
	_, err := services.KillSwitch.Engage(as(t, "operator"), "one")
	require.NoError(t, err)
	cancel()
	<-ended
	told := r.logs.FilterMessageSnippet("the store never took it").All()
	require.Len(t, told, 1)
	assert.Equal(t, "one", told[0].ContextMap()["reason"])
	assert.Equal(t, "certificate:operator", told[0].ContextMap()["principal"])
}
