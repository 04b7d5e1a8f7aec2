package tagconsolidationprocessor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/match"
	"github.com/phoenix-platform/phoenix/internal/relabel"
)

// ruleKey is what must be equal for a rule to be taken over with what it knows.
type ruleKey struct {
	id      consolidation.RuleID
	preview bool
}

// compile makes a rule set. Those of its rules that are known already are taken
// over with what they know, and cost no compilation. The first so many are
// static.
func (c *consolidator) compile(rules []policy.Rule, known []*rule) (*ruleset, error) {
	neverTouch, settings, err := c.compileSettings()
	if err != nil {
		return nil, err
	}
	before := make(map[ruleKey]*rule, len(known))
	for _, r := range known {
		before[ruleKey{r.id, r.preview}] = r
	}
	var errs error
	compiled := make([]*rule, 0, len(rules))
	for i := range rules {
		p := rules[i].WithDefaults()
		key := ruleKey{ruleID(&p, settings), p.Mode == policy.ModePreview}
		r := before[key]
		if r == nil {
			if r, err = compileAs(key.id, &p, settings); err != nil {
				errs = errors.Join(errs, fmt.Errorf("rules[%d].%w", i, err))
				continue
			}
			r.static = i < len(c.config.Rules)
		}
		compiled = append(compiled, r)
	}
	return newRuleset(compiled, neverTouch), errs
}

func (c *consolidator) compileSettings() (neverTouch []match.Pattern, settings *compileSettings, err error) {
	for i, text := range c.config.NeverTouch.Metrics {
		p, err := match.Compile(text)
		if err != nil {
			return nil, nil, fmt.Errorf("never_touch.metrics[%d]: %w", i, err)
		}
		neverTouch = append(neverTouch, p)
	}
	settings = &compileSettings{staleness: c.config.Staleness, budget: &c.budget}
	if !c.config.Writer.None {
		settings.writer = c.config.Writer.Attribute
	}
	if settings.protect, err = refs(c.config.NeverTouch.Attributes, relabel.Bare); err != nil {
		return nil, nil, fmt.Errorf("never_touch.attributes: %w", err)
	}
	if c.config.Role == policy.RoleCandidate { // without the mark it would be taken for the baseline's
		settings.protect = append(settings.protect, relabel.Ref{Levels: relabel.OnPoint, Key: policy.ArmAttribute})
	}
	return neverTouch, settings, nil
}

func (c *consolidator) findSource(host component.Host) (policy.Source, error) {
	if c.config.Control == nil {
		return nil, nil
	}
	extension, there := host.GetExtensions()[*c.config.Control]
	if !there {
		return nil, fmt.Errorf("control: there is no extension %s; add it to service.extensions", c.config.Control)
	}
	source, ok := extension.(policy.Source)
	if !ok {
		return nil, fmt.Errorf("control: the extension %s has no policies", c.config.Control)
	}
	return source, nil
}

// poll takes over a new snapshot of control. One that is refused leaves the
// present rules in force.
//
// A snapshot is new if it is not the one that was looked at last and says
// something else; whether its version is higher does not matter, because a
// control plane whose store was restored or replaced counts from elsewhere.
// Version 0 says that control does not know its rules yet: those in force stay.
func (c *consolidator) poll(ctx context.Context) {
	if c.source == nil {
		return
	}
	s := c.source.Policy()
	if s == nil || s.Version == 0 || s == c.seen {
		return
	}
	before := c.seen
	c.seen = s
	if before != nil && before.Version == s.Version && before.Urgent == s.Urgent && reflect.DeepEqual(before.Rules, s.Rules) {
		return
	}
	if err := c.Apply(s); err != nil {
		problems := c.problems(s, err)
		c.refused.Store(&problems)
		c.log.Error("The rules of control are refused, those in force stay", zap.Uint64("version", s.Version), zap.Strings("problems", problems))
		return
	}
	c.refused.Store(nil)
	c.keep(ctx, s)
}

// hot are the rules of a snapshot that are for this processor.
func (c *consolidator) hot(s *policy.Snapshot) []policy.Rule { return s.For(c.config.Role) }

