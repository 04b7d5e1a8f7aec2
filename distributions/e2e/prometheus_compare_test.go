//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/testkit/prometheus"
)

// edge is the end of the processor's interval in which a tick is measured.
func (s shop) edge(tick int) time.Time { return s.start.Add(time.Duration(tick+1) * shopTick) }

// current returns, of the ticks before the given one, those that the
// consolidated stream showed at their edge. On a busy machine a report may come
// after its edge, or an edge be flushed after the next report has come. The
// stream is then right as of another time, by which a rate over 30 points would
// be off by more than 1 %.
func (s shop) current(ctx context.Context, consolidated *prometheus.Server, before int) (map[int]bool, error) {
	shown, err := consolidated.QueryRange(ctx, "canary_tick", prometheus.Range{Start: s.edge(0), End: s.edge(before - 1), Step: shopTick})
	if err != nil {
		return nil, err
	}
	seen := map[int]int{}
	for _, series := range shown {
		for _, pair := range series.Values {
			tick := int(pair.Timestamp.Time().Sub(s.edge(0)) / shopTick)
			if float64(pair.Value) == float64(tick) {
				seen[tick]++
			}
		}
	}
	current := map[int]bool{}
	for tick, canaries := range seen {
		if canaries == 2 { // that at the beginning of the report, and that at its end
			current[tick] = true
		}
	}
	return current, nil
}

// instants returns when queries can be compared: two ranges after the start,
// and where the first and the last point of every range is a current one.
func (s shop) instants(current map[int]bool, before int) []time.Time {
	var found []time.Time
	for tick := settled; tick < before; tick++ {
		ok := current[tick]
		for _, span := range []time.Duration{shortRange, longRange, dashboardOffset + shopTick, dashboardOffset + shortRange} {
			ok = ok && current[tick-int(span/shopTick)+1]
		}
		if ok {
			// Between the point at the edge and the next report.
			found = append(found, s.edge(tick).Add(firstReport/2))
		}
	}
	return found
}

// assertAgree compares the answers of two servers to all queries at all
// instants and returns by how much they differ at most.
func assertAgree(t *testing.T, want, got *prometheus.Server, instants []time.Time) float64 {
	t.Helper()
	require.GreaterOrEqual(t, len(dashboardQueries), 30)
	var worst float64
	var worstQuery string
	for _, query := range dashboardQueries {
		for _, at := range instants {
			off, err := disagreement(t.Context(), query, at, want, got)
			if err != nil {
				t.Errorf("%s at %s: %s", query, at, err)
			}
			if off > worst {
				worst, worstQuery = off, query
			}
		}
	}
	t.Logf("%d queries at %d instants: the largest error is %.3g %% (%s)", len(dashboardQueries), len(instants), 100*worst, worstQuery)
	return worst
}

// assertFoundWrong wants nearly every query to differ by more than the tolerance
// at every instant. What may escape are quantiles, averages and fractions of
// native histograms: Prometheus takes each collision for a reset and adds the
// whole histogram, so that their shape survives, though their counts do not.
func assertFoundWrong(t *testing.T, want, got *prometheus.Server, instants []time.Time) {
	t.Helper()
	found, least := 0, math.Inf(1)
	for _, query := range dashboardQueries {
		smallest := math.Inf(1)
		for _, at := range instants {
			off, err := disagreement(t.Context(), query, at, want, got)
			if err == nil { // otherwise it is found out anyway
				smallest = min(smallest, off)
			}
		}
		if smallest > dashboardTolerance {
			found++
			least = min(least, smallest)
		} else {
			assert.Containsf(t, query, "db_latency_seconds", "off by %g only", smallest)
		}
	}
	t.Logf("%d of %d queries are found wrong, by %.3g %% at least", found, len(dashboardQueries), 100*least)
	assert.GreaterOrEqual(t, found, len(dashboardQueries)-5)
}

// disagreement asks two servers the same and returns the largest relative
// difference of a value.
func disagreement(ctx context.Context, query string, at time.Time, wantFrom, gotFrom *prometheus.Server) (float64, error) {
	want, err := wantFrom.Query(ctx, query, at)
	if err != nil {
		return 0, err
	}
	got, err := gotFrom.Query(ctx, query, at)
	if err != nil {
		return 0, err
	}
	return difference(want, got)
}

// difference is the largest relative difference of a value. Vectors with other
// labels, with nothing in them, or with anything but numbers have none: that is
// an error.
func difference(want, got model.Vector) (float64, error) {
	wanted, err := byLabels(want)
	if err != nil {
		return 0, err
	}
	have, err := byLabels(got)
	if err != nil {
		return 0, err
	}
	var errs []error
	var worst float64
	for labels, w := range wanted {
		g, ok := have[labels]
		if !ok {
			errs = append(errs, fmt.Errorf("no %s", labels))
			continue
		}
		if w != g {
			worst = max(worst, math.Abs(w-g)/max(math.Abs(w), math.Abs(g)))
		}
	}
	for labels := range have {
		if _, ok := wanted[labels]; !ok {
			errs = append(errs, fmt.Errorf("%s is new", labels))
		}
	}
	return worst, errors.Join(errs...)
}

func byLabels(vector model.Vector) (map[string]float64, error) {
	if len(vector) == 0 {
		return nil, errors.New("an empty result agrees with nothing")
	}
	values := map[string]float64{}
	for _, sample := range vector {
		value := float64(sample.Value)
		if sample.Histogram != nil || math.IsNaN(value) || math.IsInf(value, 0) {
			return nil, fmt.Errorf("%s is not a number: %s", sample.Metric, sample)
		}
		values[sample.Metric.String()] = value
	}
	return values, nil
}

func TestDifference(t *testing.T) {
	t.Parallel()
	of := func(route string, value float64) *model.Sample {
		return &model.Sample{Metric: model.Metric{"route": model.LabelValue(route)}, Value: model.SampleValue(value)}
	}
	off, err := difference(model.Vector{of("/a", 100), of("/b", 0)}, model.Vector{of("/b", 0), of("/a", 98)})
	require.NoError(t, err)
	assert.InDelta(t, 0.02, off, 1e-12)
	off, err = difference(model.Vector{of("/a", 0)}, model.Vector{of("/a", 1e-9)})
	require.NoError(t, err)
	assert.InDelta(t, 1, off, 1e-12, "0 and little are not the same")

	for name, pair := range map[string][2]model.Vector{
		"nothing on both sides": {},
		"nothing on one side":   {{of("/a", 1)}, {}},
		"a label is missing":    {{of("/a", 1), of("/b", 1)}, {of("/a", 1)}},
		"a label is new":        {{of("/a", 1)}, {of("/a", 1), of("/b", 1)}},
		"NaN on both sides":     {{of("/a", math.NaN())}, {of("/a", math.NaN())}},
		"a histogram":           {{of("/a", 1)}, {{Metric: of("/a", 1).Metric, Histogram: &model.SampleHistogram{}}}},
	} {
		_, err := difference(pair[0], pair[1])
		assert.Error(t, err, name)
	}
}
