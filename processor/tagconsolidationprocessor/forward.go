package tagconsolidationprocessor

import (
	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// forward deals with a point of a rule that was handed over: it was under way
// when the rule moved, or it is what the taker's rule made of others.
//
// Of a split, what was under way counts with the taker, as if it had come in time.
// What was mirrored went to the baseline, too: the taker goes on from its value,
// and does not count by how much it grew.
func (f *feeder) forward() {
	l, t := f.lane, f.lane.rule.transfer.Load()
	if t == nil { // a feeder that is late by a change of rules: its rule is another one now
		l.dropped[handedOver]++
		return
	}
	<-t.ready
	marked := isMarked(f.attributes)
	own := t.made(&f.point, marked)
	switch {
	case own && marked: // a copy of what goes to the baseline
		l.dropped[handedOver]++
		return
	case own:
		l.passed[handedOverPasses]++
		f.fate = passes
		return
	}
	l.forwarded++
	p := f.point
	p.Rule = t.rules[l.rule.id].id
	p.Input, p.Output = t.here(p.Input, marked), t.here(p.Output, marked)
	if t.mirrored[l.rule.id] || marked {
		t.taker.engine.Follow(&p)
		return
	}
	t.taker.engine.Feed(&p, forwarded{f, t.taker})
}

// made says whether the taker made a point. From the edge on it takes all that
// comes, so a later time says so, unless the clock of the source is ahead: then the
// point is of an input that the taker knows.
func (t *transfer) made(p *consolidation.Point, marked bool) bool {
	if p.Span().Time < t.edge {
		return false
	}
	key := t.here(p.Input, marked)
	return p.Stale || t.taker.engine.IsOutput(consolidation.Key(series.Pair(key).Sub(t.own))) || !t.taker.engine.IsInput(p.Kind, key)
}

// forwarded describes the current point of a feeder to another processor.
type forwarded struct {
	f  *feeder
	to *consolidator
}

var _ consolidation.Describer = forwarded{}

// Describe describes the output of the point.
func (d forwarded) Describe() consolidation.Description { return d.adopt(d.f.Describe()) }

// Overflow describes the output of what has no room.
func (d forwarded) Overflow() (consolidation.Key, consolidation.Description) {
	key, description := d.f.Overflow()
	return key, d.adopt(description)
}

func (d forwarded) adopt(description consolidation.Description) consolidation.Description {
	if s, is := description.Owner.(*stream.Stream); is {
		description.Owner = d.to.adopt(s)
	}
	return description
}
