package insight

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/report"
)

const (
	// kept is how long a kind of report that nobody asks for is kept.
	kept = time.Minute
	// maxSpans bounds the reports of less than the window that are kept.
	maxSpans = 16
)

// reportKind names a report that can be asked for.
type reportKind struct {
	point string
	// since is a whole number of sub-windows, 0 for the whole window.
	since  time.Duration
	detail bool
}

// reports keeps the last report of each kind. A report takes the work of all
// metrics, with or without their attributes, so one is made at a time.
type reports struct {
	settings Settings
	work     *workers
	turn     chan struct{}

	mu     sync.Mutex
	kinds  map[reportKind]*fresh[*view]
	meters map[string]*meter
}

func newReports(s Settings, w *workers) *reports {
	return &reports{
		settings: s, work: w, turn: make(chan struct{}, 1),
		kinds: map[reportKind]*fresh[*view]{}, meters: map[string]*meter{},
	}
}

// get returns the view of one point, whole, or nil if the scope shows nothing of
// it.
func (r *reports) get(ctx context.Context, sc scope, point string, since time.Duration, detail bool) (*view, error) {
	kind := reportKind{point: point}
	v, err := r.of(ctx, kind)
	if err != nil {
		return nil, err
	}
	if !sc.shows(v.report.GroupBy) {
		return nil, nil //nolint:nilnil // as documented
	}
	if since == 0 && !detail {
		return v, nil
	}
	if since > v.report.Window {
		f := fault.New(fault.Invalid, notAccepted("since"))
		f.Violations = []fault.Violation{{Field: "since", Description: fmt.Sprintf("point %q: %s: at most %s, asked for %s",
			point, report.ErrSinceTooLong, v.report.Window, since)}}
		return nil, f
	}
	kind.since, kind.detail = wholeSteps(since, v.report.SubWindow, v.report.Window), detail
	return r.of(ctx, kind)
}

// wholeSteps rounds a span up to steps, as the data path does: spans that mean
// the same are one kind of report. The whole window is no span.
func wholeSteps(span, step, window time.Duration) time.Duration {
	if step > 0 {
		span = (span + step - 1) / step * step
	}
	if span >= window {
		return 0
	}
	return span
}

func (r *reports) of(ctx context.Context, kind reportKind) (*view, error) {
	return r.slot(kind).get(ctx, r.work, func(ctx context.Context) (*view, error) { return r.produce(ctx, kind) })
}

// slot returns where a kind is kept, and drops what nobody asks for.
func (r *reports) slot(kind reportKind) *fresh[*view] {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.kinds[kind]
	if f != nil {
		return f
	}
	r.sweep()
	f = &fresh[*view]{least: r.settings.MaxAge, used: time.Now()}
	r.kinds[kind] = f
	return f
}

// sweep drops reports that nobody asks for, and one of a part of the window if
// there are too many. The caller holds the lock.
func (r *reports) sweep() {
	spans := 0
	var oldest reportKind
	var used time.Time
	for kind, f := range r.kinds {
		if f.idle(kept) {
			delete(r.kinds, kind)
			continue
		}
		if kind.since == 0 {
			continue
		}
		f.mu.Lock()
		if spans++; spans == 1 || f.used.Before(used) {
			oldest, used = kind, f.used
		}
		f.mu.Unlock()
	}
	if spans >= maxSpans {
		delete(r.kinds, oldest)
	}
}

// produce asks the data path.
func (r *reports) produce(ctx context.Context, kind reportKind) (*view, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	answers, err := r.settings.Cardinality(ctx, kind.point, report.CardinalityQuery{Since: kind.since, Detail: kind.detail})
	if err != nil {
		return nil, err
	}
	if len(answers) != 1 {
		return nil, fmt.Errorf("%w %q", ErrUnknownPoint, kind.point)
	}
	r.mu.Lock()
	r.sweep()
	m := r.meters[kind.point]
	if m == nil {
		m = &meter{}
		r.meters[kind.point] = m
	}
	r.mu.Unlock()
	v := newView(answers[0], r.settings.Hosts)
	v.rates, v.over = m.read(answers[0])
	return v, nil
}

const (
	// meterSpan is over how long rates are measured at least, once there is so
	// much: most metrics come once a minute or oftener. meterStep is how far the
	// counts are apart that are kept for that.
	meterSpan, meterStep = 5 * time.Minute, 150 * time.Second
	// leastSpan is over how long a rate means anything at all.
	leastSpan = 10 * time.Second
)

// meter measures the points a second of one measuring point. It keeps their
// counts at a few times.
type meter struct {
	mu    sync.Mutex
	marks []report.Cardinality // the oldest first
}

// read returns the rates since the mark that is old enough, or since the oldest,
// and over how long that is; 0 if it is too short to tell.
func (m *meter) read(now report.Cardinality) (cost.Rates, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.marks) > 1 && now.To.Sub(m.marks[1].To) >= meterSpan {
		m.marks = m.marks[1:]
	}
	var rates cost.Rates
	var over time.Duration
	if len(m.marks) > 0 {
		if over = now.To.Sub(m.marks[0].To); over >= leastSpan {
			rates = cost.PointRates(m.marks[0], now)
		} else {
			over = 0
		}
	}
	if n := len(m.marks); n == 0 || now.To.Sub(m.marks[n-1].To) >= meterStep {
		m.marks = append(m.marks, countsOf(now))
	}
	return rates, over
}

// countsOf is what PointRates needs of a report.
func countsOf(c report.Cardinality) report.Cardinality {
	mark := report.Cardinality{To: c.To, Metrics: make([]report.MetricCardinality, 0, len(c.Metrics))}
	for _, m := range c.Metrics {
		mark.Metrics = append(mark.Metrics, report.MetricCardinality{Name: m.Name, Group: m.Group, Points: m.Points})
	}
	if c.Overflow != nil {
		mark.Overflow = &report.CardinalityOverflow{Points: c.Overflow.Points}
	}
	return mark
}
