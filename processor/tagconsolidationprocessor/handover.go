package tagconsolidationprocessor

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// handover is what moves at one edge from a candidate's processor to the common
// one when an experiment is promoted: rules with their streams. Its order is such
// that after a kill the state is in one of the two storages:
//
//	take    the giver has its turn, flushes and lets go; the taker takes over
//	        and has the state from then on
//	finish  the taker writes its checkpoint and shows what begins under another
//	        name; then the giver ends that under the former, and forgets
//
// A kill before the taker's checkpoint leaves all with the giver, which has
// written nothing. One after it leaves the streams in both, and the taker, who
// starts with the rule in its state, tells the giver to forget.
type handover struct {
	taker *consolidator
	edge  uint64
	gifts []gift
}

// gift is what came from one giver.
type gift struct {
	from     *consolidator
	transfer *transfer
	// ends are the outputs that are called otherwise from now on.
	ends []consolidation.Emission
}

// take takes over what candidates know of rules that begin here. Nothing may have
// been fed to them yet. Of rules that are known here candidates forget what they
// know. What candidates have to show here is shown before, if they flush.
func (c *consolidator) take(ctx context.Context, begin, known []*rule, edge uint64, flush bool) *handover {
	h := &handover{taker: c, edge: edge}
	if c.config.Role != policy.RoleCommon || len(begin)+len(known) == 0 {
		return h
	}
	byName := make(map[string]*rule, len(begin)+len(known))
	owned := make(map[*rule]bool, len(known))
	for _, r := range begin {
		byName[r.name] = r
	}
	for _, r := range known {
		byName[r.name], owned[r] = r, true
	}
	for _, giver := range c.exchange.others(c, policy.RoleCandidate) {
		giver.turning.Lock()
		t := c.newTransfer(giver, edge)
		t.flush = flush
		given := giver.release(ctx, t, byName)
		if given == nil {
			giver.turning.Unlock()
			continue
		}
		for id, r := range t.rules {
			if r.took = edge; !t.partial[id] { // what passed is known
				r.raw = 0
			}
		}
		ends := c.rename(given, t)
		given.Outputs, given.Inputs = unowned(given, owned, t)
		refused := c.engine.TakeOver(given, edge)
		close(t.ready)
		h.gifts = append(h.gifts, gift{from: giver, transfer: t, ends: ends})
		c.log.Info("Rules were taken over from the candidate, with their streams", zap.Stringer("from", giver.id), zap.Int("rules", len(t.rules)),
			zap.Int("inputs", len(given.Inputs)), zap.Int("outputs", len(given.Outputs)), zap.Int("refused", refused))
	}
	return h
}

// unowned leaves out what the taker has in its own state.
func unowned(given *consolidation.Handover, owned map[*rule]bool, t *transfer) ([]consolidation.OutputState, []consolidation.InputState) {
	skip := map[consolidation.RuleID]bool{}
	for _, r := range t.rules {
		skip[r.id] = owned[r]
	}
	var outputs []consolidation.OutputState
	for i := range given.Outputs {
		if !skip[given.Outputs[i].Rule] {
			outputs = append(outputs, given.Outputs[i])
		}
	}
	var inputs []consolidation.InputState
	for i := range given.Inputs {
		if !skip[given.Inputs[i].Rule] {
			inputs = append(inputs, given.Inputs[i])
		}
	}
	return outputs, inputs
}

// finish ends a handover, once the taker's rules are in force and its checkpoint is
// written.
func (h *handover) finish(ctx context.Context) {
	if len(h.gifts) == 0 {
		return
	}
	out := h.taker.emission(ctx, h.edge)
	h.taker.engine.Begin(h.edge, out.add)
	out.end()
	for _, g := range h.gifts {
		g.from.forget(ctx, h.edge, g.ends)
		g.from.turning.Unlock()
	}
}

