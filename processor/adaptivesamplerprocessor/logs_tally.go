package adaptivesamplerprocessor

import (
	"context"

	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

// The reasons by which records are counted, as indexes of arrays, in the order of
// logsReasons. Those by which they are left out are the same as of spans.
const (
	recordPassed = iota
	recordSampled
	recordPreview
	recordFloor
	recordTrace
	recordSummary
	recordKeptReasons
)

const (
	recordMalformed = iota
	recordInconsistent
	recordNoKey
	recordIrregularReasons
)

// recordCounters are the counters of records.
type recordCounters struct {
	of                *telemetry
	received, refused counter
	kept              [recordKeptReasons]counter
	irregular         [recordIrregularReasons]counter
}

func newRecordCounters(tel *telemetry) recordCounters {
	c := recordCounters{of: tel, received: tel.received(), refused: tel.refused()}
	for i, r := range logsReasons.kept {
		c.kept[i] = tel.kept(r)
	}
	for i, r := range logsReasons.irregular {
		c.irregular[i] = tel.irregular(r)
	}
	return c
}

// recordTally counts a batch.
type recordTally struct {
	came        int
	represented float64
	kept        [recordKeptReasons]int
	irregular   [recordIrregularReasons]int
	services    []spanClass
	flows       []spanFlow // by number of the budget
}

func (y *recordTally) begin(budgets int) {
	if cap(y.flows) < budgets {
		y.flows = make([]spanFlow, budgets)
	}
	y.flows = y.flows[:budgets]
	clear(y.flows)
}

// service returns the entry of a service.
func (y *recordTally) service(name string) int {
	for i := len(y.services) - 1; i >= max(0, len(y.services)-searchedClasses); i-- {
		if y.services[i].service == name {
			return i
		}
	}
	y.services = append(y.services, spanClass{service: name})
	return len(y.services) - 1
}

func (y *recordTally) problem(p consistent.Problem) {
	switch p {
	case consistent.MalformedAttributes:
		y.irregular[recordMalformed]++
	case consistent.InconsistentThreshold:
		y.irregular[recordInconsistent]++
	default: // a record without randomness is given some; others are of spans
	}
}

// level is that of a budget, the same one for the whole batch.
func (y *recordTally) level(budget int, rules *spanRules) float64 {
	f := &y.flows[budget]
	if !f.used {
		f.used, f.level = true, rules.budgets[budget].flow.current()
	}
	return f.level
}

// measure counts a record for a budget.
func (y *recordTally) measure(budget int, kept bool) {
	if budget < 0 {
		return
	}
	f := &y.flows[budget]
	f.in++
	if kept {
		f.out++
	}
}

// certain says that a record that was measured was kept whatever the level is.
func (y *recordTally) certain(budget int) {
	if budget >= 0 {
		y.flows[budget].certain++
	}
}

// measureBytes counts the records of a resource for a budget in bytes.
func (y *recordTally) measureBytes(budget, in, out int) {
	if budget >= 0 {
		y.flows[budget].bytesIn += in
		y.flows[budget].bytesOut += out
	}
}

// flow is that of a budget by now, zero of none.
func (y *recordTally) flow(budget int) spanFlow {
	if budget < 0 {
		return spanFlow{}
	}
	return y.flows[budget]
}

// end adds the batch to what is counted, forgets it, and returns how many records
// were kept.
func (y *recordTally) end(ctx context.Context, l *logs, rules *spanRules) (kept int) {
	l.tel.received.add(ctx, y.came)
	for i, n := range y.kept {
		kept += n
		l.tel.kept[i].add(ctx, n)
	}
	for i, n := range y.irregular {
		l.tel.irregular[i].add(ctx, n)
	}
	for i := range y.services {
		s := &y.services[i]
		for why, n := range s.leftOut {
			if n > 0 {
				l.tel.of.leftOut(logsReasons.leftOut[why], s.service).add(ctx, n)
			}
		}
	}
	for i := range y.flows {
		y.flows[i].add(rules.budgets[i])
	}
	l.count(y.came, kept, y.represented)
	services, flows := y.services, y.flows
	clear(services)
	*y = recordTally{services: services[:0], flows: flows}
	return kept
}
