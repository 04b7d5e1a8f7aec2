package control

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/phoenix-platform/phoenix/control/report"
)

// TestAFloodOfAlarmsIsBounded: the largest are told one by one, the rest as one.
func TestAFloodOfAlarmsIsBounded(t *testing.T) {
	flood := report.Cardinality{Point: "ingest", GroupBy: "service.name"}
	for i := range 70 {
		flood.Metrics = append(flood.Metrics, report.MetricCardinality{
			Name: fmt.Sprint("m", i), Group: "shop", Series: uint64(i), Growth: report.Growth{Growing: true},
		})
	}
	a := alarms{namespaceAttribute: "k8s.namespace.name"}
	events := a.look([]report.Cardinality{flood})
	assert.Len(t, events, alarmsAtOnce+1)
	assert.Equal(t, "cardinality/m69", events[0].Resource)
	assert.Empty(t, events[0].Namespace, "the groups are no namespaces")
	assert.Equal(t, map[string]string{"point": "ingest", "series": "69", "group": "shop"}, events[0].Detail)
	assert.Equal(t, "20 more metrics grow or exceed their limit", events[alarmsAtOnce].Message)
	assert.Empty(t, a.look([]report.Cardinality{flood}))
	assert.Empty(t, a.look(nil))
	assert.Len(t, a.look([]report.Cardinality{flood}), alarmsAtOnce+1)
}
