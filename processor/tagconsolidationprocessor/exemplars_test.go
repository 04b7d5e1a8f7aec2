package tagconsolidationprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/relabel"
)

func exemplarList(values ...float64) pmetric.ExemplarSlice {
	list := pmetric.NewExemplarSlice()
	for i, v := range values {
		e := list.AppendEmpty()
		e.SetDoubleValue(v)
		e.SetTraceID(pcommon.TraceID{byte(i), byte(i >> 8), 1})
	}
	return list
}

func dropPodPlan(t *testing.T) *relabel.Plan {
	t.Helper()
	plan, err := relabel.New(relabel.Settings{Drop: []relabel.Ref{{Levels: relabel.Bare, Key: "pod"}}})
	require.NoError(t, err)
	return plan
}

func TestExemplarsTellWhatTheirPointLost(t *testing.T) {
	var x exemplars
	attributes := pcommon.NewMap()
	attributes.PutStr("pod", "a")
	attributes.PutStr("route", "/")
	x.offer(consolidation.Key{A: 1}, exemplarList(0.25), dropPodPlan(t), attributes)
	out := pmetric.NewExemplarSlice()
	x.take(consolidation.Key{A: 1}, out)
	require.Equal(t, 1, out.Len())
	require.Equal(t, map[string]any{"pod": "a"}, out.At(0).FilteredAttributes().AsRaw())
	require.Equal(t, pcommon.TraceID{0, 0, 1}, out.At(0).TraceID())
	x.take(consolidation.Key{A: 1}, out)
	require.Equal(t, 1, out.Len(), "taken once")
}

func TestExemplarsAreBounded(t *testing.T) {
	var x exemplars
	plan := dropPodPlan(t)
	for i := range uint64(2 * maxExemplarOutputs) {
		x.offer(consolidation.Key{A: i}, exemplarList(1e-9, 0.001, 0.02, 0.3, 4, 50, 6e9, -1), plan, pcommon.NewMap())
	}
	require.Len(t, x.byOutput, maxExemplarOutputs)
	for range 1000 {
		x.offer(consolidation.Key{A: 1}, exemplarList(1e-9, 0.001, 0.02, 0.3, 4, 50, 6e9, -1), plan, pcommon.NewMap())
	}
	out := pmetric.NewExemplarSlice()
	x.take(consolidation.Key{A: 1}, out)
	require.Greater(t, out.Len(), 4, "rare large values have rows of their own")
	require.LessOrEqual(t, out.Len(), exemplarRows)
	x.drop()
	require.Empty(t, x.byOutput)
}

// Each of n exemplars of one row is as likely to stay as any other.
func TestExemplarsAreChosenFairly(t *testing.T) {
	const n, runs = 10, 20_000
	var kept [n]int
	plan := dropPodPlan(t)
	for range runs {
		var x exemplars
		values := make([]float64, n)
		for i := range values {
			values[i] = 1 + float64(i)/100
		}
		x.offer(consolidation.Key{}, exemplarList(values...), plan, pcommon.NewMap())
		out := pmetric.NewExemplarSlice()
		x.take(consolidation.Key{}, out)
		require.Equal(t, 1, out.Len())
		kept[out.At(0).TraceID()[0]]++
	}
	for _, k := range kept {
		require.InDelta(t, runs/n, k, 260) // six standard deviations
	}
}
