package abrouterconnector

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// splitter divides metrics between the arms of experiments that split. It is
// used by many goroutines.
type splitter struct {
	overlaps overlaps
	scratch  sync.Pool
}

// newSplitter makes one. interval is how often inputs send, maxMoved how many
// streams may be remembered of which both arms got a point.
func newSplitter(interval time.Duration, maxMoved int) *splitter {
	s := &splitter{overlaps: overlaps{phase: phases * interval, max: maxMoved}}
	s.scratch.New = func() any { return &assigner{s: s} }
	return s
}

// division is what became of a batch.
type division struct {
	// parts together are what came in: whole, if all is one arm's, and otherwise
	// resources, scopes, metrics and points that were moved, not copied. has says
	// which part there is.
	parts [sides]pmetric.Metrics
	has   [sides]bool

	// last is what the arms get, before parts, of streams that have just left
	// them: markers, and points that both arms need. lastPoints counts the points;
	// without any there is no batch.
	last       [sides]pmetric.Metrics
	lastPoints [sides]int
	// markers counts the markers in last, withoutOverlap the points of counters
	// that moved though the arm that they left could not be given one more.
	markers, withoutOverlap int

	shared   []shared
	overlaps *overlaps
}

// forget undoes that streams count as handed over. It is called when the batch
// may come again because it was refused.
func (d *division) forget() {
	if len(d.shared) > 0 {
		d.overlaps.forget(d.shared)
		d.shared = nil
	}
}

// verdict is where a resource goes.
type verdict uint8

const (
	stays   verdict = iota // with the baseline, and nothing of it has a mark
	goes                   // to the candidate, and nothing of it has a mark
	divided                // by the code of each point
)

// code says what becomes of a point. The lowest bit is its side.
type code uint8

const (
	codeCandidate code = 1 << iota
	// codeMarker: the other arm gets a stale marker.
	codeMarker
	// codeCopy: the other arm gets the point as it is.
	codeCopy
	// codeUnknownStart: the arm gets the point without its start.
	codeUnknownStart

	codeMarks = codeMarker | codeCopy | codeUnknownStart
)

func (c code) side() side { return side(c & codeCandidate) }

func (s side) other() side { return s ^ 1 }

// divide moves what is the candidate's out of a batch, and counts it. If no
// experiment that splits holds for any of it, the batch is not touched.
func (s *splitter) divide(v *view, md pmetric.Metrics, now time.Time, t *tally) division {
	s.overlaps.sweep(now)
	if !v.splits {
		return wholly(md, toBaseline)
	}
	a, _ := s.scratch.Get().(*assigner)
	defer s.scratch.Put(a)
	defer a.reset()
	a.view, a.now, a.tally = v, now, t
	resources := md.ResourceMetrics()
	var count [divided + 1]int
	for i := range resources.Len() {
		verdict := a.resource(resources.At(i))
		a.verdicts = append(a.verdicts, verdict)
		count[verdict]++
	}
	switch resources.Len() {
	case count[stays]:
		return wholly(md, toBaseline)
	case count[goes]:
		return wholly(md, toCandidate)
	}
	a.division.overlaps = &s.overlaps
	a.move(md, count[goes]+count[divided])
	return a.division
}

// wholly is a batch that stays in one piece.
func wholly(md pmetric.Metrics, to side) (d division) {
	d.parts[to], d.has[to] = md, true
	return d
}

// sweep forgets what was handed over and is over.
func (s *splitter) sweep(now time.Time) { s.overlaps.sweep(now) }
