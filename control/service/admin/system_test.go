package admin_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"

	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

func TestSystemSaysWhatRunsAlsoWithoutTheStore(t *testing.T) {
	r := newRig(t, "")
	get := func() *phoenixv1.SystemInfo {
		t.Helper()
		info, err := r.System.GetSystem(as(t, "bank-viewer"), &phoenixv1.GetSystemRequest{})
		require.NoError(t, err)
		return info
	}
	info := get()
	assert.Equal(t, "phoenix-collector", info.GetName())
	assert.Equal(t, "1.2.3", info.GetVersion())
	assert.Equal(t, "here", info.GetInstanceId())
	assert.Equal(t, "abc", info.GetConfigSha256())
	assert.True(t, info.GetReady())
	assert.Equal(t, "loopback", info.GetExposure())
	assert.Contains(t, info.GetRuntime(), runtime.Version())
	assert.Equal(t, r.clock.Now(), info.GetStartedAt().AsTime())
	assert.Equal(t, "sqlite", info.GetStore().GetEngine())
	assert.True(t, info.GetStore().GetAvailable())
	assert.Positive(t, info.GetStore().GetSizeBytes())
	assert.Positive(t, info.GetStore().GetSchemaVersion())
	assert.Positive(t, info.GetPolicyVersion())
	assert.False(t, info.GetKillSwitch().GetEngaged())

	require.NoError(t, r.store.Close())
	info = get()
	assert.False(t, info.GetStore().GetAvailable())
	assert.NotEmpty(t, info.GetStore().GetProblem())
	assert.NotContains(t, info.GetStore().GetProblem(), r.path)
	refusedBy := as(t, "", func(c *call.Call) { c.Principal.Kind = "" })
	_, err := r.System.GetSystem(refusedBy, &phoenixv1.GetSystemRequest{})
	refused(t, err, fault.Unauthenticated)
}

func TestWhoAmI(t *testing.T) {
	r := newRig(t, "")
	me, err := r.System.WhoAmI(as(t, "shop-admin"), &phoenixv1.WhoAmIRequest{})
	require.NoError(t, err)
	assert.Equal(t, "certificate:shop-admin", me.GetPrincipal())
	assert.Equal(t, "certificate", me.GetKind())
	assert.Equal(t, []string{"admin:shop"}, me.GetGrants())
	stranger, err := r.System.WhoAmI(as(t, "stranger"), &phoenixv1.WhoAmIRequest{})
	require.NoError(t, err)
	assert.Empty(t, stranger.GetGrants())
	_, err = r.System.WhoAmI(t.Context(), &phoenixv1.WhoAmIRequest{})
	refused(t, err, fault.Unauthenticated)
}

func TestTheKillSwitchIsTurnedAndTold(t *testing.T) {
	r := newRig(t, "")
	watching, err := r.core.Events.Subscribe(nil)
	require.NoError(t, err)
	defer watching.Close()
	version := r.publisher.Policy().Version
	engaged, err := r.System.EngageKillSwitch(as(t, "operator"), &phoenixv1.EngageKillSwitchRequest{Reason: "sums are wrong"})
	require.NoError(t, err)
	assert.True(t, engaged.GetEngaged())
	assert.Equal(t, "api", engaged.GetSource())
	assert.Equal(t, "sums are wrong", engaged.GetReason())
	assert.Equal(t, "certificate:operator", engaged.GetBy())
	assert.Equal(t, r.clock.Now(), engaged.GetAt().AsTime())
	assert.Greater(t, r.publisher.Policy().Version, version, "the data path was told before the answer")
	event, err := watching.Next(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "killswitch.engaged", event.Type)
	assert.Equal(t, "certificate:operator", event.Principal)

	_, err = r.System.EngageKillSwitch(as(t, "root"), &phoenixv1.EngageKillSwitchRequest{Reason: "still"})
	require.NoError(t, err)
	state, err := r.System.GetKillSwitch(as(t, "bank-viewer"), &phoenixv1.GetKillSwitchRequest{})
	require.NoError(t, err)
	assert.Equal(t, "still", state.GetReason())
	assert.Equal(t, uint64(1), r.core.Events.Published(), "it was on already")

	released, err := r.System.ReleaseKillSwitch(as(t, "operator"), &phoenixv1.ReleaseKillSwitchRequest{})
	require.NoError(t, err)
	assert.False(t, released.GetEngaged())
	assert.Empty(t, released.GetSource())
	assert.Equal(t, uint64(2), r.core.Events.Published())
	assert.Equal(t, []string{
		"certificate:operator killSwitch.release done", "certificate:root killSwitch.engage done", "certificate:operator killSwitch.engage done",
	}, r.audited(t))
}

