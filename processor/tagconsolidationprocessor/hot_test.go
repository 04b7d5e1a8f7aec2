package tagconsolidationprocessor

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

	"github.com/phoenix-platform/phoenix/control/policy"
)

const hotConfig = `
control: phoenix_control
interval: 10s
writer: none
storage: file_storage
`

const dropPodRule = `
rules:
  - name: ns/pods/rule-1
    match: {metric: "*"}
    attributes: {drop: [pod]}
`

// snapshotOf makes a snapshot of rules in YAML.
func snapshotOf(t *testing.T, version uint64, yaml string) *policy.Snapshot {
	t.Helper()
	cfg, err := loadConfig(t, yaml)
	require.NoError(t, err)
	for i := range cfg.Rules {
		cfg.Rules[i].Role = policy.RoleCommon
	}
	s, err := policy.NewSnapshot(version, cfg.Rules)
	require.NoError(t, err)
	return s
}

// sees lets control have a snapshot, and the processor look.
func (s *stage) sees(snapshot *policy.Snapshot) {
	s.control.policy = snapshot
	s.c.poll(s.t.Context())
}

func TestOtherVersionsAreNewTruths(t *testing.T) {
	s := newStage(t, hotConfig)
	defer s.die()
	f := func(snapshot *policy.Snapshot, version uint64, rules int) {
		t.Helper()
		s.sees(snapshot)
		s.edge()
		require.Equal(t, version, s.c.PolicyVersion())
		require.Len(t, s.c.rules.Load().rules, rules)
	}
	none := "rules: []"
	f(&policy.Snapshot{}, 0, 0)
	first := snapshotOf(t, 7, dropPodRule)
	f(first, 7, 1)
	f(&policy.Snapshot{}, 7, 1) // control does not know: what is in force stays
	f(nil, 7, 1)
	f(first, 7, 1)
	f(snapshotOf(t, 3, none), 3, 0)            // a store that was restored
	f(snapshotOf(t, 900, dropPodRule), 900, 1) // and moved on
	f(snapshotOf(t, 900, none), 900, 0)        // another store that happens to count alike
	f(snapshotOf(t, 1, dropPodRule), 1, 1)     // an empty one
}

// What control has when the process starts wins over what was kept.
func TestNewerRulesAtTheStart(t *testing.T) {
	s := newStage(t, hotConfig)
	s.sees(snapshotOf(t, 7, dropPodRule))
	s.edge()
	s.now = s.now.Add(5 * time.Second)
	s.feed([]string{"counter requests {pod=a code=200} 11s..15s 10"})
	s.edge()
	s.c.writeCheckpoint(t.Context())
	s.die()
	s.control.policy = snapshotOf(t, 5, `
rules:
  - name: other
    match: {metric: "*"}
    attributes: {drop: [pod, code]}
`)
	require.NoError(t, s.begin())
	require.Equal(t, uint64(5), s.c.PolicyVersion())
	s.now = s.now.Add(5 * time.Second)
	require.Empty(t, s.feed([]string{"counter requests {pod=a code=200} 11s..25s 14"}))
	require.Equal(t, []string{"counter requests {code=200} 10s..20.001s stale", "counter requests 20s..30s 4"}, texts(s.edge()))
	s.control.policy = &policy.Snapshot{} // and is what is kept from now on
	s.die()
	require.NoError(t, s.begin())
	require.Equal(t, uint64(5), s.c.PolicyVersion())
	s.die()
}

func TestTheSameRulesAgainChangeNothing(t *testing.T) {
	s := newStage(t, hotConfig)
	defer s.die()
	s.sees(snapshotOf(t, 7, dropPodRule))
	s.edge()
	before := s.c.rules.Load()
	s.sees(snapshotOf(t, 7, dropPodRule))
	require.Nil(t, s.c.pending)
	s.sees(snapshotOf(t, 8, dropPodRule))
	s.edge()
	require.Same(t, before.rules[0], s.c.rules.Load().rules[0], "a rule that stays keeps what it knows")
}