// problems says, line by line, why a snapshot is refused, with the names of its
// rules.
func (c *consolidator) problems(s *policy.Snapshot, err error) []string {
	names := slices.Concat(c.config.Rules, c.hot(s))
	var list []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		name := "the rules"
		if m := ruleIndex.FindStringSubmatch(line); m != nil {
			if i, err := strconv.Atoi(m[1]); err == nil && i < len(names) {
				name, line = "rule "+names[i].Name, line[len(m[0]):]
			}
		}
		list = append(list, fmt.Sprintf("version %d: %s: %s", s.Version, name, line))
		if len(list) == maxProblems {
			break
		}
	}
	return list
}

// maxProblems bounds the problems that are reported.
const maxProblems = 100

var ruleIndex = regexp.MustCompile(`^rules\[(\d+)\]\.`)

// Apply lets the rules of a snapshot for the processor's role follow the static
// ones. Rules in preview begin and end at once; the others at the next edge:
// what went by rules that are gone gets a last point and a stale marker, what
// goes by new ones begins anew, and what goes by rules that stay is not touched.
// A rule that was gone and returns is a new one: what passed meanwhile does not
// count again. One that goes and returns before an edge stayed.
//
// A snapshot that is urgent, say because the kill switch was turned, makes its
// own edge at once.
func (c *consolidator) Apply(s *policy.Snapshot) error {
	c.change.Lock()
	defer c.change.Unlock()
	all := slices.Concat(c.config.Rules, c.hot(s))
	if err := policy.ValidateRules(all); err != nil {
		return err
	}
	present := c.rules.Load()
	known := present.rules
	if c.pending != nil {
		known = slices.Concat(known, c.pending.rules)
	}
	known = slices.DeleteFunc(slices.Clone(known), func(r *rule) bool { return r.transfer.Load() != nil })
	next, err := c.compile(all, known)
	if err != nil {
		return err
	}
	c.departing.look(s, c.config.Role, next)
	c.policyVersion.Store(s.Version)
	if c.pending == nil && len(c.state.orphans) == 0 && slices.Equal(next.rules, present.rules) {
		return nil // what changed is about routes
	}
	began := nanos(c.clock())
	var now []*rule
	for _, r := range present.rules {
		if _, stays := next.places[r]; !r.preview {
			now = append(now, r)
		} else if !stays {
			r.measured.close()
		}
	}
	for _, r := range next.rules {
		if r.preview {
			r.begin(began)
			now = append(now, r)
		}
	}
	following := newRuleset(now, present.neverTouch)
	following.past = present.past
	c.rules.Store(following)
	c.pending = next
	if s.Urgent {
		select {
		case c.early <- struct{}{}:
		default: // one is on its way
		}
	}
	return nil
}

// swap puts pending rules in force at an edge that was flushed, and ends the
// outputs of rules that are gone.
func (c *consolidator) swap(ctx context.Context, edge uint64) {
	c.change.Lock()
	old := c.rules.Load()
	next := c.depart(c.pending, old, edge)
	if next == nil {
		c.change.Unlock()
		return
	}
	c.pending = nil
	// A change of its own, also if the clock was set back and nothing was flushed.
	over := c.engine.Settle()
	next.past = old.past.followedBy(old, max(nanos(c.clock()), over+1))
	begin := c.beginning(next, old)
	c.watch(next)
	taken := c.take(ctx, begin, nil, edge, true)
	c.rules.Store(next)
	c.change.Unlock() // not earlier: Apply begins from the rules that are in force
	c.warn(next, old)
	gone := c.orphans(next, edge)
	for _, r := range old.rules {
		if !r.preview && next.enforced(r.id) == nil {
			gone = append(gone, r.id)
		}
	}
	c.retire(ctx, edge, gone)
	c.writeCheckpoint(ctx) // since when new rules watch is known after a crash, too
	taken.finish(ctx)
}

// beginning are the rules of control in a set that were not in force before.
func (c *consolidator) beginning(next, old *ruleset) []*rule {
	var list []*rule
	for _, r := range next.rules {
		if r.preview || old.enforced(r.id) != nil {
			continue
		}
		r.raw = nanos(c.clock()) + lookback
		if !r.static {
			list = append(list, r)
		}
	}
	return list
}

