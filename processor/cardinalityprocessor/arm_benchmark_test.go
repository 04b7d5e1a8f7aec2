package cardinalityprocessor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// BenchmarkArm measures what the option `arm` adds to BenchmarkSteady's batch: a
// counter of 1,000 series, 6 resource and 6 point attributes.
func BenchmarkArm(b *testing.B) {
	byPoint := mirrorRoute("a/b", "checkout")
	byPoint.Scope["point.http.request.method"] = "GET"
	others := func(n int) (list []policy.Route) {
		for i := range n {
			list = append(list, mirrorRoute(fmt.Sprintf("other/x%d", i), fmt.Sprintf("other-%d", i)))
		}
		return list
	}
	for _, c := range []struct {
		name, arm string
		routes    []policy.Route
	}{
		{"no arm", "", nil},
		{"no experiment", "baseline", nil},
		{"others/10", "baseline", others(10)},
		{"others/10000", "baseline", others(10_000)},
		{"mirror/baseline", "baseline", []policy.Route{mirrorRoute("a/b", "checkout")}},
		{"mirror/candidate", "candidate", []policy.Route{mirrorRoute("a/b", "checkout")}},
		{"mirror/among 10000", "baseline", append(others(9999), mirrorRoute("a/b", "checkout"))},
		{"mirror/a quarter of the points", "baseline", []policy.Route{byPoint}},
		{"split/resource", "baseline", []policy.Route{splitRoute("a/b", "checkout", "resource", "")}},
		{"split/attribute", "baseline", []policy.Route{splitRoute("a/b", "checkout", "attribute", "point.http.route")}},
		{"split/series", "baseline", []policy.Route{splitRoute("a/b", "checkout", "series", "")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := startBare(b, c.arm, c.routes)
			md := newWorkload(batchPoints).turn(0)
			require.NoError(b, e.p.ConsumeMetrics(b.Context(), md))
			b.ReportAllocs()
			for b.Loop() {
				_ = e.p.ConsumeMetrics(b.Context(), md)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batchPoints), "ns/point")
		})
	}
}

// startBare starts a processor with or without the option.
func startBare(tb testing.TB, arm string, routes []policy.Route) *end {
	tb.Helper()
	if arm != "" {
		return startEnd(tb, arm, "", routes...)
	}
	p, _ := benchInstance(tb, nil)
	return &end{tb: tb, p: p}
}

// BenchmarkArmLook measures taking over a snapshot of which one experiment has
// changed; it takes no time of a batch.
func BenchmarkArmLook(b *testing.B) {
	routes := make([]policy.Route, 10_000)
	for i := range routes {
		routes[i] = mirrorRoute(fmt.Sprintf("a/x%d", i), fmt.Sprintf("s%d", i))
	}
	e := startEnd(b, "baseline", "", routes...)
	b.Run("a weight", func(b *testing.B) {
		for b.Loop() {
			e.arm.look(time.Now())
		}
	})
	b.Run("one more or less", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			e.control.route(routes[i%2:]...)
			e.arm.look(time.Now())
		}
	})
}