func TestRefusedSnapshotNamesItsRules(t *testing.T) {
	s := newStage(t, hotConfig+`
rules:
  - name: mine
    match: {metric: a}
    attributes: {drop: [pod]}
`)
	defer s.die()
	s.sees(snapshotOf(t, 7, dropPodRule))
	s.sees(snapshotOf(t, 8, `
rules:
  - name: mine
    match: {metric: b}
    attributes: {drop: [pod]}
`))
	r, err := s.c.Consolidation(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{`version 8: rule mine: name: "mine" is the name of rules[0] already`}, r.Problems)
	require.Equal(t, uint64(7), r.PolicyVersion)
	require.Equal(t, uint64(7), s.c.PolicyVersion())
	require.Len(t, r.Rules, 2)
	s.sees(snapshotOf(t, 9, dropPodRule))
	r, err = s.c.Consolidation(t.Context())
	require.NoError(t, err)
	require.Empty(t, r.Problems)
}

// Rules that were kept and cannot be used cost no state: until control says what
// rules there are, outputs stay.
func TestDamagedRulesKeepTheState(t *testing.T) {
	f := func(name string, spoil func(record []byte) []byte) {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, hotConfig)
			s.sees(snapshotOf(t, 7, dropPodRule))
			s.edge()
			s.feed([]string{"counter requests {pod=a} 11s..15s 10"})
			s.edge()
			record, err := s.c.state.client.Get(t.Context(), keptKey)
			require.NoError(t, err)
			require.NoError(t, s.c.state.client.Set(t.Context(), keptKey, spoil(record)))
			s.control.policy = &policy.Snapshot{}
			s.die()

			require.NoError(t, s.begin())
			require.Equal(t, []string{"state_errors 1"}, s.counters([]string{"state_errors"}))
			said, err := s.c.Consolidation(t.Context())
			require.NoError(t, err)
			require.Len(t, said.Problems, 1)
			require.Contains(t, said.Problems[0], "the rules that control had sent to the last process: ")
			require.Empty(t, s.edge(), "no output ends")
			s.sees(snapshotOf(t, 8, dropPodRule))
			s.edge()
			s.feed([]string{"counter requests {pod=a} 11s..45s 14"})
			require.Equal(t, []string{"counter requests 10s..50s 14"}, texts(s.edge()), "the same stream goes on")
			s.die()
		})
	}
	f("damaged", func(record []byte) []byte { record[len(record)-3] ^= 1; return record })
	f("cut off", func(record []byte) []byte { return record[:4] })
	f("of a newer version", func(record []byte) []byte { record[0] = 2; return record })
}

func TestOrphansOfUnknownRulesEndOnceRulesAreKnown(t *testing.T) {
	f := func(name string, then func(s *stage) []scriptLine) {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, hotConfig+"staleness: 30s\nheartbeat: 10m\n")
			s.sees(snapshotOf(t, 7, dropPodRule))
			s.edge()
			s.feed([]string{"counter requests {pod=a} 11s..15s 10"})
			s.edge()
			require.NoError(t, s.c.state.client.Set(t.Context(), keptKey, []byte("x")))
			s.control.policy = &policy.Snapshot{}
			s.die()
			require.NoError(t, s.begin())
			require.Len(t, s.c.state.orphans, 1)
			out := then(s)
			require.Len(t, out, 1)
			require.Regexp(t, "^counter requests 10s.*stale$", out[0].text)
			require.Empty(t, s.c.state.orphans)
			s.die()
		})
	}
	f("control says so", func(s *stage) []scriptLine {
		s.sees(snapshotOf(t, 8, "rules: []"))
		return s.edge()
	})
	f("nobody says anything", func(s *stage) []scriptLine {
		require.Empty(t, s.edge())
		require.Len(t, s.c.state.orphans, 1)
		var all []scriptLine
		for range 4 {
			all = append(all, s.edge()...)
		}
		return all
	})
}

// Without `control` the rules that were kept are gone for good.
func TestRulesWithoutControlAreForgotten(t *testing.T) {
	s := newStage(t, hotConfig)
	s.sees(snapshotOf(t, 7, dropPodRule))
	s.edge()
	s.die()
	s.control.policy = &policy.Snapshot{}
	s.configure("interval: 10s\nwriter: none\nstorage: file_storage\n")
	require.NoError(t, s.begin())
	require.Empty(t, s.c.rules.Load().rules)
	s.die()
	s.configure(hotConfig)
	require.NoError(t, s.begin())
	require.Empty(t, s.c.rules.Load().rules)
	s.die()
}

