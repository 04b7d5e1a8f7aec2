package policies_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service/policies"
	"github.com/phoenix-platform/phoenix/control/store"
)

// model is what the life of policies should be, said in the plainest way.
type model struct {
	now     time.Time
	history map[store.PolicyKey][]state // revision 1 is the first
	killed  bool
	// having is the data path's view: for each policy the revision that it took
	// over; a policy that it does not have is missing.
	having map[store.PolicyKey]int
	// stale says that it was not given the last snapshot yet. While it has that, a
	// change that makes no difference to it needs no other one.
	stale bool
	audit int
}

// state is one revision.
type state struct {
	state, metric, description string
	priority                   int
	at                         time.Time
}

const window = 10 * time.Minute

func (m *model) present(k store.PolicyKey) (state, bool) {
	h := m.history[k]
	if len(h) == 0 || h[len(h)-1].state == "deleted" {
		return state{}, false
	}
	return h[len(h)-1], true
}

func (m *model) add(k store.PolicyKey, s state) {
	s.at = m.now
	before := m.snapshot()
	m.history[k] = append(m.history[k], s)
	m.stale = m.stale || !slices.Equal(before, m.snapshot())
	if !m.stale {
		m.take()
	}
}

// take makes the data path have what there is.
func (m *model) take() {
	m.stale = false
	for k, h := range m.history {
		m.having[k] = len(h)
	}
}

// previewedSince is the time from which on all revisions are in preview with the
// metric of the last one.
func (m *model) previewedSince(k store.PolicyKey) (since time.Time) {
	h := m.history[k]
	for _, s := range slices.Backward(h) {
		if s.state != "preview" || s.metric != h[len(h)-1].metric {
			break
		}
		since = s.at
	}
	return since
}

// snapshot is what the data path should be given.
func (m *model) snapshot() []string {
	list := []string{}
	if m.killed {
		return list
	}
	for _, k := range slices.SortedFunc(maps.Keys(m.history), func(a, b store.PolicyKey) int {
		one, _ := m.present(a)
		other, _ := m.present(b)
		return cmp.Or(other.priority-one.priority, strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name))
	}) {
		s, _ := m.present(k)
		switch s.state {
		case "preview", "enforced":
			list = append(list, fmt.Sprintf("%s/%s/rule-1 %s %s", k.Namespace, k.Name, s.metric, s.state))
		}
	}
	return list
}

// roles of those who act, by namespace.
var actors = map[string]map[string]int{
	"admin":         {"shop": 4, "bank": 4},
	"operator":      {"shop": 3, "bank": 3},
	"shop-admin":    {"shop": 4},
	"shop-operator": {"shop": 3},
	"shop-editor":   {"shop": 2},
	"shop-viewer":   {"shop": 1},
	"bank-operator": {"bank": 3},
}

// step is one request and what should come of it.
type step struct {
	who    string
	key    store.PolicyKey
	verb   access.Verb
	force  bool // of a creation: in preview
	metric string
	text   string // the description
	first  int    // the priority
	to     int
	match  int // If-Match: 0 none, else revision
}

var needed = map[access.Verb]int{
	access.Create: 2, access.Update: 2, access.Delete: 2, access.Preview: 2,
	access.Enforce: 3, access.Disable: 3, access.Rollback: 3, access.Force: 4,
}