func TestTheKillSwitchIsNotForEverybody(t *testing.T) {
	r := newRig(t, "")
	for _, who := range []string{"shop-admin", "viewer", "stranger"} {
		_, err := r.System.EngageKillSwitch(as(t, who), &phoenixv1.EngageKillSwitchRequest{Reason: "x"})
		refused(t, err, fault.Forbidden)
		_, err = r.System.ReleaseKillSwitch(as(t, who), &phoenixv1.ReleaseKillSwitchRequest{})
		refused(t, err, fault.Forbidden)
	}
	assert.Len(t, r.audited(t), 6)
	for _, reason := range []string{"", " \t", strings.Repeat("x", 1025)} {
		_, err := r.System.EngageKillSwitch(as(t, "root"), &phoenixv1.EngageKillSwitchRequest{Reason: reason})
		violation(t, err, "reason")
	}
	_, err := r.System.ReleaseKillSwitch(as(t, "root"), &phoenixv1.ReleaseKillSwitchRequest{Reason: strings.Repeat("x", 1025)})
	violation(t, err, "reason")
}

func TestTheFileKeepsTheSwitchEngaged(t *testing.T) {
	kill := filepath.Join(t.TempDir(), "kill-switch")
	r := newRig(t, kill)
	require.NoError(t, os.WriteFile(kill, []byte("by hand\n"), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		r.publisher.Run(ctx)
	}()
	defer func() { cancel(); <-ran }()
	require.Eventually(t, func() bool { return r.publisher.Status().Kill.Engaged }, waitLong, waitStep)
	both, err := r.System.EngageKillSwitch(as(t, "root"), &phoenixv1.EngageKillSwitchRequest{Reason: "by API"})
	require.NoError(t, err)
	assert.Equal(t, "both", both.GetSource())
	assert.Equal(t, "certificate:root", both.GetBy())
	still, err := r.System.ReleaseKillSwitch(as(t, "root"), &phoenixv1.ReleaseKillSwitchRequest{})
	require.NoError(t, err)
	assert.True(t, still.GetEngaged())
	assert.Equal(t, "file", still.GetSource())
	assert.Equal(t, "by hand", still.GetReason())
}

// download takes a backup.
type download struct {
	grpc.ServerStream
	ctx    context.Context
	chunks [][]byte
	fail   error
}

func (d *download) Context() context.Context { return d.ctx }

func (d *download) Send(b *httpbody.HttpBody) error {
	d.chunks = append(d.chunks, b.GetData())
	return d.fail
}

func TestABackupIsAStoreAgain(t *testing.T) {
	r := newRig(t, "")
	noise := strings.Repeat("0123456789abcdef", 4)
	for i := range 180 {
		r.write(t, "root", "shop", noise+"-"+strings.Repeat("x", i))
	}
	d := &download{ctx: as(t, "root")}
	require.NoError(t, r.System.Backup(&phoenixv1.BackupRequest{}, d))
	for _, c := range d.chunks {
		assert.LessOrEqual(t, len(c), 64<<10)
	}
	other, err := sqlite.Open(t.Context(), sqlite.Settings{Path: filepath.Join(t.TempDir(), "phoenix.db")})
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.Restore(t.Context(), bytes.NewReader(bytes.Join(d.chunks, nil))))
	assert.Equal(t, "certificate:root backup.create done", r.audited(t)[0])

	for _, who := range []string{"operator", "shop-admin"} {
		refused(t, r.System.Backup(&phoenixv1.BackupRequest{}, &download{ctx: as(t, who)}), fault.Forbidden)
	}
	cut := &download{ctx: as(t, "root"), fail: errors.New("the client is gone")}
	require.Error(t, r.System.Backup(&phoenixv1.BackupRequest{}, cut))
	assert.Equal(t, []string{"certificate:root backup.create failed", "certificate:root backup.create done"}, r.audited(t)[:2])
}
