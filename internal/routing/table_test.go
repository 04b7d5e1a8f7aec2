package routing_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/routing"
)

// holds is what a Table does, written down without an index.
func holds(conditions []routing.Attribute, attributes pcommon.Map) bool {
	for _, c := range conditions {
		if v, ok := attributes.Get(c.Key); !ok || v.AsString() != c.Value {
			return false
		}
	}
	return true
}

func oracle(list []routing.Experiment, resource pcommon.Map, metric string, point pcommon.Map) string {
	best := -1
	for i, e := range list {
		if holds(e.Resource, resource) && holds(e.Point, point) && (len(e.Metrics) == 0 || slices.Contains(e.Metrics, metric)) {
			if best < 0 || e.Rank < list[best].Rank || e.Rank == list[best].Rank && e.ID < list[best].ID {
				best = i
			}
		}
	}
	if best < 0 {
		return ""
	}
	return list[best].ID
}

func id(e *routing.Experiment) string {
	if e == nil {
		return ""
	}
	return e.ID
}

func TestATableFindsWhatALoopFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(drawExperiment), 0, 40).Draw(t, "experiments")
		for i := range list {
			list[i].ID, list[i].Tag = fmt.Sprintf("%s-%d", list[i].ID, i), i
		}
		given := slices.Clone(list)
		table, err := routing.Compile(list)
		require.NoError(t, err)
		require.Equal(t, given, list, "what is given is left alone")
		require.Equal(t, len(list), table.Len())
		for range 5 {
			resource, point := drawAttributes(t, "resource"), drawAttributes(t, "point")
			metric := rapid.SampledFrom([]string{"m1", "m2", "m3", ""}).Draw(t, "metric")
			want := oracle(list, resource, metric, point)
			match := table.Resource(resource)
			points := match.Metric(metric)
			got := points.Point(point)
			require.Equal(t, want, id(got))
			if got != nil {
				require.Equal(t, got.ID, list[got.Tag].ID)
			}
			if e, ok := match.Whole(); ok {
				require.Equal(t, want, id(e))
			}
			if e, ok := points.Whole(); ok {
				require.Equal(t, want, id(e))
			}
			if match.None() || points.None() {
				require.Empty(t, want)
			}
			require.Equal(t, oracle(list, resource, "", point), id(match.Point(point)), "a span")
		}
	})
}

var keys = []string{"k1", "k2", "k3", "k4"}

func drawExperiment(t *rapid.T) routing.Experiment {
	conditions := func(label string) []routing.Attribute {
		var list []routing.Attribute
		for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, 3, rapid.ID[string]).Draw(t, label) {
			list = append(list, routing.Attribute{Key: key, Value: rapid.SampledFrom([]string{"", "1", "true"}).Draw(t, key)})
		}
		return list
	}
	return routing.Experiment{
		ID:       rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id"),
		Rank:     rapid.IntRange(0, 1).Draw(t, "rank"),
		Resource: conditions("resource"), Point: conditions("point"),
		Metrics: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"m1", "m2"}), 0, 2, rapid.ID[string]).Draw(t, "metrics"),
	}
}

func drawAttributes(t *rapid.T, label string) pcommon.Map {
	m := pcommon.NewMap()
	for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, 4, rapid.ID[string]).Draw(t, label) {
		switch rapid.SampledFrom([]string{"", "1", "int", "bool"}).Draw(t, key) {
		case "int":
			m.PutInt(key, 1)
		case "bool":
			m.PutBool(key, true)
		case "1":
			m.PutStr(key, "1")
		default:
			m.PutStr(key, "")
		}
	}
	return m
}

func TestNoTableFindsNothing(t *testing.T) {
	var table *routing.Table
	match := table.Resource(one("service.name", "shop"))
	require.True(t, match.None())
	e, ok := match.Whole()
	require.True(t, ok)
	require.Nil(t, e)
	points := match.Metric("m")
	require.True(t, points.None())
	require.Nil(t, points.Point(pcommon.NewMap()))
	require.Nil(t, match.Point(pcommon.NewMap()))
	require.Zero(t, table.Len())
}

func TestCompileReportsAllMistakes(t *testing.T) {
	_, err := routing.Compile([]routing.Experiment{
		{ID: ""},
		{ID: "twice"},
		{ID: "twice", Unit: "pod"},
		{ID: "keys", Resource: []routing.Attribute{{Key: ""}}, Point: []routing.Attribute{{Key: "b"}, {Key: "a"}, {Key: "b"}}},
		{ID: "attribute", Unit: routing.UnitAttribute},
		{ID: "level", Unit: routing.UnitAttribute, UnitAttribute: routing.AttributeRef{Level: "span", Key: "k"}},
	})
	require.Error(t, err)
	require.Equal(t, strings.Split(`experiment "": id: must not be empty
experiment "attribute": attribute: must not be empty with unit: attribute
experiment "keys": scope: a key of the resource is empty
experiment "keys": scope: point.b is given twice
experiment "level": attribute: there is no level "span"
experiment "twice": is given twice
experiment "twice": unit: must be resource, series, attribute or trace, got "pod"`, "\n"), strings.Split(err.Error(), "\n"))
}

