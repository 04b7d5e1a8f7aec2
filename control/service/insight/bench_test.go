package insight_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service/insight"
	"github.com/phoenix-platform/phoenix/control/store"
)

// large is a measuring point with 10,000 metrics of 12 attributes each.
func large() report.Cardinality {
	c := worked()
	c.Metrics = nil
	for i := range 10_000 {
		m := report.MetricCardinality{
			Name: fmt.Sprintf("service.%d.requests.%d", i%100, i), BackendName: fmt.Sprintf("service_%d_requests_%d_total", i%100, i),
			Type: "sum", Series: uint64(100 + i), Streams: uint64(100 + i), Points: uint64(i), Estimated: i%10 == 0, RelativeError: 0.0057 * float64(i%10/9),
			Best: &report.Saving{Attributes: []string{"k8s.pod.name"}, Series: uint64(i)},
		}
		for k := range 12 {
			m.Attributes = append(m.Attributes, report.AttributeCardinality{
				Key: fmt.Sprintf("attribute.%d", k), Level: report.LevelDataPoint, Label: fmt.Sprintf("attribute_%d", k), Distinct: 10, SeriesWithout: uint64(50 + i/2), Saving: uint64(i / 2),
			})
		}
		c.Metrics = append(c.Metrics, m)
		c.Series += m.Series
	}
	return c
}

func newLarge(b *testing.B, maxAge time.Duration) *world {
	b.Helper()
	w := newWorld(b, func(s *insight.Settings) { s.MaxAge = maxAge })
	w.measure(large())
	activate(b, w, exampleModel("example"))
	return w
}

// hours is so long that nothing is made anew while a benchmark runs.
const hours = 24 * time.Hour

// BenchmarkListCardinality: 10,000 metrics, 50 on a page, on two busy cores.
//
//	cached    a page of a report that is there
//	filtered  with a pattern and two conditions
//	cold      the report was just made: it has to be sorted
func BenchmarkListCardinality(b *testing.B) {
	run := func(name string, maxAge time.Duration, r *phoenixv1.ListCardinalityRequest, each func(*world)) {
		b.Run(name, func(b *testing.B) {
			w := newLarge(b, maxAge)
			ctx := as(b, "viewer")
			b.ReportAllocs()
			for b.Loop() {
				each(w)
				_, err := w.Cardinality.ListCardinality(ctx, r)
				require.NoError(b, err)
			}
		})
	}
	nothing, forget := func(*world) {}, func(w *world) { w.Forget() }
	run("cached", hours, &phoenixv1.ListCardinalityRequest{}, nothing)
	run("filtered", hours, &phoenixv1.ListCardinalityRequest{Metric: "*requests*", Filter: `type = "sum" AND series > 5000`}, nothing)
	run("cold", hours, &phoenixv1.ListCardinalityRequest{Sort: "saving"}, forget)
}

// BenchmarkGetCosts: the bill of 10,000 metrics.
func BenchmarkGetCosts(b *testing.B) {
	for _, cold := range []bool{false, true} {
		b.Run(map[bool]string{false: "cached", true: "cold"}[cold], func(b *testing.B) {
			w := newLarge(b, hours)
			ctx := as(b, "viewer")
			b.ReportAllocs()
			for b.Loop() {
				if cold {
					w.Forget()
				}
				_, err := w.Costs.GetCosts(ctx, &phoenixv1.GetCostsRequest{})
				require.NoError(b, err)
			}
		})
	}
}

// BenchmarkListCosts: shares of the bill of 10,000 metrics.
func BenchmarkListCosts(b *testing.B) {
	for _, dimension := range []string{"metrics", "labels"} {
		for _, cold := range []bool{false, true} {
			b.Run(dimension+map[bool]string{false: "/cached", true: "/cold"}[cold], func(b *testing.B) {
				w := newLarge(b, hours)
				ctx := as(b, "viewer")
				b.ReportAllocs()
				for b.Loop() {
					if cold {
						w.Forget()
					}
					_, err := w.Costs.ListCosts(ctx, &phoenixv1.ListCostsRequest{Dimension: dimension})
					require.NoError(b, err)
				}
			})
		}
	}
}

// BenchmarkListSavings: 50 policies of 200 on a page, over 10,000 metrics.
func BenchmarkListSavings(b *testing.B) {
	for _, basis := range []string{"measured", "estimated"} {
		b.Run(basis, func(b *testing.B) {
			w := newLarge(b, hours)
			var rules []report.RuleReport
			for i := range 200 {
				name := fmt.Sprintf("p-%03d", i)
				addPolicy(b, w, "shop", name, store.StatePreview)
				r := ruleReport("shop/"+name+"/rule-1", "preview", 1000, 100, 0.01)
				r.Metrics[0].Metric = fmt.Sprintf("service.%d.requests.%d", i%100, i)
				rules = append(rules, r)
			}
			if basis == "measured" {
				applies(w, slices.Clone(rules)...)
			}
			ctx := as(b, "viewer")
			b.ReportAllocs()
			for b.Loop() {
				_, err := w.Savings.ListSavings(ctx, &phoenixv1.ListSavingsRequest{})
				require.NoError(b, err)
			}
		})
	}
}

// BenchmarkObserve: what the recorder does every five minutes, with 10,000
// metrics and 200 policies.
func BenchmarkObserve(b *testing.B) {
	w := newLarge(b, hours)
	for b.Loop() {
		w.Forget()
		_, err := w.Observe(b.Context(), 100)
		require.NoError(b, err)
	}
}
