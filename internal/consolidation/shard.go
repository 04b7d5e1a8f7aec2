package consolidation

import (
	"sync"

	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// shard holds outputs and all inputs that feed them.
type shard struct {
	mu      sync.Mutex
	buckets int // the limit of exponential histograms
	watches *watches

	deltas       table[spatial.Span]
	sums         table[spatial.SumInput]
	levels       table[spatial.Latest]
	histograms   table[spatial.HistogramInput]
	exponentials table[spatial.ExponentialInput]

	index   index
	outputs arena[output]
	gone    tombstones // outputs that went stale: when
	guests  map[Key]guest

	// What is lent to spatial, under the lock.
	increment spatial.Histogram
	growth    *spatial.Exponential

	batch batch
	// bases are the base lines of inputs that are new since they were asked for.
	bases      []Base
	notesBases bool
	expired    [classes][]Key
	// copied is the generation of the latest snapshot that has this shard. The
	// inputs that left while a snapshot under way had not are displaced; early is
	// the copy if it could not wait.
	copied    uint64
	displaced []InputState
	early     *Part

	_ [64]byte // neighbours do not share a cache line
}

// output returns the output that an input feeds, if the point agrees.
func (s *shard) output(to uint32, p *Point) *output {
	o := s.target(to)
	if o == nil || o.key != p.Output {
		return nil
	}
	if o.rule != p.Rule || o.hosts {
		s.entertain(o, p)
	}
	return o
}

// target returns the output that an input feeds, or nil. The number of a release
// is higher than that of any output.
func (s *shard) target(to uint32) *output {
	ref := to & refMask
	if ref == 0 || ref > s.outputs.next {
		return nil
	}
	return s.outputs.at(ref)
}

// findOutput finds an output by its labels alone. Rules whose outputs have the
// same labels share one: two would be two values of one series.
func (s *shard) findOutput(key Key, variant uint64) (uint32, *output) {
	slots := s.index.slots
	if len(slots) == 0 {
		return 0, nil
	}
	tag := key.apart(variant).tag()
	for i := home(tag, len(slots)); slots[i] != 0; {
		if slots[i]>>32 == uint64(tag) {
			ref := uint32(slots[i]) //nolint:gosec // the lower half
			if o := s.outputs.at(ref); o.key == key && o.variant == variant {
				return ref, o
			}
		}
		if i++; i == len(slots) {
			i = 0
		}
	}
	return 0, nil
}

// makeOutput begins an output. One that returns begins where its former life
// ended, also if another rule had made it.
func (s *shard) makeOutput(p *Point, variant, activation uint64, d *Description) (uint32, *output) {
	ref, o := s.outputs.add()
	ended := s.gone.until(p.Output.variant(variant))
	*o = output{
		used: true, key: p.Output, variant: variant, rule: p.Rule, kind: p.Kind, policy: p.Policy, emitted: ended,
	}
	if o.kind != Gauge && !o.kind.Delta() {
		o.start = max(activation, ended)
	}
	o.open(d, s.buckets)
	s.index.add(p.Output.apart(variant).tag(), ref)
	return ref, o
}

func (s *shard) removeOutput(ref uint32, o *output) {
	s.index.remove(o.key.apart(o.variant).tag(), ref)
	s.outputs.remove(ref)
}

// feedKnown feeds a point of an input that is where the point says.
func (s *shard) feedKnown(p *Point) (Outcome, bool) {
	switch p.Kind.class() {
	case sums:
		if _, e := s.sums.find(p.Input); e != nil {
			if o := s.output(e.to, p); o != nil {
				return s.feedSum(e, o, p, spatial.Watch{}), true
			}
		}
	case levels:
		if _, e := s.levels.find(p.Input); e != nil {
			if o := s.output(e.to, p); o != nil {
				return s.feedLevel(e, o, p), true
			}
		}
	case histograms:
		if _, e := s.histograms.find(p.Input); e != nil {
			if o := s.output(e.to, p); o != nil {
				return s.feedHistogram(e, o, p, spatial.Watch{}), true
			}
		}
	case exponentials:
		if _, e := s.exponentials.find(p.Input); e != nil {
			if o := s.output(e.to, p); o != nil {
				return s.feedExponential(e, o, p, spatial.Watch{}), true
			}
		}
	default:
		if _, e := s.deltas.find(p.Input); e != nil {
			if o := s.output(e.to, p); o != nil {
				return s.feedDelta(e, o, p), true
			}
		}
	}
	return Outcome{}, false
}

// note enters that a point of an input came: newer than all before, or not.
func (s *shard) note(to, seen *uint32, o *output, now uint64, newer bool) (happened Event) {
	*seen = max(*seen, secondsOf(now))
	if *to&(ended|restored|taken) == 0 {
		return 0
	}
	if *to&taken != 0 {
		happened = Taken
	}
	*to &^= restored | taken
	if newer && *to&ended != 0 {
		*to &^= ended
		o.live++
	}
	return happened
}

// left takes an input away from its output. A level is another one then.
func (s *shard) left(to uint32) {
	o := s.target(to)
	if o == nil || to&ended != 0 {
		return
	}
	o.live--
	o.touched = o.touched || o.level != nil && o.credit > 0
}
