package tagconsolidationprocessor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// invariants are what holds in every script, whatever it is about.
type invariants struct {
	shown map[string]shownPoint // by identity
	// taken points, less those emitted, by type and name: never below zero.
	credit map[string]int
}

type shownPoint struct {
	start, time pcommon.Timestamp
	values      []float64 // that must not fall
}

// arrived notes what came in and what of it passed.
func (v *invariants) arrived(sent, passed []scriptLine) {
	if v.credit == nil {
		v.credit, v.shown = map[string]int{}, map[string]shownPoint{}
	}
	for i := range sent {
		v.credit[sent[i].metric()]++
	}
	for i := range passed {
		if strings.HasSuffix(passed[i].text, " stale") && !slices.ContainsFunc(sent, func(l scriptLine) bool { return l.text == passed[i].text }) {
			continue // the end of a series, of which the point was taken
		}
		v.credit[passed[i].metric()]--
	}
}

// metric is the type and the name.
func (l *scriptLine) metric() string {
	list := words(l.identity)
	for i, word := range list {
		if word == l.kind {
			return strings.Join(list[i:min(i+2, len(list))], " ")
		}
	}
	return l.identity
}

// emitted checks what an edge emitted.
func (v *invariants) emitted(tb testing.TB, lines []scriptLine, edge time.Time) {
	tb.Helper()
	for i := range lines {
		l := &lines[i]
		p, has := v.read(tb, l)
		assert.LessOrEqual(tb, l.time.AsTime().Sub(edge), 2*time.Millisecond, "the time of a point is its edge: %s", l.text)
		before, known := v.shown[l.identity]
		if known {
			assert.Greater(tb, p.time, before.time, "one point of a stream at one time: %s", l.text)
		}
		if !has { // a stale marker
			v.shown[l.identity] = shownPoint{start: p.start, time: p.time}
			continue
		}
		v.credit[l.metric()]--
		assert.GreaterOrEqual(tb, v.credit[l.metric()], 0, "more samples out than in: %s", l.text)
		v.follows(tb, l, before, p)
		v.shown[l.identity] = p
	}
}

// follows checks a point against the one before.
func (v *invariants) follows(tb testing.TB, l *scriptLine, before, p shownPoint) {
	tb.Helper()
	if l.kind == "gauge" {
		return
	}
	assert.Less(tb, p.start, p.time, "start = time is an unknown start: %s", l.text)
	switch {
	case before.time == 0:
	case p.start != before.start:
		assert.GreaterOrEqual(tb, p.start, before.time, "the times of one stream overlap: %s", l.text)
	case len(p.values) != len(before.values):
	default:
		for i, value := range p.values {
			assert.GreaterOrEqual(tb, value, before.values[i], "fell without a new start: %s", l.text)
		}
	}
}

// read returns the values of a point; false if it is a stale marker.
func (v *invariants) read(tb testing.TB, l *scriptLine) (shownPoint, bool) {
	tb.Helper()
	md, err := readPoints([]string{l.text})
	require.NoError(tb, err)
	m := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
	point, _ := pointAt(m, 0)
	out := shownPoint{start: point.StartTimestamp(), time: point.Timestamp()}
	switch {
	case m.Type() == pmetric.MetricTypeSum && l.kind == "counter":
		p := m.Sum().DataPoints().At(0)
		value := p.DoubleValue()
		if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
			value = float64(p.IntValue())
		}
		out.values = []float64{value}
	case l.kind == "histogram":
		p := m.Histogram().DataPoints().At(0)
		out.values = []float64{float64(p.Count())}
		for _, c := range p.BucketCounts().All() {
			out.values = append(out.values, float64(c))
		}
	case l.kind == "exponential":
		out.values = []float64{float64(m.ExponentialHistogram().DataPoints().At(0).Count())}
	case l.kind == "summary":
		out.values = []float64{float64(m.Summary().DataPoints().At(0).Count())}
	}
	return out, !point.Flags().NoRecordedValue()
}
