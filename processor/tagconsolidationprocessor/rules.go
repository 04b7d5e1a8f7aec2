package tagconsolidationprocessor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/match"
	"github.com/phoenix-platform/phoenix/internal/relabel"
)

// compile makes a rule set. Rules that are in the old one already are taken
// over with what they know.
func (c *consolidator) compile(rules []policy.Rule, old *ruleset) (*ruleset, error) {
	var neverTouch []match.Pattern
	for i, text := range c.config.NeverTouch.Metrics {
		p, err := match.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("never_touch.metrics[%d]: %w", i, err)
		}
		neverTouch = append(neverTouch, p)
	}
	settings := &compileSettings{staleness: c.config.Staleness}
	if !c.config.Writer.None {
		settings.writer = c.config.Writer.Attribute
	}
	var err error
	if settings.protect, err = refs(c.config.NeverTouch.Attributes, relabel.Bare); err != nil {
		return nil, fmt.Errorf("never_touch.attributes: %w", err)
	}
	type key struct {
		id      consolidation.RuleID
		preview bool
	}
	known := map[key]*rule{}
	if old != nil {
		for _, r := range old.rules {
			known[key{r.id, r.preview}] = r
		}
	}
	var errs error
	compiled := make([]*rule, 0, len(rules))
	for i := range rules {
		r, err := compileRule(rules[i], settings)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("rules[%d].%w", i, err))
			continue
		}
		if before := known[key{r.id, r.preview}]; before != nil {
			r = before
		}
		compiled = append(compiled, r)
	}
	return newRuleset(compiled, neverTouch), errs
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
func (c *consolidator) poll() {
	if c.source == nil {
		return
	}
	s := c.source.Policy()
	if s == nil || s.Version == c.version {
		return
	}
	c.version = s.Version
	if err := c.Apply(s); err != nil {
		c.log.Error("The rules of control are refused, those in force stay", zap.Uint64("version", s.Version), zap.Error(err))
	}
}

// Apply lets the rules of a snapshot for the processor's role follow the static
// ones. Rules in preview begin and end at once; the others at the next edge:
// what went by rules that are gone gets a last point and a stale marker, what
// goes by new ones begins anew, and what goes by rules that stay is not touched.
func (c *consolidator) Apply(s *policy.Snapshot) error {
	c.change.Lock()
	defer c.change.Unlock()
	hot := s.For(c.config.Role)
	all := append(slices.Clip(c.config.Rules), hot...)
	if err := policy.ValidateRules(all); err != nil {
		return fmt.Errorf("static rules with those of version %d: %w", s.Version, err)
	}
	present := c.rules.Load()
	known := present
	if c.pending != nil {
		known = &ruleset{rules: append(slices.Clip(present.rules), c.pending.rules...)}
	}
	next, err := c.compile(all, known)
	if err != nil {
		return err
	}
	var now []*rule
	for _, r := range present.rules {
		if !r.preview {
			now = append(now, r)
		}
	}
	for _, r := range next.rules {
		if r.preview {
			now = append(now, r)
		}
	}
	c.rules.Store(newRuleset(now, present.neverTouch))
	c.pending = next
	return nil
}

// swap puts pending rules in force at an edge that was flushed, and ends the
// outputs of rules that are gone.
func (c *consolidator) swap(ctx context.Context, edge uint64) {
	c.change.Lock()
	next, old := c.pending, c.rules.Load()
	if next == nil {
		c.change.Unlock()
		return
	}
	c.pending = nil
	c.watch(next)
	c.rules.Store(next)
	c.change.Unlock() // not earlier: Apply begins from the rules that are in force
	c.warn(next)
	var gone []consolidation.RuleID
	for _, r := range old.rules {
		if !r.preview && next.enforced(r.id) == nil {
			gone = append(gone, r.id)
		}
	}
	c.retire(ctx, edge, gone)
	c.writeCheckpoint(ctx) // since when new rules watch is known after a crash, too
}

// endOrphans ends the outputs of rules that went away while no process ran. What
// it emits goes out with the first flush. It happens before anything flows: an
// output of another rule that goes by the same labels begins later.
func (c *consolidator) endOrphans(ctx context.Context) {
	out := &emission{c: c, ctx: ctx} // without a journal: a checkpoint follows
	for _, id := range c.state.orphans {
		c.engine.Retire(id, nanos(c.clock()), out.add)
	}
	c.state.orphans = nil
}

// watch tells the engine since when rules watch.
func (c *consolidator) watch(set *ruleset) {
	now := nanos(c.clock())
	for _, r := range set.rules {
		if !r.preview {
			c.engine.Watch(r.id, now)
		}
	}
}

func (c *consolidator) retire(ctx context.Context, edge uint64, gone []consolidation.RuleID) {
	if len(gone) == 0 {
		return
	}
	out := c.emission(ctx, edge)
	for _, id := range gone {
		c.engine.Retire(id, edge, out.add)
	}
	out.end()
}

// maxOverlaps bounds the overlaps that are logged.
const maxOverlaps = 20

// warn says what a set of rules does that its author may not expect.
func (c *consolidator) warn(set *ruleset) {
	for _, r := range set.rules {
		if r.types.has(pmetric.MetricTypeGauge) && !r.gauges && !r.preview {
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
