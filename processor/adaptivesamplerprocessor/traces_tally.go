package adaptivesamplerprocessor

import (
	"context"

	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

// The reasons by which spans are counted, as indexes of arrays.
const (
	keptPassed = iota
	keptSampled
	keptPreview
	keptStatus
	keptLatency
	keptQuantile
	keptAttribute
	keptReasons
)

const (
	leftOutSampled = iota
	leftOutBudget
	leftOutReasons
)

const (
	irregularMalformed = iota
	irregularInconsistent
	irregularNoRandomness
	irregularNoKey
	irregularNoTime
	irregularBackwards
	irregularTrimmed
	irregularReasons
)

// spanCounters are the counters of spans, in the order of tracesReasons.
type spanCounters struct {
	of                *telemetry
	received, refused counter
	kept              [keptReasons]counter
	irregular         [irregularReasons]counter
}

func newSpanCounters(tel *telemetry) spanCounters {
	c := spanCounters{of: tel, received: tel.received(), refused: tel.refused()}
	for i, r := range tracesReasons.kept {
		c.kept[i] = tel.kept(r)
	}
	for i, r := range tracesReasons.irregular {
		c.irregular[i] = tel.irregular(r)
	}
	return c
}

// spanTally counts a batch.
type spanTally struct {
	came        int
	represented float64
	kept        [keptReasons]int
	irregular   [irregularReasons]int
	classes     []spanClass
	flows       []spanFlow // by number of the budget
}

// spanClass counts what is left out of a service.
type spanClass struct {
	service string
	leftOut [leftOutReasons]int
}

// spanFlow is what a batch adds to a budget.
type spanFlow struct {
	in, out, certain  int // spans
	bytesIn, bytesOut int
	used              bool // level is set
	level             float64
}

// searchedClasses bounds the search for a service in a batch. Beyond it one may
// be counted in two entries, which adds up to the same.
const searchedClasses = 16

func (y *spanTally) begin(budgets int) {
	if cap(y.flows) < budgets {
		y.flows = make([]spanFlow, budgets)
	}
	y.flows = y.flows[:budgets]
	clear(y.flows)
}

// class returns the entry of a service.
func (y *spanTally) class(service string) int {
	for i := len(y.classes) - 1; i >= max(0, len(y.classes)-searchedClasses); i-- {
		if y.classes[i].service == service {
			return i
		}
	}
	y.classes = append(y.classes, spanClass{service: service})
	return len(y.classes) - 1
}

func (y *spanTally) spansKept() int {
	n := 0
	for _, k := range y.kept {
		n += k
	}
	return n
}

func (y *spanTally) problem(p consistent.Problem) {
	switch p {
	case consistent.InconsistentThreshold:
		y.irregular[irregularInconsistent]++
	case consistent.MalformedTraceState, consistent.UnreadableTraceState:
		y.irregular[irregularMalformed]++
	case consistent.NoRandomness:
		y.irregular[irregularNoRandomness]++
	default: // of log records
	}
}

// level is that of a budget, the same one for the whole batch.
func (y *spanTally) level(budget int, rules *spanRules) float64 {
	f := &y.flows[budget]
	if !f.used {
		f.used, f.level = true, rules.budgets[budget].flow.current()
	}
	return f.level
}

// measure counts a span for a budget.
func (y *spanTally) measure(budget int, kept bool) {
	if budget < 0 {
		return
	}
	f := &y.flows[budget]
	f.in++
	if kept {
		f.out++
	}
}

// certain says that a span that was measured was kept without chance.
func (y *spanTally) certain(budget int) {
	if budget >= 0 {
		y.flows[budget].certain++
	}
}

// measureBytes counts the spans of a resource for a budget in bytes.
func (y *spanTally) measureBytes(budget, in, out int) {
	if budget >= 0 {
		y.flows[budget].bytesIn += in
		y.flows[budget].bytesOut += out
	}
}

// flow is that of a budget by now, zero of none.
func (y *spanTally) flow(budget int) spanFlow {
	if budget < 0 {
		return spanFlow{}
	}
	return y.flows[budget]
}

// end adds the batch to what is counted, forgets it, and returns how many spans
// were kept.
func (y *spanTally) end(ctx context.Context, t *traces, rules *spanRules) int {
	t.tel.received.add(ctx, y.came)
	for i, n := range y.kept {
		t.tel.kept[i].add(ctx, n)
	}
	for i, n := range y.irregular {
		t.tel.irregular[i].add(ctx, n)
	}
	for i := range y.classes {
		c := &y.classes[i]
		for why, n := range c.leftOut {
			if n > 0 {
				t.tel.of.leftOut(tracesReasons.leftOut[why], c.service).add(ctx, n)
			}
		}
	}
	for i := range y.flows {
		y.flows[i].add(rules.budgets[i])
	}
	kept := y.spansKept()
	t.count(y.came, kept, y.represented)
	classes, flows := y.classes, y.flows
	if len(classes) > manyRates { // a batch like few others
		classes = nil
	}
	clear(classes)
	*y = spanTally{classes: classes[:0], flows: flows}
	return kept
}

// add adds what a batch did to what a budget measures.
func (f *spanFlow) add(b *spanBudget) {
	if f.in == 0 {
		return
	}
	in, out, certain := f.in, f.out, f.certain
	if b.bytes { // those kept without chance are of average size
		in, out = f.bytesIn, f.bytesOut
		certain = int(float64(f.bytesOut) * float64(f.certain) / float64(max(1, f.out)))
	}
	b.flow.in.Add(uint64(max(0, in)))
	b.flow.out.Add(uint64(max(0, out)))
	b.flow.certain.Add(uint64(max(0, certain)))
}
