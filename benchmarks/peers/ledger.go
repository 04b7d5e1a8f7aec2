package main

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// ledger is what a backend would have at the end: the last value of every
// series.
type ledger struct {
	points int
	last   map[string]reading
}

// reading is a value and when it was measured, in the unit of its protocol.
type reading struct {
	time  int64
	value float64
}

func newLedger() *ledger { return &ledger{last: make(map[string]reading)} }

func (l *ledger) add(d delivery) error {
	body, err := d.plain()
	if err != nil {
		return err
	}
	if d.path == sinkPromWrite {
		return readRemoteWrite(body, l.note)
	}
	request := pmetricotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		return err
	}
	l.addMetrics(request.Metrics())
	return nil
}

// note takes one point. Of two at one time the later to arrive stands, as
// where a backend overwrites; one that is older than the last is history.
func (l *ledger) note(series string, r reading) {
	l.points++
	if have, ok := l.last[series]; !ok || r.time >= have.time {
		l.last[series] = r
	}
}

// total is the sum over the series.
func (l *ledger) total() float64 {
	var sum float64
	for _, r := range l.last {
		sum += r.value
	}
	return sum
}

func (l *ledger) addMetrics(md pmetric.Metrics) {
	var key strings.Builder
	for _, rm := range md.ResourceMetrics().All() {
		resource := identity(rm.Resource().Attributes())
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Type() != pmetric.MetricTypeSum {
					continue // the workload has nothing else
				}
				for _, p := range m.Sum().DataPoints().All() {
					if p.Flags().NoRecordedValue() {
						continue
					}
					key.Reset()
					for _, part := range []string{resource, sm.Scope().Name(), m.Name(), identity(p.Attributes())} {
						key.WriteString(part)
						key.WriteByte('\n')
					}
					l.note(key.String(), reading{int64(p.Timestamp()), value(p)}) //nolint:gosec // G115: nanoseconds of this century
				}
			}
		}
	}
}

func value(p pmetric.NumberDataPoint) float64 {
	if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(p.IntValue())
	}
	return p.DoubleValue()
}

// identity is the attributes in one order. The values of the workload hold
// neither separator.
func identity(attrs pcommon.Map) string {
	pairs := make([]string, 0, attrs.Len())
	for k, v := range attrs.All() {
		pairs = append(pairs, k+"="+v.AsString())
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "\t")
}