// rename gives what was given the names that it has here, and returns the ends of
// what is called otherwise downstream from now on. The candidate's streams may
// have the mark of their arm, which goes; identities are sums, so it is subtracted.
func (c *consolidator) rename(given *consolidation.Handover, t *transfer) (ends []consolidation.Emission) {
	for i := range given.Outputs {
		st := &given.Outputs[i]
		was, _ := st.Owner.(*stream.Stream)
		marked := isMarked(was.Attributes)
		if marked {
			t.marked[st.Rule], t.mirrored[st.Rule] = true, true
		}
		if (marked || t.anew) && st.Shown {
			ends = append(ends, consolidation.Emission{
				Output: st.Key, Variant: st.Variant, Rule: st.Rule, Owner: was, Kind: st.Kind, Policy: st.Policy, Stale: true,
				Start: st.Start, Time: max(t.edge, st.Emitted+uint64(time.Millisecond)),
			})
		}
		st.Key, st.Owner = t.here(st.Key, marked), c.adopt(was)
		st.Passed = t.mirrored[st.Rule]
		st.Begins = marked || t.anew || st.Passed
		st.Rule = t.rules[st.Rule].id
	}
	given.Since = t.activations()
	if len(t.marked) > 0 {
		given.Rename(consolidation.Key(t.mark))
	}
	for i := range given.Inputs {
		in := &given.Inputs[i]
		marked := t.marked[in.Rule]
		in.Passed = t.mirrored[in.Rule]
		in.Key, in.Output = t.here(in.Key, marked), t.here(in.Output, marked)
		in.Rule = t.rules[in.Rule].id
	}
	return ends
}

// activations are since when the taker's rules watch. Where only a part of the units
// was the candidate's, what comes from others passed until now.
func (t *transfer) activations() map[consolidation.RuleID]uint64 {
	since := make(map[consolidation.RuleID]uint64, len(t.since))
	for id, at := range t.since {
		if !t.partial[id] {
			since[t.rules[id].id] = at
		}
	}
	return since
}

// adopt returns a stream of another processor as one of this, without the mark of
// an arm.
func (c *consolidator) adopt(s *stream.Stream) *stream.Stream {
	metric := s.Metric
	metric = c.table.Metric(metric.ID, func() *stream.Metric {
		scope := metric.Scope
		resource := c.table.Resource(scope.Resource.ID, func() *stream.Resource { return scope.Resource })
		own := *metric
		own.Scope = c.table.Scope(scope.ID, func() *stream.Scope {
			own := *scope
			own.Resource = resource
			return &own
		})
		return &own
	})
	attributes := s.Attributes
	if isMarked(attributes) {
		attributes = pcommon.NewMap()
		s.Attributes.CopyTo(attributes)
		attributes.Remove(policy.ArmAttribute)
	}
	return &stream.Stream{Metric: metric, Attributes: attributes}
}

// isMarked says whether a router marked a point as the candidate's copy.
func isMarked(attributes pcommon.Map) bool {
	arm, there := attributes.Get(policy.ArmAttribute)
	return there && arm.Str() == string(policy.ArmCandidate)
}

// transfer says where the points go that still come to a rule that was handed over.
// It is not written to once it is ready.
type transfer struct {
	taker *consolidator
	rules map[consolidation.RuleID]*rule // those of the taker, by the giver's
	since map[consolidation.RuleID]uint64
	// partial are the giver's rules that had a part of the units, mirrored those
	// whose points went to the baseline as well, marked those of them whose points the
	// router marks.
	partial, mirrored, marked map[consolidation.RuleID]bool
	edge                      uint64
	until                     uint64 // when nothing is under way any more
	flush                     bool   // first
	anew                      bool   // the taker's outputs have another writer
	ready                     chan struct{}
	mark                      series.Pair // of ArmAttribute
	own                       series.Pair // what the taker's outputs have beside the labels that stay
}

func (c *consolidator) newTransfer(giver *consolidator, edge uint64) *transfer {
	t := &transfer{
		taker: c, edge: edge, ready: make(chan struct{}), rules: map[consolidation.RuleID]*rule{},
		partial: map[consolidation.RuleID]bool{}, mirrored: map[consolidation.RuleID]bool{}, marked: map[consolidation.RuleID]bool{},
		mark: c.hasher.Pair(c.hasher.String(series.Point, policy.ArmAttribute, string(policy.ArmCandidate))),
	}
	writer, id := c.writer()
	theirs, theirID := giver.writer()
	t.anew = writer != theirs || id != theirID
	if writer != "" && writer == theirs {
		t.own = c.hasher.Pair(c.hasher.String(series.Point, writer, id))
	}
	return t
}

// writer returns the attribute that outputs have and its value; empty: none.
func (c *consolidator) writer() (attribute, id string) {
	if c.config.Writer.None {
		return "", ""
	}
	return c.config.Writer.Attribute, c.state.identity.Writer
}

// here returns what the taker calls a stream.
func (t *transfer) here(key consolidation.Key, marked bool) consolidation.Key {
	if !marked {
		return key
	}
	return consolidation.Key(series.Pair(key).Sub(t.mark))
}
