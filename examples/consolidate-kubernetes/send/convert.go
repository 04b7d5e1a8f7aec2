package main

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/examples/consolidate-kubernetes/playlist"
	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

// converter makes OTLP of rounds. The text format has one kind of number, an
// SDK two: a counter all of whose values are whole is one of integers.
type converter struct {
	fractional map[string]bool // by the name of the sum
}

func newConverter(steps []playlist.Step) (*converter, error) {
	c := &converter{fractional: map[string]bool{}}
	for _, step := range steps {
		md, err := capture.Metrics(step.Round, capture.Origin{})
		if err != nil {
			return nil, err
		}
		for _, m := range sums(md) {
			for _, p := range m.Sum().DataPoints().All() {
				if !whole(p.DoubleValue()) {
					c.fractional[m.Name()] = true
				}
			}
		}
	}
	return c, nil
}

// metrics converts a round of a server that began at start.
func (c *converter) metrics(r capture.Round, start, now time.Time) (pmetric.Metrics, error) {
	md, err := capture.Metrics(r, capture.Origin{Job: "kube-apiserver", Instance: "api-0:6443", Start: start, Time: now})
	if err != nil {
		return pmetric.Metrics{}, err
	}
	for _, m := range sums(md) {
		if c.fractional[m.Name()] {
			continue
		}
		for _, p := range m.Sum().DataPoints().All() {
			p.SetIntValue(int64(p.DoubleValue()))
		}
	}
	return md, nil
}

// whole says whether a value is an integer that a double holds exactly.
func whole(v float64) bool {
	const exact = 1 << 53
	return v == math.Trunc(v) && math.Abs(v) <= exact
}

func sums(md pmetric.Metrics) []pmetric.Metric {
	var found []pmetric.Metric
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Type() == pmetric.MetricTypeSum {
					found = append(found, m)
				}
			}
		}
	}
	return found
}
