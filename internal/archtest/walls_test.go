package archtest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// graphOf builds a graph from edges written short. Every end of an edge is a package.
func graphOf(edges ...[2]string) Graph {
	g := make(Graph)
	for _, e := range edges {
		from, to := full(e[0]), full(e[1])
		g[from] = append(g[from], to)
		if _, ok := g[to]; !ok {
			g[to] = nil
		}
	}
	return g
}

func wall(t *testing.T, name string) Wall {
	t.Helper()
	for _, w := range Walls {
		if w.Name == name {
			return w
		}
	}
	require.FailNow(t, "no such wall", name)
	return Wall{}
}

func TestWallsStand(t *testing.T) {
	g, err := LoadGraph(root)
	require.NoError(t, err)
	require.Contains(t, g.Own(), "./internal/archtest")
	require.Greater(t, len(g), 100, "the graph holds the standard library at least")
	for _, w := range Walls {
		t.Run(w.Name, func(t *testing.T) {
			for _, found := range w.Check(g) {
				t.Error(found)
			}
		})
	}
}

func TestEveryWallCanFail(t *testing.T) {
	for _, w := range Walls {
		t.Run(w.Name, func(t *testing.T) {
			require.NotEmpty(t, w.Reason)
			g := graphOf(w.Breaks)
			assert.NotEmpty(t, w.Check(g), "%s must refuse that %s imports %s", w.Name, w.Breaks[0], w.Breaks[1])
			assert.Empty(t, w.Check(graphOf([2]string{w.Breaks[0], "fmt"})), "and accept fmt")
		})
	}
}

func TestWallsSeeThroughOthers(t *testing.T) {
	g := graphOf(
		[2]string{"./processor/cardinalityprocessor", "./internal/series"},
		[2]string{"./internal/series", "example.com/innocent"},
		[2]string{"example.com/innocent", "k8s.io/client-go/kubernetes"},
		[2]string{"k8s.io/client-go/kubernetes", "k8s.io/api/core/v1"},
	)
	found := wall(t, "data path").Check(g)
	require.Len(t, found, 1, "what lies behind the first offender is not told again")
	assert.Contains(t, found[0], "./processor/cardinalityprocessor → ./internal/series → example.com/innocent → k8s.io/client-go/kubernetes")

	assert.Empty(t, wall(t, "Kubernetes").Check(g), "no package of ours imports it directly")
}

func TestWallsLetPass(t *testing.T) {
	pass := func(name string, edges ...[2]string) {
		t.Helper()
		assert.Empty(t, wall(t, name).Check(graphOf(edges...)), name)
	}
	pass("data path", [2]string{"./processor/cardinalityprocessor", "./control/policy"})
	pass("data path", [2]string{"./processor/cardinalityprocessor", "./control/report"})
	pass("components apart", [2]string{"./processor/cardinalityprocessor", "./processor/cardinalityprocessor/internal/metadata"})
	pass("one technology each",
		[2]string{"./control", "./control/store"}, [2]string{"./control", "./control/bus"}, [2]string{"./control/api", "./control/api/apitest"})
	pass("Kubernetes", [2]string{"./control/kube/v1alpha1", "k8s.io/api/core/v1"})
	pass("PromQL", [2]string{"./control/metricsource", "github.com/prometheus/prometheusx"})
	pass("test kit", [2]string{"./internal/testkit/replay", "github.com/stretchr/testify/require"})
	pass("test kit", [2]string{"./control/storetest", "testing"})
	pass("algorithms", [2]string{"./internal/walk", "go.opentelemetry.io/collector/pdata/pmetric"})
}

func TestWallsRefuse(t *testing.T) {
	refuse := func(name string, edges ...[2]string) {
		t.Helper()
		assert.NotEmpty(t, wall(t, name).Check(graphOf(edges...)), name)
	}
	refuse("algorithms", [2]string{"./internal/walk", "go.opentelemetry.io/collector/component"})
	refuse("algorithms", [2]string{"./internal/walk", "example.com/unheard/of"})
	refuse("data path", [2]string{"./connector/abrouterconnector", "./control"})
	refuse("data path", [2]string{"./processor/cardinalityprocessor", "github.com/nats-io/nats.go"})
	refuse("components apart", [2]string{"./connector/abrouterconnector", "./processor/cardinalityprocessor/internal/metadata"})
	refuse("one technology each", [2]string{"./control/api", "./control/glue"}, [2]string{"./control/glue", "./control/kube/v1alpha1"})
	refuse("contract", [2]string{"./control/policy", "./internal/series"})
	refuse("contract", [2]string{"./control/policy", "net/http"})
	refuse("pure control", [2]string{"./control/stats", "os"})
	refuse("test kit", [2]string{"./control/api", "testing"})
	refuse("test kit", [2]string{"./control/api", "./control/storetest"})
}
