package publish_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

func TestNothingIsKnownUntilTheStoreWasRead(t *testing.T) {
	s := newStore(t)
	p := publish.New(publish.Settings{Store: s})
	assert.Equal(t, &policy.Snapshot{Rules: []policy.Rule{}}, p.Policy())
	assert.Zero(t, p.Status())
	require.NoError(t, p.Refresh(t.Context()))
	assert.EqualValues(t, 1, p.Policy().Version, "that there are no policies is known now")
	assert.Empty(t, p.Policy().Rules)
	assert.True(t, p.Includes(1, 0))
	assert.False(t, p.Includes(0, 0))
}

func TestWhatChangesNothingPublishesNothing(t *testing.T) {
	s := newStore(t)
	p := publish.New(publish.Settings{Store: s})
	require.NoError(t, p.Refresh(t.Context()))
	put(t, s, "a", "x", store.StateEnforced, spec(0, "m"))
	require.NoError(t, p.Refresh(t.Context()))
	before := p.Policy()

	draft := put(t, s, "a", "draft", store.StateDraft, spec(0, "m"))
	require.NoError(t, p.Refresh(t.Context()))
	described := spec(0, "m")
	described.Description = "why"
	told := put(t, s, "a", "x", store.StateEnforced, described)
	require.NoError(t, p.Changed(t.Context(), told))

	assert.Same(t, before, p.Policy(), "the data path does not take over the same rules again")
	assert.True(t, p.Includes(before.Version, draft.Version))
	assert.True(t, p.Includes(before.Version, told.Version))
	assert.False(t, p.Includes(before.Version, told.Version+1))
	assert.Equal(t, told.Version, p.Status().StoreVersion)
}

// Whatever happens in whatever order: what Changed made of a publisher is what
// another one reads from the store.
func TestChangesLeadWhereReadingAllLeads(t *testing.T) {
	dir, number := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		if number++; raceEnabled && number > 10 {
			return // the database is many times slower there
		}
		s := openRapid(t, filepath.Join(dir, strconv.Itoa(number)))
		defer s.Close()
		ctx := context.Background()
		p := publish.New(publish.Settings{Store: s, NamespaceAttribute: "ns"})
		last := uint64(0)
		rules := inForce(t, p.Policy())
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				text := anyText(t)
				k := store.PolicyKey{Namespace: rapid.SampledFrom([]string{"default", "b"}).Draw(t, "namespace"), Name: rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name")}
				state := rapid.SampledFrom([]store.PolicyState{store.StateDraft, store.StatePreview, store.StateEnforced, store.StateDisabled}).Draw(t, "state")
				var changed store.Policy
				require.NoError(t, s.Write(ctx, func(ctx context.Context, tx store.Tx) (err error) {
					if _, missing := tx.GetPolicy(ctx, k); missing != nil {
						changed, err = tx.CreatePolicy(ctx, store.NewPolicy{PolicyKey: k, Spec: []byte(text), State: state}, entry)
						return err
					}
					changed, err = tx.UpdatePolicy(ctx, store.PolicyUpdate{PolicyKey: k, If: store.Any, Spec: []byte(text), State: state}, entry)
					return err
				}))
				if rapid.IntRange(0, 3).Draw(t, "told") > 0 { // otherwise somebody else did it
					require.NoError(t, p.Changed(ctx, changed))
				}
			},
			"delete": func(t *rapid.T) {
				k := store.PolicyKey{Namespace: "b", Name: rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name")}
				old, err := s.GetPolicy(ctx, k)
				if err != nil {
					t.Skip("not there")
				}
				var r store.PolicyRevision
				require.NoError(t, s.Write(ctx, func(ctx context.Context, tx store.Tx) (err error) {
					if err := tx.DeletePolicy(ctx, k, store.Any, entry); err != nil {
						return err
					}
					r, err = tx.GetPolicyRevision(ctx, k, old.Revision+1)
					return err
				}))
				require.NoError(t, p.Changed(ctx, store.Policy{PolicyKey: k, State: r.State, Revision: r.Revision, Version: r.Version}))
			},
			"kill": func(t *rapid.T) {
				on := rapid.Bool().Draw(t, "on")
				require.NoError(t, s.Write(ctx, func(ctx context.Context, tx store.Tx) error {
					_, err := tx.SetKillSwitch(ctx, store.KillSwitchUpdate{On: on, Reason: "r"}, entry)
					return err
				}))
			},
			"refresh": func(t *rapid.T) { require.NoError(t, p.Refresh(ctx)) },
			"reprice": func(t *rapid.T) {
				require.NoError(t, p.SetPrices(ctx, prices(cost.Money(rapid.Int64Range(0, 2).Draw(t, "price")))))
			},
			"": func(t *rapid.T) {
				now := inForce(t, p.Policy())
				require.GreaterOrEqual(t, p.Policy().Version, last, "the version fell")
				require.False(t, p.Policy().Version == last && now != rules, "the rules changed and the version did not")
				last, rules = p.Policy().Version, now
				version, err := s.PolicyVersion(ctx)
				require.NoError(t, err)
				if p.Status().StoreVersion != version {
					return // somebody else's change is yet to be polled
				}
				fresh := publish.New(publish.Settings{Store: s, NamespaceAttribute: "ns"})
				require.NoError(t, fresh.SetPrices(ctx, p.Prices()))
				require.NoError(t, fresh.Refresh(ctx))
				want, got := fresh.Status(), p.Status()
				require.Equal(t, fresh.Policy().Rules, p.Policy().Rules)
				require.Equal(t, fresh.Policy().Sampling, p.Policy().Sampling)
				require.Equal(t, fresh.Sampling(), p.Sampling())
				require.ElementsMatch(t, want.Unpriced, got.Unpriced)
				require.Equal(t, p.Status().Kill.Engaged, p.Policy().Urgent)
				require.Equal(t, fresh.Rules(), p.Rules())
				require.ElementsMatch(t, want.LeftOut, got.LeftOut)
				require.Equal(t, want.Kill, got.Kill)
				require.Equal(t, []int{want.Preview, want.Enforced, want.Rules, want.Sampling}, []int{got.Preview, got.Enforced, got.Rules, got.Sampling})
				require.NoError(t, policy.ValidateRules(p.Policy().Rules))
				require.NoError(t, policy.ValidateSamplingRules(p.Policy().Sampling))
			},
		})
	})
}

