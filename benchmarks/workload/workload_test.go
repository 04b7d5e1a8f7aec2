package workload_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/phoenix-platform/phoenix/benchmarks/workload"
)

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	small = workload.Shape{Services: 2, Pods: 4, Routes: 3, Codes: 2, PodsPerRequest: 2}
)

// series is one point with everything around it.
type series struct {
	name            string
	resource, attrs pcommon.Map
	point           pmetric.NumberDataPoint
}

// decode reads requests as a receiver does.
func decode(t *testing.T, bodies [][]byte) []series {
	t.Helper()
	var all []series
	for _, body := range bodies {
		request := pmetricotlp.NewExportRequest()
		require.NoError(t, request.UnmarshalProto(body))
		for _, rm := range request.Metrics().ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					require.Equal(t, pmetric.MetricTypeSum, m.Type())
					require.True(t, m.Sum().IsMonotonic())
					require.Equal(t, pmetric.AggregationTemporalityCumulative, m.Sum().AggregationTemporality())
					for _, p := range m.Sum().DataPoints().All() {
						all = append(all, series{m.Name(), rm.Resource().Attributes(), p.Attributes(), p})
					}
				}
			}
		}
	}
	return all
}

func (s series) value() float64 {
	if s.point.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(s.point.IntValue())
	}
	return s.point.DoubleValue()
}

func (s series) identity(without ...string) string {
	var words []string
	for i, attrs := range []pcommon.Map{s.resource, s.attrs} {
		for k, v := range attrs.All() {
			if !slices.Contains(without, k) {
				words = append(words, fmt.Sprint(i, k, "=", v.AsString()))
			}
		}
	}
	slices.Sort(words)
	return fmt.Sprint(s.name, words)
}

func distinct(all []series, without ...string) int {
	seen := make(map[string]bool)
	for _, s := range all {
		seen[s.identity(without...)] = true
	}
	return len(seen)
}

func TestDefaultShapeIsTheFleet(t *testing.T) {
	shape := workload.DefaultShape
	assert.Equal(t, 200_000, shape.Series())
	assert.Equal(t, 4_000, shape.Merged())
	w, err := workload.New(shape, start)
	require.NoError(t, err)
	assert.Equal(t, shape, w.Shape())
	bodies := w.Round(1, start.Add(time.Second))
	assert.Len(t, bodies, 50)
	assert.Equal(t, 50, shape.Requests())
	assert.Len(t, decode(t, bodies[:1]), 4_000, "points of a request")
}

func TestOnlyTwoAttributesNameThePod(t *testing.T) {
	shape := workload.DefaultShape
	shape.Routes, shape.Codes = 2, 2 // all pods, and not all that each counts
	w, err := workload.New(shape, start)
	require.NoError(t, err)
	all := decode(t, w.Round(1, start.Add(time.Second)))
	assert.Len(t, all, shape.Series())
	assert.Equal(t, shape.Series(), distinct(all))
	assert.Equal(t, shape.Merged(), distinct(all, workload.PodAttribute, workload.AddressAttribute))
	assert.Equal(t, shape.Series(), distinct(all, workload.PodAttribute), "the address still names the pod")
	assert.Equal(t, shape.Series(), distinct(all, workload.AddressAttribute), "the pod's name still does")
}

func TestPointsCarrySixAndSixAttributes(t *testing.T) {
	w, err := workload.New(small, start)
	require.NoError(t, err)
	for _, s := range decode(t, w.Round(1, start.Add(time.Second))) {
		require.Equal(t, 6, s.resource.Len())
		require.Equal(t, 6, s.attrs.Len())
	}
}

func TestRoundsAdvanceTimesAndValues(t *testing.T) {
	w, err := workload.New(small, start)
	require.NoError(t, err)
	last := make(map[string]float64)
	for round := 1; round <= 5; round++ {
		now := start.Add(time.Duration(round) * time.Second)
		all := decode(t, w.Round(round, now))
		require.Len(t, all, small.Series())
		var sum float64
		for _, s := range all {
			require.Equal(t, start, s.point.StartTimestamp().AsTime())
			require.Equal(t, now, s.point.Timestamp().AsTime())
			require.Greater(t, s.value(), last[s.identity()], s.identity())
			last[s.identity()] = s.value()
			sum += s.value()
		}
		assert.Equal(t, w.Total(round), sum)
	}
	assert.Len(t, last, small.Series())
}

func TestOneMetricInFourIsFloatingPoint(t *testing.T) {
	w, err := workload.New(small, start)
	require.NoError(t, err)
	types := make(map[string]pmetric.NumberDataPointValueType)
	for _, s := range decode(t, w.Round(3, start.Add(time.Second))) {
		types[s.name] = s.point.ValueType()
	}
	assert.Equal(t, map[string]pmetric.NumberDataPointValueType{
		"http.server.requests":        pmetric.NumberDataPointValueTypeInt,
		"http.server.request.bytes":   pmetric.NumberDataPointValueTypeInt,
		"http.server.response.bytes":  pmetric.NumberDataPointValueTypeInt,
		"http.server.request.seconds": pmetric.NumberDataPointValueTypeDouble,
	}, types)
}

func TestRoundsAreDeterministic(t *testing.T) {
	a, err := workload.New(small, start)
	require.NoError(t, err)
	b, err := workload.New(small, start)
	require.NoError(t, err)
	a.Round(1, start.Add(time.Second))
	now := start.Add(time.Minute)
	bodiesA, bodiesB := a.Round(7, now), b.Round(7, now)
	for i := range bodiesA {
		assert.True(t, bytes.Equal(bodiesA[i], bodiesB[i]), "request %d", i)
	}
}

func TestShapeThatCannotBeIsRefused(t *testing.T) {
	_, err := workload.New(workload.Shape{Services: 11, Pods: 4, Routes: 0, Codes: 6, PodsPerRequest: 5}, start)
	require.EqualError(t, err, "workload: services: must be between 1 and 10, got 11\nroutes: must be between 1 and 20, got 0\n"+
		"codes: must be between 1 and 5, got 6\npods a request: must be between 1 and 4, got 5")
	shape := small
	shape.PodsPerRequest = 3
	_, err = workload.New(shape, start)
	require.EqualError(t, err, "workload: pods a request: must divide the pods of a service, 4, got 3")
}
