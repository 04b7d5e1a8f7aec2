package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/report"
)

// The types of events about metrics.
const (
	eventLimit   = "cardinality.limit_exceeded"
	eventGrowing = "cardinality.growing"
)

// alarmsAtOnce bounds the events of one look: what goes beyond is in one event,
// so that a flood of new metrics does not push out what else happened.
const alarmsAtOnce = 50

// alarm is something that is so with a metric.
type alarm struct{ event, point, metric, group string }

// alarmed is an alarm with what its event says.
type alarmed struct {
	alarm
	series    uint64
	namespace string
	message   string
	detail    map[string]string
}

// alarms remembers what was told. It is used by one goroutine.
type alarms struct {
	// namespaceAttribute is that of the settings.
	namespaceAttribute string
	told               map[alarm]bool
}

// look returns the events about what was not so at the last look.
func (a *alarms) look(reports []report.Cardinality) []bus.Event {
	var fresh []alarmed
	now := map[alarm]bool{}
	for i := range reports {
		at := &reports[i]
		for j := range at.Metrics {
			for _, found := range a.of(at, &at.Metrics[j]) {
				now[found.alarm] = true
				if !a.told[found.alarm] {
					fresh = append(fresh, found)
				}
			}
		}
	}
	a.told = now
	slices.SortStableFunc(fresh, func(a, b alarmed) int { return cmp.Compare(b.series, a.series) })
	events := make([]bus.Event, 0, min(len(fresh), alarmsAtOnce+1))
	for _, f := range fresh[:min(len(fresh), alarmsAtOnce)] {
		events = append(events, bus.Event{
			Type: f.event, Namespace: f.namespace, Resource: "cardinality/" + f.metric, Message: f.message, Detail: f.detail,
		})
	}
	if more := len(fresh) - alarmsAtOnce; more > 0 {
		events = append(events, bus.Event{
			Type: eventGrowing, Resource: "cardinality",
			Message: fmt.Sprintf("%d more metrics grow or exceed their limit", more), Detail: map[string]string{"metrics": strconv.Itoa(more)},
		})
	}
	return events
}

// of returns what is so with a metric.
func (a *alarms) of(c *report.Cardinality, m *report.MetricCardinality) []alarmed {
	base := alarmed{alarm: alarm{point: c.Point, metric: m.Name, group: m.Group}, series: m.Series}
	if a.namespaceAttribute != "" && c.GroupBy == a.namespaceAttribute {
		base.namespace = m.Group
	}
	detail := map[string]string{"point": c.Point, "series": strconv.FormatUint(m.Series, 10)}
	if m.Group != "" {
		detail["group"] = m.Group
	}
	var list []alarmed
	if m.Limit != nil && m.Limit.Exceeded {
		f := base
		f.event, f.detail = eventLimit, detail
		f.message = fmt.Sprintf("%s has %d series at %s, more than its limit of %d", m.Name, m.Series, c.Point, m.Limit.MaxSeries)
		list = append(list, f)
	}
	if m.Growth.Growing {
		f := base
		f.event, f.detail = eventGrowing, detail
		f.message = fmt.Sprintf("%s grows by %.0f series a minute at %s and has %d", m.Name, m.Growth.NewPerMinute, c.Point, m.Series)
		list = append(list, f)
	}
	return list
}

// alarm tells watchers of metrics that begin to grow, or exceed their limits.
func (p *Plane) alarm(ctx context.Context) error {
	reports, err := p.Cardinality(ctx, "", report.CardinalityQuery{})
	if err != nil {
		return err
	}
	for _, event := range p.alarms.look(reports) {
		event.Time = p.settings.Now()
		p.events.Publish(event)
	}
	return nil
}
