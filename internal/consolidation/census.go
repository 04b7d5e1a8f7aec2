package consolidation

import "github.com/phoenix-platform/phoenix/internal/spatial"

// OutputSize is one output, and how much feeds it.
type OutputSize struct {
	// Rule is the one that made the output; others may feed it.
	Rule RuleID
	// Owner is that of its Description.
	Owner any
	Kind  Kind
	// Inputs are those that feed it and have not ended.
	Inputs int
	// Buckets are those of a classic histogram, +Inf among them, and HasSum says
	// whether it has a sum.
	Buckets int
	HasSum  bool
}

// censusPages is how many pages of outputs are read under one lock: 512 outputs
// take some 10 µs (BenchmarkCensus).
const censusPages = 8

// Census visits all outputs. Unlike Stats and Flush it may be called at any
// time, by any number of goroutines. It holds up a shard for a few microseconds
// at a time, and visit is called without a lock. Outputs that come and go
// meanwhile may be seen or not.
func (e *Engine) Census(visit func(*OutputSize)) {
	list := make([]OutputSize, 0, censusPages*pageSize)
	for i := range e.shards {
		more := true
		for from := uint32(1); more; from += censusPages * pageSize {
			list, more = e.shards[i].sizes(list[:0], from)
			for j := range list {
				visit(&list[j])
			}
		}
	}
}

// sizes appends the outputs with references from one on, and says whether more
// follow.
func (s *shard) sizes(list []OutputSize, from uint32) ([]OutputSize, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := from + censusPages*pageSize
	for ref := from; ref < end && ref <= s.outputs.next; ref++ {
		o := s.outputs.at(ref)
		if !o.used {
			continue
		}
		size := OutputSize{Rule: o.rule, Owner: o.owner, Kind: o.kind, Inputs: int(o.live)}
		if o.histogram != nil {
			p := o.histogram.Point()
			size.Buckets, size.HasSum = p.Bounds.Buckets(), p.Known&spatial.HasSum != 0
		}
		list = append(list, size)
	}
	return list, end <= s.outputs.next
}
