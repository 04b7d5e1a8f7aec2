package tagconsolidationprocessor

import (
	"math/bits"
	"math/rand/v2"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/relabel"
	"github.com/phoenix-platform/phoenix/internal/series"
)

const (
	// exemplarRows bounds the exemplars of an output in an interval: one for each
	// row, and rows are powers of two, so that those of rare large values are not
	// crowded out by those of frequent small ones.
	exemplarRows = 16
	// maxExemplarOutputs bounds the outputs that have any.
	maxExemplarOutputs = 10_000
)

// exemplars holds a reservoir for each output that got exemplars in this
// interval: of those in a row each is as likely to stay as any other (Vitter,
// "Random Sampling with a Reservoir", 1985, algorithm R with one place).
type exemplars struct {
	mu       sync.Mutex
	byOutput map[consolidation.Key]*reservoir
}

type reservoir struct {
	seen [exemplarRows]uint32
	kept [exemplarRows]pmetric.Exemplar
}

// offer lets the exemplars of a point compete. It copies those that stay, and
// adds what the point loses: metrics.proto, filtered_attributes.
func (x *exemplars) offer(output consolidation.Key, list pmetric.ExemplarSlice, plan *relabel.Plan, attributes pcommon.Map) {
	if list.Len() == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.byOutput[output]
	if r == nil {
		if len(x.byOutput) >= maxExemplarOutputs {
			return
		}
		if x.byOutput == nil {
			x.byOutput = map[consolidation.Key]*reservoir{}
		}
		r = new(reservoir)
		x.byOutput[output] = r
	}
	for i := range min(list.Len(), 4*exemplarRows) {
		if kept, stays := r.offer(list.At(i)); stays {
			tellLost(kept, plan, attributes)
		}
	}
}

// maxLost bounds the attributes that are added to an exemplar.
const maxLost = 16

// tellLost adds to an exemplar what its point does not say any more.
func tellLost(e pmetric.Exemplar, plan *relabel.Plan, attributes pcommon.Map) {
	lost := e.FilteredAttributes()
	for key, value := range attributes.All() {
		if lost.Len() >= maxLost {
			return
		}
		if _, there := lost.Get(key); !there && plan.Key(series.Point, key) != relabel.Stays {
			value.CopyTo(lost.PutEmpty(key))
		}
	}
}

func (r *reservoir) offer(e pmetric.Exemplar) (kept pmetric.Exemplar, stays bool) {
	row := exemplarRow(e)
	r.seen[row]++
	if r.seen[row] > 1 && rand.Uint32N(r.seen[row]) != 0 {
		return kept, false
	}
	r.kept[row] = pmetric.NewExemplar()
	e.CopyTo(r.kept[row])
	return r.kept[row], true
}

// exemplarRow is the power of two that the value lies in; traces of slow calls
// are what exemplars are looked at for.
func exemplarRow(e pmetric.Exemplar) int {
	value := float64(e.IntValue())
	if e.ValueType() == pmetric.ExemplarValueTypeDouble {
		value = e.DoubleValue()
	}
	const unit = 1 << 10 // milliseconds, where values are seconds
	scaled := value * unit
	if !(scaled >= 1) {
		return 0
	}
	if scaled >= 1<<62 {
		return exemplarRows - 1
	}
	return min(exemplarRows-1, bits.Len64(uint64(scaled))/2)
}

// take moves the exemplars of an output to its point.
func (x *exemplars) take(output consolidation.Key, to pmetric.ExemplarSlice) {
	x.mu.Lock()
	r := x.byOutput[output]
	delete(x.byOutput, output)
	x.mu.Unlock()
	if r == nil {
		return
	}
	for row := range r.kept {
		if r.seen[row] > 0 {
			r.kept[row].MoveTo(to.AppendEmpty())
		}
	}
}

// drop forgets what nobody took.
func (x *exemplars) drop() {
	x.mu.Lock()
	clear(x.byOutput)
	x.mu.Unlock()
}
