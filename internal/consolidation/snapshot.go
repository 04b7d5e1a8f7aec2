package consolidation

import (
	"iter"
	"slices"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// InputState is all that is remembered of one input.
type InputState struct {
	Key Key
	// Kind says what of the state is set: DeltaSum the times alone, Gauge and
	// CumulativeSum the value, CumulativeHistogram and CumulativeExponential the
	// histogram. Other kinds that are remembered alike are written as these.
	Kind Kind
	// Output, Variant and Rule name what the input feeds. Of an input whose rule was
	// retired Rule is 0, and Variant is the latest time since which a rule may watch
	// that goes on with it. Of one whose output ended before it Rule alone is set.
	Output  Key
	Variant uint64
	Rule    RuleID
	// Seen is when a point came last, in seconds of Unix time.
	Seen uint32
	// Ended inputs had a stale marker. An Overflow input stands for all without room.
	Ended, Overflow bool

	Sum         spatial.SumPoint
	Histogram   *spatial.HistogramPoint
	Exponential *spatial.ExponentialPoint

	// These are part of a Handover only. Awaited inputs sent nothing since a
	// restart. Passed ones went on as they were until they were taken over.
	Awaited, Passed bool
}

// OutputState is all that is remembered of one output.
type OutputState struct {
	Key     Key
	Variant uint64
	Rule    RuleID
	Owner   any
	Kind    Kind
	Policy  spatial.Policy

	Touched, Shown        bool
	Credit                uint32
	Start, Emitted, First uint64

	// Sum is what was added up, Last what was shown.
	Sum, Last   spatial.Number
	KeepBounds  bool // a histogram without bounds is meant to have none
	Histogram   spatial.HistogramPoint
	Exponential spatial.ExponentialPoint
	// What a histogram showed before a restart, if it is behind.
	Behind           bool
	HistogramFloor   spatial.HistogramPoint
	ExponentialFloor spatial.ExponentialPoint

	// These are part of a Handover only. Begins says that nobody downstream knows the
	// output as it is called now, Passed that what it counted passed as well.
	Begins, Passed bool
	// whole is the output itself: sums of doubles know more than their value.
	whole *output
}

// Tombstone says until when a stream was counted that is forgotten.
type Tombstone struct {
	Mark, Time uint64
}

// Part is the state of one shard. Its slices are the caller's.
type Part struct {
	// Rules says since when each rule watches.
	Rules map[RuleID]uint64
	Edge  uint64 // of the latest flush
	// Crash is when the latest process began that took up more than a snapshot, 0 if
	// none did, and Complete what the first of them knew: of outputs that began
	// later, nobody knows who had been counted before the crash.
	Crash, Complete uint64
	Outputs         []OutputState
	Inputs          []InputState
	// InputsGone and OutputsGone are the forgotten ones; of those that are not
	// listed, nobody was counted later than the Forgotten times.
	InputsGone, OutputsGone           []Tombstone
	InputsForgotten, OutputsForgotten uint64
}

// Snapshot returns the whole state, a Part at a time. Feed goes on meanwhile.
//
// Within a part outputs hold exactly what their inputs' last values say. An
// input may move while the snapshot is under way: from a shard that is not
// copied yet it leaves its state behind, so it may be in two parts and the later
// state holds; a shard that it would enter with news from after its old one was
// copied is copied first. So the parts together are one consistent cut.
func (e *Engine) Snapshot() iter.Seq[*Part] {
	return func(yield func(*Part) bool) {
		generation := e.generation.Add(1)
		for i := range e.directory { // moves that began before are over
			d := &e.directory[i]
			d.mu.Lock()
			d.mu.Unlock() //nolint:staticcheck,gocritic // a barrier
		}
		more := true
		for i := range e.shards {
			if more {
				more = yield(e.copyPart(i))
				continue
			}
			s := &e.shards[i]
			s.mu.Lock()
			s.copied, s.displaced, s.early = generation, nil, nil
			s.mu.Unlock()
		}
	}
}

func (e *Engine) copyPart(i int) *Part {
	part := e.shards[i].copy(e.generation.Load())
	part.Edge, part.Rules = e.edge, map[RuleID]uint64{}
	if i == 0 {
		part.Rules = e.watches.copied()
		part.Crash, part.Complete = e.crash, e.complete
	}
	d := &e.directory[i]
	d.mu.Lock()
	defer d.mu.Unlock()
	part.InputsGone, part.InputsForgotten = d.gone.list()
	return part
}

// copyEarly takes the copy before its turn.
func (s *shard) copyEarly(generation uint64) {
	part := &Part{Inputs: s.displaced}
	s.copied, s.displaced = generation, nil
	part.Inputs = slices.Grow(part.Inputs, s.inputs())
	s.eachInput(func(c *cursor) { part.Inputs = append(part.Inputs, s.stateOf(c)) })
	part.Outputs = make([]OutputState, 0, s.outputs.size())
	s.outputs.all(func(_ uint32, o *output) {
		if o.used {
			part.Outputs = append(part.Outputs, o.state())
		}
	})
	part.OutputsGone, part.OutputsForgotten = s.gone.list()
	s.early = part
}

func (s *shard) copy(generation uint64) *Part {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.early == nil {
		s.copyEarly(generation)
	}
	part := s.early
	s.early = nil
	return part
}

func (s *shard) inputs() int {
	return s.deltas.arena.size() + s.sums.arena.size() + s.levels.arena.size() +
		s.histograms.arena.size() + s.exponentials.arena.size()
}

func (t *tombstones) list() ([]Tombstone, uint64) {
	all := make([]Tombstone, 0, t.size())
	t.each(func(s tombstone) { all = append(all, Tombstone{s.mark, s.time}) })
	return all, t.forgotten
}

// stateOf copies one input.
func (s *shard) stateOf(c *cursor) InputState {
	st := InputState{Key: c.key, Kind: stored[c.class], Seen: *c.seen, Ended: *c.to&ended != 0, Overflow: *c.to&overflow != 0}
	if o := s.target(*c.to); o != nil {
		st.Output, st.Variant, st.Rule = o.key, o.variant, s.ruleOf(c.key, o)
	} else if r, free := s.watches.released(*c.to); free && r.rule != 0 {
		st.Rule = r.rule
	} else if free {
		st.Variant = r.until
	}
	switch c.class {
	case deltas:
		st.Sum.Span = *c.delta
	case sums:
		st.Sum = c.sum.Last()
	case levels:
		st.Sum = c.level.Last()
	case histograms:
		last := cloneHistogram(c.histogram.Last())
		st.Histogram = &last
	default:
		last := cloneExponential(c.exponential.Last())
		st.Exponential = &last
	}
	return st
}

func cloneExponential(p spatial.ExponentialPoint) spatial.ExponentialPoint {
	p.Positive.Counts = slices.Clone(p.Positive.Counts)
	p.Negative.Counts = slices.Clone(p.Negative.Counts)
	return p
}

func cloneHistogram(p spatial.HistogramPoint) spatial.HistogramPoint {
	p.Counts = slices.Clone(p.Counts)
	return p
}

func (o *output) state() OutputState {
	st := OutputState{
		Key: o.key, Variant: o.variant, Rule: o.rule, Owner: o.owner, Kind: o.kind, Policy: o.policy,
		Touched: o.touched, Shown: o.shown, Credit: o.credit, Start: o.start, Emitted: o.emitted, First: o.first,
		Sum: o.total.Value(), Last: o.last, KeepBounds: o.keepBounds, Behind: o.floor != nil,
	}
	if o.histogram != nil {
		st.Histogram = cloneHistogram(o.histogram.Point())
	}
	if o.exponential != nil {
		st.Exponential = cloneExponential(o.exponential.Point())
	}
	if o.floor != nil && o.floor.histogram != nil {
		st.HistogramFloor = cloneHistogram(o.floor.histogram.Point())
	}
	if o.floor != nil && o.floor.exponential != nil {
		st.ExponentialFloor = cloneExponential(o.floor.exponential.Point())
	}
	return st
}
