package keyrate

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// maxPools bounds the groups that have rates of their own. Keys of others are
// bounded by the total only.
const maxPools = 1000

// still is by how much a probability may be off before it is moved: thresholds
// that do not change need no new texts.
const still = 0.02

// gone is how much of an item may be left in an average of a key that is gone.
const gone = 1e-3

// Adjust ends an interval of that length: it finds the probabilities of the next
// one from what was counted. One goroutine calls it. It holds up nobody who counts
// or finds keys.
func (t *Table) Adjust(elapsed time.Duration) []Event {
	t.adjusting.Lock()
	defer t.adjusting.Unlock()
	if t.closed || elapsed <= 0 {
		return nil
	}
	keys := t.all()
	for _, k := range keys {
		k.end()
	}
	t.arrange(keys)
	seconds := elapsed.Seconds()
	pools := t.pools()
	for _, p := range pools {
		p.ask()
		p.measure(seconds)
	}
	for _, k := range keys {
		k.smooth(seconds)
	}
	t.solve()
	for _, k := range keys {
		t.put(k)
	}
	t.open()
	t.forget(keys, elapsed)
	var events []Event
	for _, p := range pools {
		if e, happened := p.event(p.level < minLevel*1.01 || t.floored(p)); happened {
			events = append(events, e)
		}
		p.keys = nil
	}
	return events
}

// end reads what was counted since the last interval.
func (k *Key) end() {
	c := k.read()
	k.now = counts{came: c.came - k.last.came, kept: c.kept - k.last.kept, represented: c.represented - k.last.represented}
	k.last = c
	k.settled.Store(uint64(c.came))
	if k.now.came > 0 {
		k.idle = 0
	} else {
		k.idle++
	}
}

// smooth takes the interval into the averages.
func (k *Key) smooth(seconds float64) {
	came, represented := k.now.came/seconds, k.now.represented/seconds
	if k.average.Came == 0 { // the first of the key
		k.average = averages{came, represented}
		return
	}
	k.average.Came += weight * (came - k.average.Came)
	k.average.Represented += weight * (represented - k.average.Represented)
	if k.average.Came*seconds < gone {
		k.average = averages{}
	}
}

// arrange puts keys into pools, and begins and ends pools as targets and groups
// come and go.
func (t *Table) arrange(keys []*Key) {
	if t.total = t.keep(t.total, scope{all: true}, t.settings.Total, keys); t.total != nil {
		t.total.keys = keys
	}
	of := map[string][]*Key{}
	for _, k := range keys {
		if t.target(k.group) > 0 {
			of[k.group] = append(of[k.group], k)
		}
	}
	for group, p := range t.groups {
		if of[group] == nil || p.idle > forgotten {
			p.close()
			delete(t.groups, group)
		}
	}
	for _, group := range slices.Sorted(maps.Keys(of)) {
		p := t.groups[group]
		if p == nil && (len(t.groups) >= maxPools || !anyCame(of[group])) {
			continue
		}
		if p = t.keep(p, scope{group: group}, t.target(group), of[group]); p != nil {
			p.keys = of[group]
			t.groups[group] = p
		}
	}
}

func anyCame(keys []*Key) bool {
	return slices.ContainsFunc(keys, func(k *Key) bool { return k.idle == 0 || k.average.Came > 0 })
}

// keep returns the pool of a target: the one that there is, or a new one if the
// target is another.
func (t *Table) keep(p *pool, of scope, target float64, keys []*Key) *pool {
	if target <= 0 {
		p.close()
		return nil
	}
	if p != nil && p.target == target {
		return p
	}
	next, err := newPool(of, target, t.interval(), keys)
	if err != nil { // a state of our own making, and an interval that New has checked
		return p
	}
	if p != nil {
		next.level, next.keepsWhole, next.besides, next.exceeded = p.level, p.keepsWhole, p.besides, p.exceeded
	}
	p.close()
	return next
}

// pools returns those in force, the total last, so that it sees what groups leave.
func (t *Table) pools() []*pool {
	var list []*pool
	for _, group := range slices.Sorted(maps.Keys(t.groups)) {
		list = append(list, t.groups[group])
	}
	if t.total != nil {
		list = append(list, t.total)
	}
	return list
}

// solve finds the levels: those of groups first, for the total counts what they
// leave.
func (t *Table) solve() {
	minimum := t.settings.MinProbability
	for _, p := range t.groups {
		p.solve(minimum, func(*Key) float64 { return 1 })
	}
	if t.total != nil {
		t.total.solve(minimum, func(k *Key) float64 { return t.groups[k.group].probability(k) })
	}
}

// put puts the probability of a key into force.
func (t *Table) put(k *Key) {
	p := min(t.total.probability(k), t.groups[k.group].probability(k))
	if level, found := t.levels[k.group]; found {
		p *= level
	}
	p = max(min(p, 1), t.settings.MinProbability)
	if p < 1 && math.Abs(p-k.probability) <= still*p || p == k.probability {
		return
	}
	k.set(p)
}

// open says with what probability new keys begin: 1, unless a level is so low that
// also keys of rate 1 are sampled.
func (t *Table) open() {
	intake := map[scope]float64{}
	for _, p := range t.pools() {
		if p.level < 1 && !p.keepsWhole {
			intake[p.scope] = p.level
		}
	}
	t.intake.Store(&intake)
}

// forget prepares what goes first if new keys come, and lets latencies age.
func (t *Table) forget(keys []*Key, elapsed time.Duration) {
	var idle []*Key
	for _, k := range keys {
		if l := k.latency.Load(); l != nil {
			l.adjust(elapsed)
		}
		if k.idle > 0 && k.id < sharedID {
			idle = append(idle, k)
		}
	}
	slices.SortStableFunc(idle, func(a, b *Key) int { return cmp.Compare(a.idle, b.idle) })
	t.arrival.Lock()
	t.oldest = idle
	t.arrival.Unlock()
}

// floored says whether no key of a pool can be sampled more.
func (t *Table) floored(p *pool) bool {
	minimum := t.settings.MinProbability
	return minimum > 0 && !slices.ContainsFunc(p.keys, func(k *Key) bool {
		return k.idle == 0 && k.probability > minimum*(1+still)
	})
}