func anyText(t *rapid.T) string {
	if rapid.IntRange(0, 5).Draw(t, "broken") == 0 {
		return rapid.SampledFrom([]string{`{"x":1}`, `{"rules":[{"match":{"metric":""}}]}`}).Draw(t, "text")
	}
	metrics := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b*", "/c+/"}), 1, 3).Draw(t, "metrics")
	s := spec(rapid.IntRange(-2, 2).Draw(t, "priority"), metrics...)
	if rapid.Bool().Draw(t, "sampling") {
		s.Sampling = sampling(1).Sampling
	}
	text, err := publish.EncodeSpec(s)
	require.NoError(t, err)
	return string(text)
}

// inForce is what the data path gets, as a text.
func inForce(t require.TestingT, s *policy.Snapshot) string {
	text, err := json.Marshal([]any{s.Rules, s.Sampling})
	require.NoError(t, err)
	return string(text)
}

// Another process changes the policies: nobody says so, and they are there within
// a second.
func TestThePollFindsWhatOthersChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "phoenix.db")
	mine, others := openStore(t, path), openStore(t, path)
	p := publish.New(publish.Settings{Store: mine})
	run(t, p)
	put(t, others, "a", "x", store.StatePreview, spec(0, "m"))
	took := within(t, time.Second, "the policy of another process", func() bool {
		return len(p.Policy().Rules) == 1
	})
	t.Log(took)
	write(t, others, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.SetKillSwitch(ctx, store.KillSwitchUpdate{On: true, Reason: "stop"}, entry)
		return err
	})
	within(t, time.Second, "the kill switch of another process", func() bool { return len(p.Policy().Rules) == 0 })
	assert.True(t, p.Policy().Urgent)
	assert.Equal(t, publish.KillState{
		Engaged: true, Source: "api", Reason: "stop", At: p.Status().Kill.At, By: "test", Stored: true,
	}, p.Status().Kill)
	assert.NotZero(t, p.Status().Kill.At)
	assert.Len(t, p.Rules(), 1, "what is in force is known all the same")
}

func TestAWakeSparesThePoll(t *testing.T) {
	s := newStore(t)
	p := publish.New(publish.Settings{Store: s, Poll: time.Hour})
	run(t, p)
	within(t, 5*time.Second, "the first look", func() bool { return p.Policy().Version == 1 })
	put(t, s, "a", "x", store.StatePreview, spec(0, "m"))
	p.Wake()
	within(t, time.Second, "the policy", func() bool { return len(p.Policy().Rules) == 1 })
}

