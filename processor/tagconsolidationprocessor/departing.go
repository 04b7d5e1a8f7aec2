package tagconsolidationprocessor

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// departing is what a candidate's processor knows of rules whose experiment was
// promoted: control sends them to the common processors from now on, under the
// same names. They stay in force here until such a processor takes them over, at
// its own edge, for two intervals at most.
type departing struct {
	// promoted are the names of the rules that control sends to common processors;
	// nil until control said what rules there are. Guarded by consolidator.change.
	promoted map[string]struct{}
	// names are those of rules of the restored state that are not in force.
	names map[consolidation.RuleID]string
	// until is how long a rule is kept for whoever takes it.
	until map[consolidation.RuleID]uint64
}

// keptNamesKey is where the names of departing rules are in the storage: after a
// restart they tell what the streams in the state belong to.
const keptNamesKey = "departing"

// departingIntervals is for how many intervals a rule is kept for whoever takes it.
const departingIntervals = 2

// keptName is a departing rule as it is stored.
type keptName struct {
	Rule consolidation.RuleID `json:"rule"`
	Name string               `json:"name"`
}

// restored forgets the names of rules that are not among the orphans of the
// restored state.
func (d *departing) restored(orphans []consolidation.RuleID) {
	maps.DeleteFunc(d.names, func(id consolidation.RuleID, _ string) bool { return !slices.Contains(orphans, id) })
}

// look notes what a snapshot of control says about rules that may depart.
func (d *departing) look(s *policy.Snapshot, role policy.Role, next *ruleset) {
	if role != policy.RoleCandidate {
		return
	}
	d.promoted = map[string]struct{}{}
	for i := range s.Rules {
		if r := &s.Rules[i]; r.Role == policy.RoleCommon && r.Mode != policy.ModePreview {
			d.promoted[r.Name] = struct{}{}
		}
	}
	routes := make(map[string]*policy.Route, len(s.Routes))
	for i := range s.Routes {
		routes[s.Routes[i].Experiment] = &s.Routes[i]
	}
	for _, r := range next.rules {
		if route := routes[r.experiment]; route != nil {
			r.mirrored.Store(route.Mirror)
			r.partial.Store(!route.Mirror && route.Weight < wholeWeight)
			if !route.Mirror && !route.ChangedAt.IsZero() {
				r.moved.Store(nanos(route.ChangedAt))
			}
		}
	}
}

// wholeWeight is that of a candidate which has all units.
const wholeWeight = 100

// awaits says whether streams of a rule that is not in force any more are kept for
// a processor that takes them over.
func (c *consolidator) awaits(id consolidation.RuleID, name string, edge uint64) bool {
	d := &c.departing
	if name == "" || c.config.Role != policy.RoleCandidate {
		return false
	}
	if d.promoted == nil { // control says nothing yet
		return true
	}
	if _, promoted := d.promoted[name]; !promoted {
		return false
	}
	if d.until == nil {
		d.until = map[consolidation.RuleID]uint64{}
	}
	until, waits := d.until[id]
	if !waits {
		until = edge + departingIntervals*uint64(c.config.Interval) //nolint:gosec // positive
		d.until[id] = until
	}
	// A process that begins does not know yet who else there is.
	return edge < until && (c.stats.Load() == nil || len(c.exchange.others(c, policy.RoleCommon)) > 0)
}

// depart returns the set that is in force from an edge on: the pending one, or
// else, if it is time that rules leave it, the present one without them; nil if
// nothing changes. Rules that control sends elsewhere stay until they are taken
// over, and then as long as points for them may be under way.
func (c *consolidator) depart(pending, old *ruleset, edge uint64) *ruleset {
	stays := func(r *rule) bool {
		if t := r.transfer.Load(); t != nil {
			return edge < t.until
		}
		return c.awaits(r.id, r.name, edge)
	}
	leaves := func(r *rule) bool {
		_, waits := c.departing.until[r.id]
		return !r.preview && !r.static && (waits || r.transfer.Load() != nil)
	}
	var rules []*rule
	if pending == nil {
		if !slices.ContainsFunc(old.rules, func(r *rule) bool { return leaves(r) && !stays(r) }) {
			return nil
		}
		for _, r := range old.rules {
			if !leaves(r) || stays(r) {
				rules = append(rules, r)
			} else {
				delete(c.departing.until, r.id)
			}
		}
		return newRuleset(rules, old.neverTouch)
	}
	for _, r := range old.rules {
		switch {
		case r.preview || r.static:
		case pending.enforced(r.id) != nil:
			delete(c.departing.until, r.id)
		case stays(r):
			rules = append(rules, r)
		default:
			delete(c.departing.until, r.id)
		}
	}
	if len(rules) == 0 {
		return pending
	}
	return newRuleset(slices.Concat(pending.rules, rules), pending.neverTouch)
}

