package publish_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

func TestTheFileTurnsAllOffWithinASecond(t *testing.T) {
	s := newStore(t)
	put(t, s, "a", "x", store.StateEnforced, spec(0, "m"))
	file := filepath.Join(t.TempDir(), "kill-switch")
	var mu sync.Mutex
	var told []bool
	p := publish.New(publish.Settings{Store: s, KillFile: file, OnKillFile: func(k publish.KillState) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, k.Engaged)
	}})
	run(t, p)
	within(t, 5*time.Second, "the policy", func() bool { return len(p.Policy().Rules) == 1 })
	version := p.Policy().Version

	require.NoError(t, os.WriteFile(file, []byte("the bill is wrong\nsecond line"), 0o600))
	t.Log(within(t, time.Second, "all off", func() bool { return len(p.Policy().Rules) == 0 }))
	assert.Greater(t, p.Policy().Version, version)
	assert.True(t, p.Policy().Urgent, "processors do not wait for the edge of an interval")
	k := p.Status().Kill
	assert.Equal(t, publish.KillState{Engaged: true, Source: "file", Reason: "the bill is wrong", At: k.At, By: "file"}, k)
	off := p.Policy()

	put(t, s, "a", "y", store.StateEnforced, spec(0, "m"))
	write(t, s, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.SetKillSwitch(ctx, store.KillSwitchUpdate{On: true, Reason: "by hand"}, entry)
		return err
	})
	within(t, time.Second, "both", func() bool { return p.Status().Kill.Source == "both" })
	assert.Equal(t, "by hand; file: the bill is wrong", p.Status().Kill.Reason)
	require.NoError(t, os.Remove(file))
	within(t, time.Second, "the file to be gone", func() bool { return p.Status().Kill.Source == "api" })
	assert.Same(t, off, p.Policy(), "the API still says so, and nothing else makes a difference")
	write(t, s, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.SetKillSwitch(ctx, store.KillSwitchUpdate{On: false, Reason: "fixed"}, entry)
		return err
	})
	within(t, time.Second, "all on again", func() bool { return len(p.Policy().Rules) == 2 })
	assert.Greater(t, p.Policy().Version, off.Version)
	assert.False(t, p.Policy().Urgent)
	assert.False(t, p.Status().Kill.Engaged)
	assert.Empty(t, p.Status().Kill.Source)
	assert.Equal(t, "fixed", p.Status().Kill.Reason)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []bool{true, true}, told, "engaged, then engaged still by the API")
}

func TestTheFileIsSeenBeforeAnythingIsPublished(t *testing.T) {
	s := newStore(t)
	put(t, s, "a", "x", store.StateEnforced, spec(0, "m"))
	file := filepath.Join(t.TempDir(), "kill-switch")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	var published []publish.Status
	p := publish.New(publish.Settings{Store: s, KillFile: file, OnPublish: func(st publish.Status) { published = append(published, st) }})
	require.NoError(t, p.Open(t.Context()))
	require.Len(t, published, 1)
	assert.True(t, published[0].Kill.Engaged)
	assert.Zero(t, published[0].Rules)
	assert.Empty(t, p.Policy().Rules)
	assert.Len(t, p.Rules(), 1, "the store was read")
}

// TestAHoldIsWhatTheStoreWillSay: without the store, then with it, and when
// another replica released it meanwhile.
func TestAHoldIsWhatTheStoreWillSay(t *testing.T) {
	s := newStore(t)
	put(t, s, "a", "x", store.StateEnforced, spec(0, "m"))
	p := publish.New(publish.Settings{Store: s})
	require.NoError(t, p.Open(t.Context()))
	on := p.Policy()
	held := p.Hold(publish.Hold{Reason: "stop", By: "ada"})
	off := p.Policy()
	assert.Empty(t, off.Rules)
	assert.True(t, off.Urgent)
	assert.Greater(t, off.Version, on.Version)
	assert.Equal(t, publish.KillState{Engaged: true, Source: "api", Reason: "stop", By: "ada", Unstored: true}, p.Status().Kill)
	put(t, s, "a", "y", store.StateEnforced, spec(0, "m"))
	require.NoError(t, p.Refresh(t.Context()))
	assert.Same(t, off, p.Policy(), "whatever the store says")

	turn := func(on bool) {
		t.Helper()
		write(t, s, func(ctx context.Context, tx store.Tx) error {
			_, err := tx.SetKillSwitch(ctx, store.KillSwitchUpdate{On: on, Reason: "stop"}, entry)
			return err
		})
	}
	turn(true)
	require.NoError(t, p.Stored(t.Context(), held))
	assert.Same(t, off, p.Policy(), "it goes on without a moment in between")
	assert.True(t, p.Status().Kill.Stored)
	assert.False(t, p.Status().Kill.Unstored)
	p.Unhold(held)
	assert.Same(t, off, p.Policy(), "it is the store's now")
	turn(false)
	require.NoError(t, p.Refresh(t.Context()))
	assert.Len(t, p.Policy().Rules, 2)

	held = p.Hold(publish.Hold{Reason: "again"})
	p.Hold(publish.Hold{Reason: "and again"})
	p.Unhold(held)
	assert.Equal(t, "and again", p.Status().Kill.Reason, "another one took its place")
	held = p.Hold(publish.Hold{Reason: "stop"})
	turn(true)
	turn(false)
	require.NoError(t, p.Stored(t.Context(), held))
	assert.Len(t, p.Policy().Rules, 2, "another replica released it")
}

func TestTheFileWorksWithoutTheStore(t *testing.T) {
	s := newStore(t)
	require.NoError(t, s.Close())
	file := filepath.Join(t.TempDir(), "kill-switch")
	require.NoError(t, os.Symlink("/nowhere", file), "whatever has the name will do")
	p := publish.New(publish.Settings{Store: s, KillFile: file})
	run(t, p)
	within(t, time.Second, "a snapshot", func() bool { return p.Policy().Version == 1 })
	assert.Empty(t, p.Policy().Rules)
	require.NoError(t, os.Remove(file))
	within(t, time.Second, "the release", func() bool { return !p.Status().Kill.Engaged })
	assert.EqualValues(t, 1, p.Policy().Version, "there is nothing to go back to")
}

// A store that hangs holds up neither the file nor whoever asks for the policy.
func TestTheFileWorksWhileTheStoreHangs(t *testing.T) {
	s := newStore(t)
	put(t, s, "a", "x", store.StateEnforced, spec(0, "m"))
	slow := &hanging{PolicyReader: s}
	file := filepath.Join(t.TempDir(), "kill-switch")
	p := publish.New(publish.Settings{Store: slow, KillFile: file})
	require.NoError(t, p.Refresh(t.Context()))
	slow.hangs = true
	run(t, p)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	within(t, time.Second, "all off", func() bool { return len(p.Policy().Rules) == 0 })
}

// hanging is a real store whose network is gone without a word.
type hanging struct {
	store.PolicyReader
	hangs bool
}

func (h *hanging) PolicyVersion(ctx context.Context) (uint64, error) {
	if h.hangs {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return h.PolicyReader.PolicyVersion(ctx)
}

func TestReasonsAreBounded(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "kill-switch")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		p := publish.New(publish.Settings{Store: newStore(t), KillFile: file})
		stop := run(t, p)
		within(t, time.Second, "the file", func() bool { return p.Status().Kill.Engaged })
		stop()
		assert.Equal(t, want, p.Status().Kill.Reason)
	}
	f("", "")
	f(" a \r\nb", "a")
	f("a\x00b\xffc", "abc")
	f(strings.Repeat("x", 10_000), strings.Repeat("x", 512))
}
