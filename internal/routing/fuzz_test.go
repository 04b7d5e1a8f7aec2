package routing_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/routing"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// FuzzFind looks up everything of any request that decodes: nothing panics, the
// answer is that of a loop over the experiments, and units depend on content only.
func FuzzFind(f *testing.F) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("requests")
	m.SetEmptyGauge().DataPoints().AppendEmpty().Attributes().PutInt("tenant", 7)
	request, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	require.NoError(f, err)
	f.Add(request, "service.name", "shop", "tenant", "7", "requests")
	f.Add([]byte{0x0a, 0x80}, "", "", "", "", "")
	f.Add([]byte("not a message"), "\xff", "\x00", "tenant", "", "m")

	f.Fuzz(func(t *testing.T, request []byte, key, value, pointKey, pointValue, metric string) {
		list := []routing.Experiment{
			{ID: "a", Resource: []routing.Attribute{{Key: key, Value: value}}, Metrics: []string{metric}},
			{ID: "b", Point: []routing.Attribute{{Key: pointKey, Value: pointValue}}},
			{ID: "c", Resource: []routing.Attribute{{Key: pointKey, Value: value}}, Point: []routing.Attribute{{Key: key, Value: pointValue}}},
		}
		table, err := routing.Compile(list)
		if err != nil {
			require.True(t, key == "" || pointKey == "")
			return
		}
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(request)
		if err != nil {
			return
		}
		for _, rm := range md.ResourceMetrics().All() {
			match := table.Resource(rm.Resource().Attributes())
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					points, _ := walk.Of(m)
					found := match.Metric(m.Name())
					for i := range points.Len() {
						at := points.Attributes(i)
						e := found.Point(at)
						require.Equal(t, oracle(list, rm.Resource().Attributes(), m.Name(), at), id(e))
						if e == nil {
							continue
						}
						copied := pcommon.NewMap()
						at.CopyTo(copied)
						require.Equal(t, e.SeriesUnit(routing.PointHash(at)), e.SeriesUnit(routing.PointHash(copied)))
					}
				}
			}
		}
	})
}