// expect says what should become of the policy, or why not: a reason, empty if
// it is done; and whether the refusal is audited.
func (m *model) expect(s step) (next state, reason fault.Reason, audited bool) {
	role := actors[s.who][s.key.Namespace]
	lacks := func(verbs ...access.Verb) (fault.Reason, bool) {
		for _, v := range verbs {
			if role == 0 {
				return fault.NotFound, true
			}
			if role < needed[v] {
				return fault.Forbidden, true
			}
		}
		return "", false
	}
	verbs := []access.Verb{s.verb}
	switch {
	case s.force && s.verb == access.Create:
		verbs = append(verbs, access.Preview)
	case s.force:
		verbs = append(verbs, access.Force)
	}
	if reason, lacking := lacks(verbs...); lacking {
		return next, reason, true
	}
	before, there := m.present(s.key)
	history := m.history[s.key]
	if s.verb == access.Create {
		switch {
		case s.match != 0:
			return next, fault.PreconditionFailed, false
		case there:
			return next, fault.Exists, false
		}
		next = state{state: "draft", metric: s.metric, description: s.text, priority: s.first}
		if s.force {
			next.state = "preview"
		}
		return next, "", false
	}
	var old state
	if s.verb == access.Rollback {
		switch {
		case !there && s.match != 0:
			return next, fault.NotFound, false
		case s.to == 0 || s.to <= len(history) && history[s.to-1].state == "deleted":
			return next, fault.Invalid, false
		case s.to > len(history):
			return next, fault.NotFound, false
		}
		old = history[s.to-1]
	} else if !there {
		return next, fault.NotFound, false
	}
	next = before
	switch s.verb {
	case access.Update:
		next.metric, next.description, next.priority = s.metric, s.text, s.first
	case access.Delete:
		next = state{state: "deleted"}
	case access.Preview:
		next.state = "preview"
	case access.Enforce:
		next.state = "enforced"
	case access.Disable:
		next.state = "disabled"
	case access.Rollback:
		next = old
	}
	switch {
	case next.state == "enforced":
		if reason, lacking := lacks(access.Enforce); lacking {
			return next, reason, true
		}
	case before.state == "enforced":
		if reason, lacking := lacks(access.Disable); lacking {
			return next, reason, true
		}
	}
	if there && s.match != 0 && s.match != len(history) {
		return next, fault.PreconditionFailed, false
	}
	unsafe := false
	switch s.verb {
	case access.Update:
		unsafe = before.state == "enforced" && !next.alike(before)
	case access.Rollback:
		unsafe = next.state == "enforced" && !next.alike(before) && !m.proven(history, s.to-1)
	case access.Enforce:
		since := m.previewedSince(s.key)
		unsafe = before.state != "enforced" &&
			(before.state != "preview" || m.now.Sub(since) < window || m.killed || m.having[s.key] != len(history))
	}
	if unsafe && !s.force {
		return next, fault.NotPreviewed, true
	}
	return next, "", false
}

func request(r *rig, s step) error {
	ctx := as(s.who)
	if s.match != 0 {
		ctx = as(s.who, ifMatch(strconv.Quote(strconv.Itoa(s.match))))
	}
	p := wire(s.key.Namespace, s.key.Name, s.metric)
	p.Spec.Description, p.Spec.Priority = s.text, int32(s.first)
	namespace, name := s.key.Namespace, s.key.Name
	var err error
	switch s.verb {
	case access.Create:
		_, err = r.CreatePolicy(ctx, &phoenixv1.CreatePolicyRequest{Policy: p, Preview: s.force})
	case access.Update:
		_, err = r.UpdatePolicy(ctx, &phoenixv1.UpdatePolicyRequest{Policy: p, Force: s.force})
	case access.Delete:
		_, err = r.DeletePolicy(ctx, &phoenixv1.DeletePolicyRequest{Namespace: namespace, Name: name})
	case access.Preview:
		_, err = r.PreviewPolicy(ctx, &phoenixv1.PreviewPolicyRequest{Namespace: namespace, Name: name})
	case access.Enforce:
		_, err = r.EnforcePolicy(ctx, &phoenixv1.EnforcePolicyRequest{Namespace: namespace, Name: name, Force: s.force})
	case access.Disable:
		_, err = r.DisablePolicy(ctx, &phoenixv1.DisablePolicyRequest{Namespace: namespace, Name: name})
	case access.Rollback:
		_, err = r.RollbackPolicy(ctx, &phoenixv1.RollbackPolicyRequest{Namespace: namespace, Name: name, Revision: uint32(s.to)})
	}
	return err
}

