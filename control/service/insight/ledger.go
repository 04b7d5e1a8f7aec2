package insight

import (
	"maps"
	"math"
	"time"

	"github.com/phoenix-platform/phoenix/control/cost"
)

// ledger answers many questions about one usage without going through all of it:
// a bill depends on the sums by type, and on the items that change.
type ledger struct {
	usage  cost.Usage
	byName map[string][]int32
	totals map[string]sum
}

// sum is all items of one type of metric.
type sum struct {
	series            uint64
	variance, samples float64
}

func newLedger(u cost.Usage) *ledger {
	l := &ledger{usage: u, byName: make(map[string][]int32, len(u.Items)), totals: map[string]sum{}}
	for i, item := range u.Items {
		if !item.Overflow {
			l.byName[item.Metric] = append(l.byName[item.Metric], int32(i))
		}
		t := l.totals[item.Type]
		t.series += item.Series
		t.variance += item.StandardError * item.StandardError
		t.samples += item.SamplesPerSecond
		l.totals[item.Type] = t
	}
	return l
}

// restKey names the sum of what does not change; no metric has it, for its name
// would be empty.
func restKey(metricType string) cost.Key { return cost.Key{Group: metricType, Overflow: true} }

// reduction is by how much one item becomes less.
type reduction struct {
	item int32
	// saved is how many series go, with this variance.
	saved    uint64
	variance float64
	// added is how many are to be added to the item first, because it was counted
	// after they went.
	added uint64
}

// withReductions returns the usage and the effects of series that were counted
// as they went. The error of an item itself is then none of the saving: what
// stays is the item less what goes. It moves to the rest, where it still says how
// well the place in the tiers is known.
func (l *ledger) withReductions(list []reduction) (cost.Usage, []cost.Effect) {
	totals := l.cloneTotals()
	u := cost.Usage{Hosts: l.usage.Hosts, Backend: l.usage.Backend}
	effects := make([]cost.Effect, 0, len(list))
	for _, r := range list {
		item := l.usage.Items[r.item]
		t := totals[item.Type]
		t.series -= item.Series
		t.samples -= item.SamplesPerSecond
		totals[item.Type] = t
		if item.Series > 0 {
			item.SamplesPerSecond *= float64(item.Series+r.added) / float64(item.Series)
		}
		item.Series += r.added
		item.StandardError = 0
		u.Items = append(u.Items, item)
		after := cost.Exactly(item.Series - min(r.saved, item.Series))
		after.StandardError = math.Sqrt(r.variance)
		effects = append(effects, cost.Effect{Key: item.Key, After: after})
	}
	u.Items = appendRest(u.Items, totals)
	return u, effects
}

// withEffects returns the usage for effects that the report itself tells: what
// they do not touch is summed up.
func (l *ledger) withEffects(effects []cost.Effect) cost.Usage {
	totals := l.cloneTotals()
	u := cost.Usage{Hosts: l.usage.Hosts, Backend: l.usage.Backend}
	for _, e := range effects {
		for _, i := range l.byName[e.Metric] {
			item := l.usage.Items[i]
			if item.Key != e.Key {
				continue
			}
			t := totals[item.Type]
			t.series -= item.Series
			t.samples -= item.SamplesPerSecond
			t.variance -= item.StandardError * item.StandardError
			totals[item.Type] = t
			u.Items = append(u.Items, item)
		}
	}
	u.Items = appendRest(u.Items, totals)
	return u
}

func (l *ledger) cloneTotals() map[string]sum {
	return maps.Clone(l.totals)
}

func appendRest(items []cost.Item, totals map[string]sum) []cost.Item {
	for metricType, t := range totals {
		items = append(items, cost.Item{
			Key: restKey(metricType), Type: metricType, Series: t.series,
			StandardError: math.Sqrt(max(t.variance, 0)), SamplesPerSecond: max(t.samples, 0),
		})
	}
	return items
}

// assumptions are what the report does not say about rules that are applied by
// processors with this interval.
func assumptions(interval time.Duration) cost.Assumptions {
	return cost.Assumptions{Interval: interval}
}