// release lets go of the rules that a taker asks for by their names, and returns
// all that is known of them; nil if there are none. The caller has the turn.
func (c *consolidator) release(ctx context.Context, t *transfer, byName map[string]*rule) *consolidation.Handover {
	var ids []consolidation.RuleID
	var moving []*rule
	for _, r := range c.rules.Load().rules {
		if to := byName[r.name]; to != nil && !r.preview && !r.static && r.transfer.Load() == nil {
			t.rules[r.id], t.mirrored[r.id], t.partial[r.id] = to, r.mirrored.Load(), r.partial.Load()
			ids, moving = append(ids, r.id), append(moving, r)
		}
	}
	for _, id := range c.state.orphans {
		if to := byName[c.departing.names[id]]; to != nil {
			t.rules[id] = to
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if c.state.identity.Secret != t.taker.state.identity.Secret {
		c.log.Warn("Rules were promoted and cannot be handed over, because two states were begun apart: their outputs end here and begin anew",
			zap.Stringer("to", t.taker.id), zap.Int("rules", len(ids)))
		c.dismiss(ctx, t.edge, ids)
		return nil
	}
	if t.flush {
		c.flush(ctx, t.edge)
	}
	c.decide(t, moving)
	t.until = t.edge + max(uint64(c.config.Staleness), departingIntervals*uint64(c.config.Interval)) //nolint:gosec // positive
	for _, r := range moving {
		r.transfer.Store(t)
	}
	given := c.engine.Release(ids)
	t.since = given.Since
	for _, r := range moving {
		t.since[r.id] = max(t.since[r.id], r.moved.Load())
	}
	c.change.Lock()
	defer c.change.Unlock()
	c.state.orphans = slices.DeleteFunc(c.state.orphans, func(id consolidation.RuleID) bool { return t.rules[id] != nil })
	maps.DeleteFunc(c.departing.names, func(id consolidation.RuleID, _ string) bool { return t.rules[id] != nil })
	return given
}

// dismiss ends rules at once, because somebody else begins with them.
func (c *consolidator) dismiss(ctx context.Context, edge uint64, ids []consolidation.RuleID) {
	gone := func(id consolidation.RuleID) bool { return slices.Contains(ids, id) }
	c.flush(ctx, edge)
	c.change.Lock()
	old := c.rules.Load()
	next := newRuleset(slices.DeleteFunc(slices.Clone(old.rules), func(r *rule) bool { return !r.preview && gone(r.id) }), old.neverTouch)
	next.past = old.past.followedBy(old, max(nanos(c.clock()), c.engine.Settle()+1))
	c.rules.Store(next)
	c.state.orphans = slices.DeleteFunc(c.state.orphans, gone)
	c.change.Unlock()
	c.retire(ctx, edge, ids)
}

// decide hands over what a top keeps and a limit folds.
func (c *consolidator) decide(t *transfer, moving []*rule) {
	now := nanos(c.clock())
	for _, r := range moving {
		to := t.rules[r.id]
		if r.governors == nil || to.governors == nil {
			continue
		}
		for metric, g := range r.governors.all() {
			to.governors.of(metric).Restore(g.State(), now)
		}
	}
	for _, d := range c.state.decisions {
		if to := t.rules[d.Rule]; to != nil && to.governors != nil && c.rules.Load().enforced(d.Rule) == nil {
			to.governors.of(d.Metric).Restore(d.State, now)
		}
	}
}

// forget ends what is called otherwise where it goes on, and writes a state that
// does not know what was handed over. The caller has the turn.
func (c *consolidator) forget(ctx context.Context, edge uint64, ends []consolidation.Emission) {
	if len(ends) > 0 {
		out := c.emission(ctx, edge)
		for i := range ends {
			out.add(&ends[i])
		}
		out.end()
	}
	c.writeCheckpoint(ctx)
}

// keepNames stores the names of the rules that depart with a snapshot, before the
// rules that are in force then are stored.
func (c *consolidator) keepNames(ctx context.Context, s *policy.Snapshot) error {
	if c.config.Role != policy.RoleCandidate {
		return nil
	}
	promoted := map[string]struct{}{}
	for i := range s.Rules {
		if r := &s.Rules[i]; r.Role == policy.RoleCommon {
			promoted[r.Name] = struct{}{}
		}
	}
	var list []keptName
	add := func(id consolidation.RuleID, name string) {
		if _, goes := promoted[name]; goes && name != "" {
			list = append(list, keptName{id, name})
		}
	}
	for _, r := range c.rules.Load().rules {
		if !r.preview && !r.static && r.transfer.Load() == nil {
			add(r.id, r.name)
		}
	}
	c.change.Lock()
	for id, name := range c.departing.names {
		add(id, name)
	}
	c.change.Unlock()
	if list == nil {
		return c.state.client.Delete(ctx, keptNamesKey)
	}
	record, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return c.state.client.Set(ctx, keptNamesKey, record)
}

// recallNames finds the names of the rules that the last process had: they are in
// the state by their ids alone.
func (c *consolidator) recallNames(ctx context.Context) {
	c.departing.names = map[consolidation.RuleID]string{}
	if c.state.client == nil || c.source == nil || c.config.Role != policy.RoleCandidate {
		return
	}
	if record, err := c.state.client.Get(ctx, keptNamesKey); err == nil && record != nil {
		var list []keptName
		if err := json.Unmarshal(record, &list); err != nil {
			c.stateFailed(ctx, "read the names of rules that were promoted; their outputs begin anew", err)
		}
		for _, k := range list {
			c.departing.names[k.Rule] = k.Name
		}
	}
	record, err := c.state.client.Get(ctx, keptKey)
	if err != nil || record == nil {
		return
	}
	s, err := decodeKept(record)
	if err != nil {
		return // recall says so
	}
	_, settings, err := c.compileSettings()
	if err != nil {
		return // as above
	}
	for i := range s.Rules {
		if p := s.Rules[i].WithDefaults(); p.Mode != policy.ModePreview {
			c.departing.names[ruleID(&p, settings)] = p.Name
		}
	}
}

// begun are the rules of control in force when the process begins: those of which
// the state knows nothing, and the others.
func (c *consolidator) begun() (begin, known []*rule) {
	for _, r := range c.rules.Load().rules {
		switch {
		case r.preview || r.static:
		case c.state.known[r.id]:
			known = append(known, r)
		default:
			begin = append(begin, r)
		}
	}
	return begin, known
}

// abandon gives the givers their turn back when the taker cannot start.
func (h *handover) abandon() {
	for _, g := range h.gifts {
		g.from.turning.Unlock()
	}
}
