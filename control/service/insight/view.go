package insight

import (
	"sync"
	"time"

	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/report"
)

// maxParts bounds for how many sets of namespaces a view keeps their parts.
const maxParts = 16

// view is one report, and what follows from it. The report is not written to.
type view struct {
	report report.Cardinality
	hosts  uint64
	// rates are the points a second, measured over so long; none if it is 0.
	rates cost.Rates
	over  time.Duration
	// part marks what is left of a report for some namespaces.
	part bool

	usage  func() cost.Usage
	ledger func() *ledger

	mu        sync.Mutex
	orders    map[Order][]int32
	bills     map[string]*bills
	parts     map[string]*view
	estimates map[string]*estimated
}

func newView(c report.Cardinality, hosts uint64) *view {
	v := &view{
		report: c, hosts: hosts,
		orders: map[Order][]int32{}, bills: map[string]*bills{}, parts: map[string]*view{}, estimates: map[string]*estimated{},
	}
	v.usage = sync.OnceValue(func() cost.Usage { return cost.NewUsage(v.report, v.rates, v.hosts) })
	v.ledger = sync.OnceValue(func() *ledger { return newLedger(v.usage()) })
	return v
}

// within returns what the scope shows of the view.
func (v *view) within(sc scope) *view {
	if sc.all {
		return v
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if part := v.parts[sc.key]; part != nil {
		return part
	}
	part := newView(restrict(v.report, sc), v.hosts)
	part.part, part.over = true, v.over
	part.rates = make(cost.Rates, len(part.report.Metrics))
	for _, m := range part.report.Metrics {
		key := cost.Key{Metric: m.Name, Group: m.Group}
		part.rates[key] = v.rates[key]
	}
	if len(v.parts) < maxParts {
		v.parts[sc.key] = part
	}
	return part
}

// restrict leaves of a report the groups that the scope covers. What cannot be
// divided by group (overflow, memory, what was refused) is left out, and the
// totals are those of what stays.
func restrict(c report.Cardinality, sc scope) report.Cardinality {
	r := c
	r.Metrics, r.MetricsTracked, r.Series, r.Streams, r.Points = nil, 0, 0, 0, 0
	r.Refused, r.Overflow, r.MemoryBytes, r.MemoryLimitBytes = nil, nil, 0, 0
	for _, m := range c.Metrics {
		if !sc.covers(m.Group) {
			continue
		}
		r.Metrics = append(r.Metrics, m)
		r.Series += m.Series
		r.Streams += m.Streams
		r.Points += m.Points
	}
	r.MetricsTracked = len(r.Metrics)
	return r
}

// withoutDetail returns the view without attributes, for answers that are kept.
func (v *view) withoutDetail() *view {
	bare := v.report
	bare.Metrics = nil
	return &view{report: bare, hosts: v.hosts, over: v.over, part: v.part}
}
