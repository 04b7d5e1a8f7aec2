package cost

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// seeds is how often a simulation is repeated; 1,000 under make soak.
func seeds() int {
	switch {
	case raceDetector:
		return 3
	case os.Getenv("PHOENIX_LONG") != "":
		return 1000
	}
	return 150
}

// largeWorld has 22,000 series, too many to be counted one by one: without pod or
// uid all of them stay, without route 440, without code 11,000, without canary
// 20,000.
func largeWorld() world {
	w := world{labels: []worldLabel{
		{series.Resource, "pod"}, {series.Resource, "uid"}, {series.Point, "route"}, {series.Point, "code"}, {series.Point, "canary"},
	}}
	for pod := range 200 {
		for route := range 50 {
			for code := range 2 {
				values := []string{fmt.Sprint("p", pod), fmt.Sprint("u", pod), fmt.Sprint("r", route), strconv.Itoa(code), "no"}
				w.series = append(w.series, values)
				if pod%10 == 0 {
					again := append([]string(nil), values...)
					again[4] = "yes"
					w.series = append(w.series, again)
				}
			}
		}
	}
	return w
}

// The interval of money holds the true saving in 95 % of all cases, with prices
// that change in the middle of what is saved; and it is no wider than the error
// of the sketches makes it.
func TestTheIntervalHoldsTheTruth(t *testing.T) {
	w := largeWorld()
	truth := map[string]uint64{"resource.pod": 22_000, "resource.uid": 22_000, "route": 440, "code": 11_000, "canary": 20_000}
	m := one(Component{Name: "c", Kind: KindActiveSeries, Tiers: []Tier{{UpTo: 15_000, Price: money("0.05")}, {UpTo: 21_500, Price: money("0.02")}, {Price: money("0.01")}}})
	all := gauges(22_000)
	hits, series, squares := map[string]int{}, map[string]int{}, map[string]float64{}
	n := seeds()
	for seed := range n {
		r := w.report(t, uint64(seed), cardinality.MinPrecision)
		u := NewUsage(r, nil, 0)
		labels, err := m.ByLabel(u, r, Assumptions{})
		require.NoError(t, err)
		require.Len(t, labels, len(truth))
		for _, l := range labels {
			require.Equal(t, BasisEstimated, l.Saving.Basis)
			saved := m.Price(all).Month - m.Price(gauges(truth[l.Attribute])).Month
			if l.Saving.Month.Low <= saved && saved <= l.Saving.Month.High {
				hits[l.Attribute]++
			}
			gone := int64(22_000 - truth[l.Attribute])
			if l.Saving.Series.Low <= gone && gone <= l.Saving.Series.High {
				series[l.Attribute]++
			}
			stay := float64(int64(u.Items[0].Series) - l.Saving.Series.Expected)
			stated := sketch.StandardError(cardinality.MinPrecision) * math.Hypot(float64(u.Items[0].Series), stay)
			squares[l.Attribute] += square((float64(l.Saving.Series.Expected) - float64(gone)) / stated)
			assert.LessOrEqual(t, float64(l.Saving.Series.High-l.Saving.Series.Low), 2*Confidence95*stated+2)
		}
	}
	// What 95 % of n trials give, less three standard deviations
	enough := int(0.95*float64(n) - 3*math.Sqrt(0.95*0.05*float64(n)))
	for name := range truth {
		spread := math.Sqrt(squares[name] / float64(n))
		t.Logf("%-14s money within %5.1f %%, series within %5.1f %%, error %.2f of what is stated", name,
			100*float64(hits[name])/float64(n), 100*float64(series[name])/float64(n), spread)
		assert.GreaterOrEqual(t, hits[name], enough, name)
		assert.GreaterOrEqual(t, series[name], enough, name)
		if raceDetector {
			continue // three are not enough to tell a spread
		}
		assert.Less(t, spread, 1.25, name)
		if truth[name] < 22_000 { // a saving of nothing is cut off at 0
			assert.Greater(t, spread, 0.7, name)
		}
	}
}