// drawStep draws a request. The few names and the many operators make the states
// follow each other that it takes to get somewhere.
func drawStep(t *rapid.T, m *model) step {
	k := policyKey(rapid.SampledFrom([]string{"shop", "shop", "shop", "bank"}).Draw(t, "namespace"), rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(t, "name"))
	s := step{
		who: rapid.SampledFrom([]string{
			"admin", "admin", "operator", "shop-admin", "shop-operator", "shop-operator", "shop-editor", "shop-editor", "shop-viewer", "bank-operator",
		}).Draw(t, "who"),
		key: k, metric: rapid.SampledFrom([]string{"m", "m", "n"}).Draw(t, "metric"), text: rapid.SampledFrom([]string{"", "why"}).Draw(t, "description"),
		verb: rapid.SampledFrom([]access.Verb{
			access.Create, access.Create, access.Update, access.Delete, access.Preview, access.Preview, access.Enforce, access.Enforce,
			access.Enforce, access.Disable, access.Rollback, access.Rollback,
		}).Draw(t, "verb"),
		first: rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "priority"), to: rapid.IntRange(0, len(m.history[k])+1).Draw(t, "to"),
	}
	switch s.verb {
	case access.Create:
		s.force = rapid.Bool().Draw(t, "preview")
	case access.Update, access.Enforce:
		s.force = rapid.IntRange(0, 4).Draw(t, "force") == 0
	}
	switch rapid.IntRange(0, 9).Draw(t, "match") {
	case 1:
		s.match = len(m.history[k])
	case 2:
		s.match = len(m.history[k]) + 1
	}
	return s
}

// Everything that people and time may do to policies, against the model: the
// answer, the state, the revisions, what the data path is given, and one audit
// entry for each change and each refusal.
func TestPoliciesAreAsTheModelSays(t *testing.T) {
	dir, number := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		if number++; raceEnabled && number > 10 {
			return // the database is many times slower there
		}
		r := newRigIn(t, filepath.Join(dir, strconv.Itoa(number)), func(s *policies.Settings) {
			s.PreviewWindow = func() time.Duration { return window }
		})
		defer r.store.Close()
		r.data.set(processor("tag_consolidation", "common"))
		m := &model{now: r.clock.Now(), history: map[store.PolicyKey][]state{}, having: map[store.PolicyKey]int{}, stale: true}
		rt.Repeat(map[string]func(*rapid.T){
			"request": func(t *rapid.T) { m.request(t, r) },
			"wait": func(t *rapid.T) {
				d := rapid.SampledFrom([]time.Duration{time.Minute, window, window + time.Second}).Draw(t, "time")
				m.now = m.now.Add(d)
				r.clock.forward(d)
			},
			"data path": func(*rapid.T) {
				r.settle()
				m.take()
			},
			"kill": func(t *rapid.T) { m.kill(t, r, rapid.Bool().Draw(t, "on")) },
			"":     func(t *rapid.T) { m.compare(t, r) },
		})
	})
}

func (m *model) request(t *rapid.T, r *rig) {
	s := drawStep(t, m)
	next, reason, audited := m.expect(s)
	err := request(r, s)
	if reason != "" {
		refused(t, err, reason)
		if audited {
			m.audit++
		}
		return
	}
	require.NoError(t, err, "%+v", s)
	m.audit++
	before, there := m.present(s.key)
	next.at = before.at
	if !there || next != before {
		m.add(s.key, next)
	}
}

func (m *model) kill(t *rapid.T, r *rig, on bool) {
	m.stale = m.stale || m.killed != on
	m.killed = on
	m.audit++
	require.NoError(t, r.store.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.SetKillSwitch(ctx, store.KillSwitchUpdate{On: on, Reason: "r"}, store.Entry{Principal: "operator", Action: "killSwitch.engage"})
		return err
	}))
	require.NoError(t, r.publisher.Refresh(context.Background()))
}