// A storage that fails when rules come is asked again with the next checkpoint.
func TestRulesThatCouldNotBeKeptAreTriedAgain(t *testing.T) {
	d := newDisk(t)
	cfg, err := loadConfig(t, "control: control\ninterval: 10s\nwriter: none\nstorage: disk\n")
	require.NoError(t, err)
	source := &control{snapshot: snapshotOf(t, 7, dropPodRule)}
	host := machine{diskID: d, controlID: source}
	r := newRigOf(t, cfg, host, epoch)
	r.c.state.client = failingClient{r.c.state.client}
	source.snapshot = snapshotOf(t, 8, "rules: []")
	r.c.poll(t.Context())
	require.NotNil(t, r.c.kept.unsaved)
	r.c.state.client = r.c.state.client.(failingClient).Client
	r.c.writeCheckpoint(t.Context())
	require.Nil(t, r.c.kept.unsaved)
	source.snapshot = &policy.Snapshot{}
	r = r.restart()
	require.Equal(t, uint64(8), r.c.PolicyVersion())
}

// liveControl is a control plane of which the policy changes while others look.
type liveControl struct {
	component.StartFunc
	component.ShutdownFunc
	snapshot atomic.Pointer[policy.Snapshot]
}

func newLiveControl(s *policy.Snapshot) *liveControl {
	c := &liveControl{}
	c.snapshot.Store(s)
	return c
}

// Policy returns the snapshot in force.
func (c *liveControl) Policy() *policy.Snapshot { return c.snapshot.Load() }

// The kill switch does not wait for the edge.
func TestUrgentRulesEndTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := loadConfig(t, "control: control\ninterval: 1m\nwriter: none\n")
		require.NoError(t, err)
		source := newLiveControl(snapshotOf(t, 7, dropPodRule))
		r := startedRig(t, cfg, machine{controlID: source})
		start := time.Now()
		time.Sleep(5 * time.Second)
		_, err = r.c.process(t.Context(), counters(start, time.Now(), map[string]int64{"a": 10, "b": 20}))
		require.Error(t, err, "nothing passes")
		kill := snapshotOf(t, 8, "rules: []")
		kill.Urgent = true
		source.snapshot.Store(kill)
		time.Sleep(time.Second - time.Millisecond)
		synctest.Wait()
		require.Empty(t, r.c.rules.Load().rules)
		require.Equal(t, 2, r.sink.DataPointCount(), "a last point and a stale marker")
		left, err := r.c.process(t.Context(), counters(start, time.Now(), map[string]int64{"a": 11}))
		require.NoError(t, err)
		require.Equal(t, 1, left.DataPointCount())
		require.NoError(t, r.c.shutdown(t.Context()))
	})
}

// From a snapshot to a preview that measures it takes a poll at most, also while
// a flush is held up by the next component.
func TestPreviewMeasuresAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := loadConfig(t, "control: control\ninterval: 1m\nwriter: none\n"+dropPodRule)
		require.NoError(t, err)
		source := newLiveControl(&policy.Snapshot{})
		r := startedRig(t, cfg, machine{controlID: source})
		release := make(chan struct{})
		r.c.next = blocked(t, release)
		_, _ = r.c.process(t.Context(), counters(time.Now(), time.Now().Add(time.Second), map[string]int64{"a": 10}))
		time.Sleep(time.Minute + time.Second) // the flush hangs
		source.snapshot.Store(snapshotOf(t, 7, `
rules:
  - name: look
    match: {metric: "*"}
    attributes: {drop: [pod, route]}
    mode: preview
`))
		time.Sleep(300 * time.Millisecond)
		_, _ = r.c.process(t.Context(), counters(time.Now(), time.Now().Add(time.Second), map[string]int64{"a": 10, "b": 1}))
		report, err := r.c.Consolidation(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(7), report.PolicyVersion)
		require.Equal(t, uint64(2), report.Rules[1].Streams)
		close(release)
		require.NoError(t, r.c.shutdown(t.Context()))
	})
}

// startedRig is a processor whose time runs, in a bubble.
func startedRig(t *testing.T, cfg *Config, host component.Host) *rig {
	t.Helper()
	r := newUnstartedRig(t, cfg, host)
	require.NoError(t, r.c.start(t.Context(), host))
	return r
}