func TestTheStoreMayGoBackInTime(t *testing.T) {
	dir := t.TempDir()
	old, other := openStore(t, filepath.Join(dir, "old.db")), openStore(t, filepath.Join(dir, "other.db"))
	for i := range 5 {
		put(t, old, "a", "x", store.StateEnforced, spec(i, "m"))
	}
	swap := &swappable{PolicyReader: old}
	p := publish.New(publish.Settings{Store: swap})
	require.NoError(t, p.Refresh(t.Context()))
	assert.EqualValues(t, 5, p.Policy().Version)

	present := put(t, other, "a", "x", store.StateEnforced, spec(0, "n"))
	swap.PolicyReader = other
	require.NoError(t, p.Refresh(t.Context()))
	assert.EqualValues(t, 6, p.Policy().Version, "the rules are others, so the version rises")
	assert.Equal(t, "n", p.Policy().Rules[0].Match.Metric)
	assert.True(t, p.Includes(6, present.Version))
	assert.False(t, p.Includes(5, present.Version), "who has the snapshot of the old store does not have this policy")
}

// swappable is one real store, then another, as if a backup took its place.
type swappable struct{ store.PolicyReader }

func TestTheLastSnapshotOutlivesTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "phoenix.db")
	s := openStore(t, path)
	put(t, s, "a", "x", store.StateEnforced, spec(0, "m"))
	core, logs := observer.New(zapcore.InfoLevel)
	var mu sync.Mutex
	var told []bool
	p := publish.New(publish.Settings{
		Store: s, Logger: zap.New(core), Poll: 10 * time.Millisecond,
		OnStore: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, err == nil)
		},
	})
	run(t, p)
	within(t, 5*time.Second, "the policy", func() bool { return len(p.Policy().Rules) == 1 })
	before := p.Policy()
	for range 2 {
		require.NoError(t, os.Rename(path, path+".away"))
		within(t, 5*time.Second, "that the store is gone", func() bool { return p.Status().StoreErr != nil })
		assert.Same(t, before, p.Policy())
		require.ErrorIs(t, p.Refresh(t.Context()), store.ErrUnavailable)
		require.NoError(t, os.Rename(path+".away", path))
		within(t, 5*time.Second, "that the store is back", func() bool { return p.Status().StoreErr == nil })
	}
	assert.Same(t, before, p.Policy(), "nothing changed meanwhile")
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []bool{false, true, false, true}, told)
	assert.Equal(t, 2, logs.FilterMessageSnippet("does not answer").Len(), "once for each time, not for each poll")
	assert.Equal(t, 2, logs.FilterMessageSnippet("answers again").Len())
}

func TestAPolicyThatIsLeftOutIsLoggedOnce(t *testing.T) {
	s := newStore(t)
	core, logs := observer.New(zapcore.WarnLevel)
	p := publish.New(publish.Settings{Store: s, Logger: zap.New(core)})
	putText(t, s, "a", "bad", store.StateEnforced, []byte(`{"other":1}`))
	for i := range 3 {
		put(t, s, "a", "x", store.StateEnforced, spec(i, "m"))
		require.NoError(t, p.Refresh(t.Context()))
	}
	require.Equal(t, 1, logs.Len())
	assert.Equal(t, "policies/a/bad", logs.All()[0].ContextMap()["policy"])
	assert.Len(t, p.Status().LeftOut, 1)
	assert.Equal(t, 1, p.Status().Enforced)
}

func TestManyMayAskAndChangeAtOnce(t *testing.T) {
	s := newStore(t)
	var published sync.Map
	p := publish.New(publish.Settings{Store: s, OnPublish: func(st publish.Status) {
		if _, twice := published.LoadOrStore(st.Version, true); twice {
			t.Errorf("version %d is there twice", st.Version)
		}
	}})
	run(t, p)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 20 {
				changed := put(t, s, "a", fmt.Sprintf("p%d", worker), store.StateEnforced, spec(i, "m"))
				if err := p.Changed(t.Context(), changed); err != nil {
					t.Error(err)
				}
				assert.True(t, p.Includes(p.Policy().Version, changed.Version), "a change is published before it is answered")
				names := strings.Join(names(p.Policy()), " ")
				assert.Contains(t, names, fmt.Sprintf("a/p%d/", worker))
			}
		})
	}
	all.Wait()
	assert.Len(t, p.Policy().Rules, 4)
}
