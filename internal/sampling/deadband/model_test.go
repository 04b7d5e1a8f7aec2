package deadband_test

import (
	"math"

	d "github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// model is a dead band for one series of a number, written for being read: it keeps all that it left out and looks at it again.
// It has room for mistakes; with none it is right.
type model struct {
	mistake string
	sent    *d.Point
	out     []d.Point // what was left out since, with its tolerance
	bounds  []float64
	odd     bool
}

func (m *model) last() *d.Point {
	if n := len(m.out); n > 0 {
		return &m.out[n-1]
	}
	return m.sent
}

// begin sends p, after what was left out.
func (m *model) begin(p *d.Point, why d.Reason, before *d.Before) d.Outcome {
	o := d.Outcome{Reason: why, Before: m.lend(before)}
	m.forget(p)
	return o
}

func (m *model) lend(before *d.Before) bool {
	if len(m.out) == 0 {
		return false
	}
	*before = d.Before{Kind: m.sent.Kind, Sum: m.last().Sum}
	return true
}

func (m *model) forget(p *d.Point) {
	copied := *p
	m.sent, m.out, m.bounds = &copied, nil, nil
}

func (m *model) observe(p *d.Point, r *d.Rule, before *d.Before) d.Outcome {
	if p.Stale {
		o := d.Outcome{Reason: d.Ended, Before: m.mistake != "sends nothing before a marker" && m.lend(before)}
		if m.mistake == "leaves out the marker" {
			o.Reason = d.Within
		}
		m.sent, m.out, m.bounds, m.odd = nil, nil, nil, false
		return o
	}
	finite := p.Sum.Value.Finite() == spatial.Accepted
	if m.sent == nil {
		m.odd = !finite
		m.forget(p)
		if m.mistake == "leaves out the first point" {
			return d.Outcome{Reason: d.Within}
		}
		return d.Outcome{Reason: d.First}
	}
	last := m.last()
	if p.Sum.Time <= last.Sum.Time {
		return m.older(p, last, r, before)
	}
	odd := m.odd
	m.odd = !finite
	if why, breaks := m.breaks(p, last, odd, finite); breaks {
		if m.mistake == "sends nothing before a break" {
			m.forget(p)
			return d.Outcome{Reason: why}
		}
		return m.begin(p, why, before)
	}
	return m.next(p, last, r, before)
}

func (m *model) older(p, last *d.Point, r *d.Rule, before *d.Before) d.Outcome {
	switch {
	case p.Sum.Time == last.Sum.Time:
		if m.mistake == "passes a duplicate" {
			return d.Outcome{Reason: d.Moved}
		}
		return d.Outcome{Reason: d.Duplicate}
	case last.Sum.Time-p.Sum.Time <= r.Heartbeat:
		if m.mistake == "passes a late point" {
			return d.Outcome{Reason: d.Moved}
		}
		return d.Outcome{Reason: d.Late}
	case m.mistake == "waits for a clock that went back":
		return d.Outcome{Reason: d.Late}
	}
	m.odd = p.Sum.Value.Finite() != spatial.Accepted
	return m.begin(p, d.ClockBack, before)
}

func (m *model) breaks(p, last *d.Point, odd, finite bool) (d.Reason, bool) {
	switch {
	case !finite:
		return d.NotFinite, m.mistake != "takes an infinity for a value" || p.Sum.Value.Float() != p.Sum.Value.Float()
	case p.Sum.Value.IsDouble() != last.Sum.Value.IsDouble():
		return d.TypeChange, m.mistake != "forgets a type change"
	case odd:
		return d.Recovered, true
	case p.Kind != d.Gauge && p.Sum.Start != last.Sum.Start:
		return d.StartChange, m.mistake != "forgets a start change"
	case p.Kind == d.Counter && p.Sum.Value.Compare(last.Sum.Value) < 0:
		return d.Reset, m.mistake != "forgets a reset"
	}
	return 0, false
}

func (m *model) tolerance(p, last *d.Point, r *d.Rule) float64 {
	v := p.Sum.Value.Float()
	share := math.Abs(v)
	if m.mistake == "measures against the value sent" {
		share = math.Abs(m.sent.Sum.Value.Float())
	}
	if p.Kind == d.Counter && r.Range > 0 && m.mistake != "forgets the range" {
		share = min(share, (v-last.Sum.Value.Float())/float64(p.Sum.Time-last.Sum.Time)*float64(r.Range))
	}
	t := max(r.Absolute, r.Relative*share)
	switch m.mistake {
	case "takes the sum of both bounds":
		t = r.Absolute + r.Relative*share
	case "allows twice the tolerance":
		t *= 2
	case "sends what it need not":
		t /= 2
	}
	return t
}

func (m *model) due(p, last *d.Point, r *d.Rule) bool {
	from := m.sent
	if m.mistake == "counts the heartbeat from the last point" {
		from = last
	}
	return m.mistake != "forgets the heartbeat" &&
		float64(p.Sum.Time-from.Sum.Time)+float64(p.Sum.Time-last.Sum.Time)/2 >= float64(r.Heartbeat)
}

func (m *model) next(p, last *d.Point, r *d.Rule, before *d.Before) d.Outcome {
	tolerance := m.tolerance(p, last, r)
	o := d.Outcome{Reason: d.Within}
	if r.Predictor == d.Hold {
		reader := m.sent
		if m.mistake == "compares with the point before" {
			reader = last
		}
		if math.Abs(p.Sum.Value.Float()-reader.Sum.Value.Float()) > tolerance {
			o = d.Outcome{Reason: d.Moved, Before: r.Corners && m.lend(before)}
		}
	} else if !m.straight(p) {
		if m.mistake == "sends the point that left the door" {
			m.forget(p)
			return d.Outcome{Reason: d.Moved}
		}
		o = d.Outcome{Reason: d.Turned, Before: m.lend(before)}
		if m.mistake == "invents a point on the line" {
			before.Sum.Value = spatial.Double(before.Sum.Value.Float() + tolerance/2 + 1)
		}
		m.forget(last)
		last = m.sent
	}
	if o.Reason != d.Moved && m.due(p, last, r) {
		o.Reason = d.Heartbeat
	}
	if o.Reason.Passes() {
		m.forget(p)
	} else {
		m.out = append(m.out, *p)
		m.bounds = append(m.bounds, tolerance)
	}
	return o
}

// straight says whether the line from what was sent to p passes all that was left out on the way.
func (m *model) straight(p *d.Point) bool {
	line := func(from, to *d.Point, at uint64) float64 {
		a, b := from.Sum.Value.Float(), to.Sum.Value.Float()
		return a + (b-a)*(float64(at-from.Sum.Time)/float64(to.Sum.Time-from.Sum.Time))
	}
	low, high := math.Inf(-1), math.Inf(1)
	for i := range m.out {
		q := &m.out[i]
		if m.mistake == "looks at the last door only" && i < len(m.out)-1 {
			continue
		}
		v, run := q.Sum.Value.Float()-m.sent.Sum.Value.Float(), float64(q.Sum.Time-m.sent.Sum.Time)
		low, high = max(low, (v-m.bounds[i])/run), min(high, (v+m.bounds[i])/run)
		if m.mistake == "asks whether the door is open" {
			continue
		}
		if math.Abs(line(m.sent, p, q.Sum.Time)-q.Sum.Value.Float()) > m.bounds[i]*(1+1e-12)+1e-13*math.Abs(q.Sum.Value.Float()) {
			return false
		}
	}
	return m.mistake != "asks whether the door is open" || low <= high
}
