package conductor

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/verdict"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

// leastSilence is how long an arm may send nothing and still count as there:
// processors that consolidate send once an interval.
const leastSilence = 2 * time.Minute

// counters turn what sources have counted since they began into what happened
// since the last look. A look is judged when both arms have sent something since
// the last one that was, so that an arm that sends once a minute is compared with
// the same minute of the other.
type counters struct {
	epoch  uint64
	step   int
	began  time.Time // of the present weight
	judged time.Time // the last look that was
	// routers and arms are what sources had counted then, seen the points that left
	// the arms at the last look, whether judged or not.
	routers []routerMark
	ends    [arms]ends
}

// The arms as indices.
const baseline, candidate, arms = 0, 1, 2

var armNames = [arms]policy.Arm{policy.ArmBaseline, policy.ArmCandidate}

// ends is one arm.
type ends struct {
	marks []armMark
	units map[uint64]unitMark
	sum   totals // since the present weight
	seen  uint64
	sent  time.Time
}

type routerMark struct {
	component string
	epoch     uint64
	since     time.Time
	arms      [arms]report.RouteArm
}

type armMark struct {
	component, point string
	since            time.Time
	points, bytes    uint64
}

type unitMark struct{ points, bytes uint64 }

// totals are counts of one arm.
type totals struct {
	points, bytes, refused, failed, batches, failedBatches uint64
	given                                                  uint64 // by the router
	time                                                   time.Duration
}

func (t totals) plus(o totals) totals {
	return totals{
		t.points + o.points, t.bytes + o.bytes, t.refused + o.refused, t.failed + o.failed, t.batches + o.batches,
		t.failedBatches + o.failedBatches, t.given + o.given, t.time + o.time,
	}
}

func (t totals) latency() time.Duration {
	if t.batches == 0 {
		return 0
	}
	return time.Duration(float64(t.time) / float64(t.batches))
}

// sight is what the sources say of one experiment.
type sight struct {
	routes []report.RouteReport
	arms   []report.ArmReport
	prices Prices
}

// levels are what an arm has at a time.
type levels struct {
	reported       bool
	series, memory uint64
	// doubt is the variance of series that its measurement has.
	doubt float64
	cost  int64
}

// seriesError is one standard error of series as a fraction.
func (l levels) seriesError() float64 {
	if l.series == 0 {
		return 0
	}
	return math.Sqrt(l.doubt) / float64(l.series)
}

// restart begins anew: the candidate began, or its weight changed. What sources
// counted during a pause is no part of what follows: it says whether there is
// such a rest.
func (c *counters) restart(s experiment.State, now time.Time) (rest bool) {
	if c.epoch == s.Lease.Epoch && c.step == s.Step && !c.began.IsZero() {
		return false
	}
	again := c.epoch != s.Lease.Epoch
	rest = again && !c.began.IsZero()
	c.epoch, c.step, c.began = s.Lease.Epoch, s.Step, now.Add(-s.StepRan.Std())
	if c.judged.Before(c.began) {
		c.judged = c.began
	}
	for i := range c.ends {
		c.ends[i].sum = totals{}
		if again {
			c.ends[i].sent = time.Time{}
		}
	}
	return rest
}

