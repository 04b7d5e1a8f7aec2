package deadband_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	d "github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// filter is Band.Observe, or something that does it wrongly.
type filter func(p *d.Point, r *d.Rule, before *d.Before) d.Outcome

func band() filter {
	b, err := d.New(d.Settings{Shards: 1})
	if err != nil {
		panic(err)
	}
	return b.Observe
}

// seen is one point that came, and how far a reader may be off then.
type seen struct {
	time      uint64
	values    []float64
	tolerance []float64
	sent      bool
}

// judge watches a filter. It knows the promises and nothing of how they are kept: a run is a part of the stream within which
// points are comparable, and at the end of each the reader's value is compared at every time at which a point came.
type judge struct {
	rule d.Rule
	run  []seen
	last *d.Point // the point that came last and was neither late nor a duplicate
	odd  bool     // it was no number

	largest float64 // by how much the reader was off, as a share of the value
}

func (j *judge) problem(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// breaks says whether a new run has to begin with p.
func (j *judge) breaks(p *d.Point) bool {
	if j.last == nil || j.odd || p.Sum.Value.Finite() != spatial.Accepted || layoutOf(p) != layoutOf(j.last) {
		return true
	}
	if p.Kind != d.Gauge && p.Sum.Start != j.last.Sum.Start {
		return true
	}
	switch p.Kind {
	case d.Counter:
		return p.Sum.Value.Compare(j.last.Sum.Value) < 0
	case d.Histogram:
		for i, c := range p.Histogram.Counts {
			if c < j.last.Histogram.Counts[i] {
				return true
			}
		}
	case d.Exponential:
		now, last := p.Exponential, j.last.Exponential
		for i, c := range append(slices.Clone(now.Negative.Counts), append(now.Positive.Counts, now.ZeroCount)...) {
			if c < append(slices.Clone(last.Negative.Counts), append(last.Positive.Counts, last.ZeroCount)...)[i] {
				return true
			}
		}
	default:
	}
	return false
}

// step judges one answer.
func (j *judge) step(p *d.Point, o d.Outcome, before *d.Before) string {
	if p.Stale {
		if !o.Reason.Passes() {
			return j.problem("the stale marker does not pass: %s", o.Reason)
		}
		if why := j.precede(o, before); why != "" {
			return why
		}
		why := j.end()
		j.last, j.odd = nil, false
		return why
	}
	if j.last != nil && p.Sum.Time <= j.last.Sum.Time {
		back := j.last.Sum.Time - p.Sum.Time
		switch {
		case back <= j.rule.Heartbeat && (o.Reason.Passes() || o.Before):
			return j.problem("a point %d s late passes: %s", back/second, o.Reason)
		case back <= j.rule.Heartbeat:
			return ""
		case !o.Reason.Passes():
			return j.problem("a clock that went back %d s is not followed: %s", back/second, o.Reason)
		}
		if why := j.precede(o, before); why != "" {
			return why
		}
		why := j.end()
		j.last = nil
		j.add(p, true)
		return why
	}
	if why := j.precede(o, before); why != "" {
		return why
	}
	if j.breaks(p) {
		if !o.Reason.Passes() {
			return j.problem("%s, but it begins something new", o.Reason)
		}
		why := j.end()
		j.last = nil
		j.add(p, true)
		return why
	}
	since := j.last.Sum.Time
	j.add(p, o.Reason.Passes())
	return j.needed(o, p.Sum.Time-since)
}

// precede checks and notes the point that is sent first.
func (j *judge) precede(o d.Outcome, before *d.Before) string {
	if !o.Before {
		return ""
	}
	if len(j.run) == 0 || j.run[len(j.run)-1].sent {
		return j.problem("a point before is sent where none was left out")
	}
	last := &j.run[len(j.run)-1]
	time := before.Sum.Time
	switch before.Kind {
	case d.Histogram:
		time = before.Histogram.Time
	case d.Exponential:
		time = before.Exponential.Time
	default:
	}
	values, _ := shown(before.Kind, before.Sum, &before.Histogram, &before.Exponential)
	if time != last.time || !slices.Equal(values, last.values) {
		return j.problem("what is sent before never came: %v at %d, not %v at %d", values, time, last.values, last.time)
	}
	last.sent = true
	return ""
}

func (j *judge) add(p *d.Point, sent bool) {
	values, counter := shown(p.Kind, p.Sum, p.Histogram, p.Exponential)
	s := seen{time: p.Sum.Time, values: values, tolerance: make([]float64, len(values)), sent: sent}
	for i, v := range values {
		share := math.Abs(v)
		if j.last != nil && counter[i] && j.rule.Range > 0 {
			pace := math.Abs(v-j.run[len(j.run)-1].values[i]) / float64(p.Sum.Time-j.last.Sum.Time)
			share = min(share, pace*float64(j.rule.Range))
		}
		s.tolerance[i] = max(j.rule.Absolute, j.rule.Relative*share)
	}
	j.run = append(j.run, s)
	copied := *p
	j.last, j.odd = &copied, p.Sum.Value.Finite() != spatial.Accepted
}

// needed checks that the heartbeat is kept, and that nothing is sent without need.
func (j *judge) needed(o d.Outcome, interval uint64) string {
	n := len(j.run) - 1
	now := j.run[n]
	from := n - 1
	if o.Reason == d.Moved && o.Before {
		from-- // what the reader had before it
	}
	for !j.run[from].sent {
		from--
	}
	if o.Reason == d.Turned && from != n-1 {
		return j.problem("turned, but the point before was not sent")
	}
	due := float64(now.time-j.run[from].time)+float64(interval)/2 >= float64(j.rule.Heartbeat)
	if due != (o.Reason == d.Heartbeat) && o.Reason != d.Moved {
		return j.problem("%s, heartbeat due: %t, %d s after the last one sent", o.Reason, due, (now.time-j.run[from].time)/second)
	}
	if o.Reason == d.Moved && j.rule.Predictor == d.Hold && !worse(j.run[from].values, now, -1e-9, 0) {
		return j.problem("it moved less than the tolerance")
	}
	return ""
}

// worse says whether a reader is off by more than the tolerance. Slack is for the rounding of the reader's own arithmetic, as a
// share of the tolerance and of the value.
func worse(reader []float64, s seen, ofTolerance, ofValue float64) bool {
	for i, v := range reader {
		if !(math.Abs(v-s.values[i]) <= s.tolerance[i]*(1+ofTolerance)+ofValue*math.Abs(s.values[i])) {
			return true
		}
	}
	return false
}

// end judges a run that is over: at every time at which a point came.
func (j *judge) end() string {
	run := j.run
	j.run = nil
	if len(run) > 0 && run[0].values[0]-run[0].values[0] != 0 {
		return "" // no number is compared with nothing
	}
	if n := len(run) - 1; j.rule.Predictor == d.Linear && n >= 0 && !run[n].sent {
		return j.problem("the last point of a run was not sent")
	}
	return j.compare(run)
}

func (j *judge) compare(run []seen) string {
	from := 0
	for n := range run {
		if run[n].sent {
			from = n
			continue
		}
		reader := run[from].values
		if j.rule.Predictor == d.Linear {
			to := n
			for to < len(run) && !run[to].sent {
				to++
			}
			if to == len(run) {
				return "" // the line is not drawn yet
			}
			a, b := run[from], run[to]
			reader = make([]float64, len(a.values))
			for i := range reader {
				reader[i] = a.values[i] + (b.values[i]-a.values[i])*(float64(run[n].time-a.time)/float64(b.time-a.time))
			}
		}
		for i, v := range run[n].values {
			if v != reader[i] {
				j.largest = max(j.largest, math.Abs((reader[i]-v)/v))
			}
		}
		if worse(reader, run[n], 1e-9, 1e-12) {
			return j.problem("%d s after a point was sent the reader has %v, true is %v, tolerance %v", (run[n].time-run[from].time)/second, reader, run[n].values, run[n].tolerance)
		}
	}
	return ""
}

// check runs a stream through a filter and returns what is wrong, or nothing.
func check(f filter, s stream) string {
	j := &judge{rule: s.rule}
	for i := range s.points {
		var before d.Before
		o := f(&s.points[i], &s.rule, &before)
		if why := j.step(&s.points[i], o, &before); why != "" {
			return fmt.Sprintf("point %d: %s", i, why)
		}
	}
	return j.compare(j.run)
}

func TestAReaderIsNeverOffByMoreThanTheTolerance(t *testing.T) {
	for name, streams := range map[string]*rapid.Generator[stream]{"numbers": numbers, "histograms": histograms} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := streams.Draw(t, "stream")
				require.NoError(t, s.rule.Validate())
				require.Empty(t, check(band(), s))
			})
		})
	}
}