// orphans takes those rules of the restored state that are not in a set and that
// nobody is waited for to take over.
func (c *consolidator) orphans(set *ruleset, edge uint64) (gone []consolidation.RuleID) {
	c.change.Lock()
	defer c.change.Unlock()
	var wait []consolidation.RuleID
	for _, id := range c.state.orphans {
		switch {
		case set.enforced(id) != nil:
		case c.awaits(id, c.departing.names[id], edge):
			wait = append(wait, id)
		default:
			gone = append(gone, id)
		}
	}
	c.state.orphans = wait
	return gone
}

// endOrphans ends the outputs of rules that went away while no process ran. What
// it emits goes out with the first flush. It happens before anything flows: an
// output of another rule that goes by the same labels begins later.
//
// If nobody knows what rules were in force it waits: for the first snapshot of
// control, or a staleness.
func (c *consolidator) endOrphans(ctx context.Context) {
	if c.state.unsure {
		if len(c.state.orphans) > 0 {
			c.log.Warn("The rules that control had sent are not known: what they consolidated is kept, and their points pass until control sends rules",
				zap.Int("rules", len(c.state.orphans)))
		}
		return
	}
	out := &emission{c: c, ctx: ctx} // without a journal: a checkpoint follows
	now := nanos(c.clock())
	c.engine.RetireAll(c.orphans(c.rules.Load(), now), now, out.add)
}

// giveUp ends orphans that no snapshot claimed within a staleness, because their
// inputs are forgotten by now, and those that nobody came for.
func (c *consolidator) giveUp(ctx context.Context, edge uint64) {
	if len(c.state.orphans) == 0 {
		return
	}
	if edge >= c.state.began+uint64(c.config.Staleness) { //nolint:gosec // positive
		c.change.Lock()
		gone := c.state.orphans
		c.state.orphans = nil
		c.change.Unlock()
		c.retire(ctx, edge, slices.DeleteFunc(gone, func(id consolidation.RuleID) bool { return c.rules.Load().enforced(id) != nil }))
		return
	}
	if !c.state.unsure {
		c.retire(ctx, edge, c.orphans(c.rules.Load(), edge))
	}
}

// watch tells the engine since when rules watch.
func (c *consolidator) watch(set *ruleset) {
	now := nanos(c.clock())
	for _, r := range set.rules {
		r.begin(now)
		if !r.preview && r.transfer.Load() == nil {
			c.engine.Watch(r.id, now)
		}
	}
}

func (c *consolidator) retire(ctx context.Context, edge uint64, gone []consolidation.RuleID) {
	if len(gone) == 0 {
		return
	}
	out := c.emission(ctx, edge)
	c.engine.RetireAll(gone, edge, out.add)
	out.end()
}

// maxOverlaps bounds the overlaps that are logged, maxWarned the rules whose
// author is warned at a time.
const (
	maxOverlaps = 20
	maxWarned   = 20
)

// warn says what the rules of a set do that their author may not expect, for
// those that were not in the one before.
func (c *consolidator) warn(set, before *ruleset) {
	warned := 0
	for _, r := range set.rules {
		if before != nil && before.enforced(r.id) == r || warned == maxWarned {
			continue
		}
		if r.types.has(pmetric.MetricTypeGauge) && !r.gauges && !r.preview {
			warned++
			c.log.Warn("Gauges that the rule matches pass untouched: no way to merge them is right for all. Name one with `gauge`, or leave gauges out with match.types",
				zap.String("rule", r.name))
		}
	}
}

// warnOverlaps reports rules of which the order matters.
func (c *consolidator) warnOverlaps(rules []policy.Rule) {
	overlaps, complete := policy.Overlaps(rules, maxOverlaps)
	for _, o := range overlaps {
		level := zap.InfoLevel // a rule for the rest, after special ones, is usual
		if o.Kind == policy.Shadowed {
			level = zap.WarnLevel
		}
		c.log.Log(level, "Rules overlap, the first that matches applies", zap.String("first", rules[o.First].Name),
			zap.String("second", rules[o.Second].Name), zap.String("kind", string(o.Kind)), zap.String("reason", o.Reason))
	}
	if !complete {
		c.log.Info("More rules overlap than are listed", zap.Int("listed", len(overlaps)))
	}
}