// look compares what was counted with what was counted before. The Look is nil
// if there is nothing to judge by; an arm is nil if it sends nothing.
func (c *counters) look(spec experiment.Spec, s experiment.State, in sight, now time.Time) (*verdict.Look, [arms]*experiment.Arm) {
	rest := c.restart(s, now)
	change, level := c.change(spec, in, now)
	if rest {
		change = [arms]totals{}
		c.mark(in, change, now)
	}
	c.price(&level, in.prices, change, now)
	units := routerUnits(in.routes, s.Lease.Epoch)
	alone := spec.Mode == experiment.ModeSplit && s.Weights.Candidate == 100
	silence := max(2*spec.Interval.Std(), leastSilence)
	var seen [arms]*experiment.Arm
	for i := range seen {
		if e := &c.ends[i]; level[i].reported && !e.sent.IsZero() && now.Sub(e.sent) <= silence {
			seen[i] = e.sum.plus(change[i]).arm(level[i], units[i], in.prices.Model.Currency)
		}
	}
	both := change[candidate].points > 0 && (change[baseline].points > 0 || alone)
	if !both && change[candidate].failedBatches == 0 {
		return nil, seen
	}
	look := &verdict.Look{
		Epoch: s.Lease.Epoch, Step: s.Step, Weight: s.Weights.Candidate, Elapsed: now.Sub(c.judged), RouterUnits: units,
		Baseline: change[baseline].counts(level[baseline]), Candidate: change[candidate].counts(level[candidate]),
	}
	if alone && change[baseline].points == 0 {
		look.Baseline = nil
	}
	if spec.Mode == experiment.ModeSplit {
		look.Units = c.unitLooks(in.arms, s.Weights.Candidate)
	}
	c.mark(in, change, now)
	return look, seen
}

// change is what happened since the last look that was judged.
func (c *counters) change(spec experiment.Spec, in sight, now time.Time) (change [arms]totals, level [arms]levels) {
	metrics := spec.Signal == experiment.SignalMetrics
	for _, r := range in.routes {
		was, _ := c.routerMark(r)
		for i, arm := range [arms]report.RouteArm{r.Baseline, r.Candidate} {
			d := since(arm, was.arms[i])
			if !metrics { // nobody counts what leaves the arms of traces and logs
				d.points = less(arm.Points, was.arms[i].Points)
				level[i].reported = true
				c.ends[i].sees(in, i, now)
			}
			change[i] = change[i].plus(d)
		}
	}
	if !metrics {
		return change, level
	}
	for i := range c.ends {
		for _, a := range in.arms {
			if a.Arm != string(armNames[i]) {
				continue
			}
			was, _ := c.ends[i].mark(a)
			change[i].points += less(a.Points, was.points)
			change[i].bytes += less(a.Bytes, was.bytes)
			level[i].reported = true
			level[i].series += a.Series
			level[i].doubt += math.Pow(a.RelativeError*float64(a.Series), 2)
			level[i].memory += a.MemoryBytes
		}
		c.ends[i].sees(in, i, now)
	}
	return change, level
}

// since is what a router did for an arm since an earlier count. What a mirror's
// queue had no room for is what the arm would not take.
func since(now, was report.RouteArm) totals {
	return totals{
		refused: less(now.Refused, was.Refused) + less(now.Dropped, was.Dropped), failed: less(now.Failed, was.Failed),
		batches: less(now.Batches, was.Batches), failedBatches: less(now.FailedBatches, was.FailedBatches),
		given: less(now.Points, was.Points), time: max(0, now.Time-was.Time),
	}
}

// less is a - b; a count that fell began anew.
func less(a, b uint64) uint64 {
	if a < b {
		return a
	}
	return a - b
}

func (c *counters) routerMark(r report.RouteReport) (routerMark, int) {
	i := slices.IndexFunc(c.routers, func(m routerMark) bool { return m.component == r.Component })
	if i < 0 || c.routers[i].epoch != r.Epoch || !c.routers[i].since.Equal(r.Since) {
		return routerMark{}, i
	}
	return c.routers[i], i
}

func (e *ends) mark(a report.ArmReport) (armMark, int) {
	i := slices.IndexFunc(e.marks, func(m armMark) bool { return m.component == a.Component && m.point == a.Point })
	if i < 0 || !e.marks[i].since.Equal(a.Since) {
		return armMark{}, i
	}
	return e.marks[i], i
}

// sees notes when the arm last sent something.
func (e *ends) sees(in sight, arm int, now time.Time) {
	var points uint64
	if len(in.arms) > 0 {
		for _, a := range in.arms {
			if a.Arm == string(armNames[arm]) {
				points += a.Points
			}
		}
	} else {
		for _, r := range in.routes {
			points += [arms]report.RouteArm{r.Baseline, r.Candidate}[arm].Points
		}
	}
	if points != e.seen && points > 0 {
		e.sent = now
	}
	e.seen = points
}