// tenants are n experiments, each with the scope that the function says.
func tenants(tb testing.TB, n int, scope func(i int) routing.Experiment) *routing.Table {
	tb.Helper()
	list := make([]routing.Experiment, n)
	for i := range list {
		list[i] = scope(i)
		list[i].ID = "team/" + strconv.Itoa(i)
	}
	table, err := routing.Compile(list)
	require.NoError(tb, err)
	return table
}

// scopes are forms that the scopes of many experiments may have.
func scopes() map[string]func(i int) routing.Experiment {
	attr := func(key, value string) routing.Attribute { return routing.Attribute{Key: key, Value: value} }
	service := attr("service.name", "service-1")
	return map[string]func(i int) routing.Experiment{
		"service": func(i int) routing.Experiment {
			return routing.Experiment{Resource: []routing.Attribute{attr("service.name", "service-"+strconv.Itoa(i))}}
		},
		"grid": func(i int) routing.Experiment {
			return routing.Experiment{Resource: []routing.Attribute{
				attr("service.name", "service-"+strconv.Itoa(i%100)), attr("k8s.namespace.name", "namespace-"+strconv.Itoa(i/100)),
			}}
		},
		"metric": func(i int) routing.Experiment {
			return routing.Experiment{Resource: []routing.Attribute{service}, Metrics: []string{"metric-" + strconv.Itoa(i)}}
		},
		"point": func(i int) routing.Experiment {
			return routing.Experiment{Resource: []routing.Attribute{service}, Point: []routing.Attribute{attr("tenant", "tenant-"+strconv.Itoa(i))}}
		},
		"sets": func(i int) routing.Experiment {
			return routing.Experiment{Resource: []routing.Attribute{service, attr("key-"+strconv.Itoa(i), "v")}}
		},
	}
}

// target is a resource and a point that belong to the second experiment.
func target() (resource, point pcommon.Map) {
	resource, point = pcommon.NewMap(), pcommon.NewMap()
	for _, key := range []string{"host.name", "k8s.pod.name", "k8s.node.name", "cloud.region"} {
		resource.PutStr(key, key+"-value")
	}
	resource.PutStr("service.name", "service-1")
	resource.PutStr("k8s.namespace.name", "namespace-0")
	resource.PutStr("key-1", "v")
	for _, key := range []string{"http.route", "http.request.method", "http.response.status_code"} {
		point.PutStr(key, key+"-value")
	}
	point.PutStr("tenant", "tenant-1")
	return resource, point
}

func TestEveryFormOfScopeIsFound(t *testing.T) {
	resource, point := target()
	for name, scope := range scopes() {
		for _, n := range []int{10, 10_000} {
			table := tenants(t, n, scope)
			match := table.Resource(resource)
			points := match.Metric("metric-1")
			require.Equal(t, "team/1", id(points.Point(point)), "%s of %d", name, n)
		}
	}
}

func TestFindingAllocatesNothing(t *testing.T) {
	resource, point := target()
	for name, scope := range scopes() {
		table := tenants(t, 1000, scope)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			match := table.Resource(resource)
			points := match.Metric("metric-1")
			if points.Point(point) == nil {
				panic("not found")
			}
		}), name)
	}
}

// BenchmarkFind looks up the experiment of a point, from its resource on. What a
// resource of 100 points does is 1 of Resource and 100 of Point at most.
func BenchmarkFind(b *testing.B) {
	resource, point := target()
	for name, scope := range scopes() {
		for _, n := range []int{10, 10_000} {
			table := tenants(b, n, scope)
			b.Run(fmt.Sprintf("Resource/%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					match := table.Resource(resource)
					if match.None() {
						b.Fatal("not found")
					}
				}
			})
			match := table.Resource(resource)
			points := match.Metric("metric-1")
			b.Run(fmt.Sprintf("Point/%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if points.Point(point) == nil {
						b.Fatal("not found")
					}
				}
			})
		}
	}
}

// BenchmarkCompile compiles all experiments, which is done once a snapshot.
func BenchmarkCompile(b *testing.B) {
	list := make([]routing.Experiment, 10_000)
	for i := range list {
		list[i] = scopes()["service"](i)
		list[i].ID = "team/" + strconv.Itoa(i)
	}
	for b.Loop() {
		if _, err := routing.Compile(list); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnit computes units.
func BenchmarkUnit(b *testing.B) {
	for name, unit := range unitsOf(b, "team/experiment") {
		if name == "series" || name == "attribute" || name == "resource" {
			continue // they build their input
		}
		b.Run(name, func(b *testing.B) {
			var sum uint64
			for b.Loop() {
				sum += unit(7)
			}
			_ = sum
		})
	}
	resource, point := target()
	e := compiled(b, routing.Experiment{ID: "e"})
	b.Run("resource", func(b *testing.B) {
		var sum uint64
		for b.Loop() {
			sum += e.ResourceUnit(routing.ResourceHash(resource))
		}
		_ = sum
	})
	b.Run("series", func(b *testing.B) {
		var sum uint64
		for b.Loop() {
			sum += e.SeriesUnit(sum + routing.PointHash(point))
		}
		_ = sum
	})
}