// mark notes what was counted when a look is judged.
func (c *counters) mark(in sight, change [arms]totals, now time.Time) {
	c.judged = now
	for _, r := range in.routes {
		m := routerMark{r.Component, r.Epoch, r.Since, [arms]report.RouteArm{r.Baseline, r.Candidate}}
		if _, i := c.routerMark(r); i >= 0 {
			c.routers[i] = m
		} else {
			c.routers = append(c.routers, m)
		}
	}
	for i := range c.ends {
		e := &c.ends[i]
		e.sum = e.sum.plus(change[i])
		for _, a := range in.arms {
			if a.Arm != string(armNames[i]) {
				continue
			}
			m := armMark{a.Component, a.Point, a.Since, a.Points, a.Bytes}
			if _, at := e.mark(a); at >= 0 {
				e.marks[at] = m
			} else {
				e.marks = append(e.marks, m)
			}
		}
	}
}

// unitLooks are the units of both arms that sent something since the last look
// that was judged. What still leaves the arm that a unit has left is not its.
func (c *counters) unitLooks(list []report.ArmReport, weight int) []verdict.UnitLook {
	var looks []verdict.UnitLook
	for i := range c.ends {
		e := &c.ends[i]
		present := map[uint64]unitMark{}
		first := len(looks)
		for _, a := range list {
			if a.Arm != string(armNames[i]) {
				continue
			}
			for _, u := range a.Units {
				m := present[u.Unit]
				present[u.Unit] = unitMark{m.points + u.Points, m.bytes + u.Bytes}
				looks = append(looks, verdict.UnitLook{Unit: u.Unit, Candidate: i == candidate, Series: float64(u.Series)})
			}
		}
		rest := merge(looks[first:])
		kept := looks[:first]
		for _, l := range rest {
			now, was := present[l.Unit], e.units[l.Unit]
			l.Points, l.Bytes = float64(less(now.points, was.points)), float64(less(now.bytes, was.bytes))
			if l.Points > 0 && routing.Candidate(l.Unit, weight) == l.Candidate {
				kept = append(kept, l)
			}
		}
		looks, e.units = kept, present
	}
	return looks
}

// merge adds up the series of units that several sources saw.
func merge(looks []verdict.UnitLook) []verdict.UnitLook {
	slices.SortFunc(looks, func(a, b verdict.UnitLook) int { return cmp.Compare(a.Unit, b.Unit) })
	merged := looks[:0]
	for _, l := range looks {
		if n := len(merged); n > 0 && merged[n-1].Unit == l.Unit {
			merged[n-1].Series += l.Series
			continue
		}
		merged = append(merged, l)
	}
	return merged
}

// routerUnits are the distinct units of the arms. A unit may be behind several
// routers, so those of the router that saw most count.
func routerUnits(routes []report.RouteReport, epoch uint64) (units [arms]uint64) {
	for _, r := range routes {
		if n := r.Baseline.Units + r.Candidate.Units; r.Epoch == epoch && n > units[baseline]+units[candidate] {
			units = [arms]uint64{r.Baseline.Units, r.Candidate.Units}
		}
	}
	return units
}

func (t totals) counts(l levels) *verdict.Counts {
	return &verdict.Counts{
		Series: float64(l.series), SeriesError: l.seriesError(), Given: float64(t.given), Points: float64(t.points), Bytes: float64(t.bytes), Refused: float64(t.refused),
		Failed: float64(t.failed), Batches: float64(t.batches), FailedBatches: float64(t.failedBatches), Latency: t.latency(),
		MemoryBytes: float64(l.memory), CostMicros: float64(l.cost),
	}
}

func (t totals) arm(l levels, units uint64, currency string) *experiment.Arm {
	return &experiment.Arm{
		Units: units, Series: l.series, Points: t.points, Bytes: t.bytes, Refused: t.refused, Failed: t.failed,
		Latency: experiment.Duration(t.latency()), MemoryBytes: l.memory, CostMicros: l.cost, Currency: currency,
	}
}
