package cost

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// fleet is a report of 10,000 metrics with ten labels each, of 200 names.
func fleet() report.Cardinality {
	r := report.Cardinality{Backend: "prometheus"}
	for i := range 10_000 {
		m := report.MetricCardinality{Name: fmt.Sprint("metric.", i), Type: "sum", Series: 9000, Streams: 9000, Estimated: true, RelativeError: 0.0057}
		for l := range 10 {
			m.Attributes = append(m.Attributes, report.AttributeCardinality{
				Key: fmt.Sprint("label", (i+20*l)%200), Level: report.LevelDataPoint, Label: "l", Distinct: 30, SeriesWithout: uint64(300 * (l + 1)),
			})
		}
		r.Metrics = append(r.Metrics, m)
	}
	return r
}

func BenchmarkFleet(b *testing.B) {
	r := fleet()
	u := NewUsage(r, nil, 100)
	for i := range u.Items {
		u.Items[i].SamplesPerSecond = 600
	}
	m := readYAML(b, "every-option.yaml")
	rule := policy.Rule{Name: "r", Match: policy.Match{Metric: "*"}, Attributes: policy.Attributes{Drop: []string{"label1*"}}}
	b.Run("price", func(b *testing.B) {
		for b.Loop() {
			m.Price(u)
		}
	})
	b.Run("by_metric", func(b *testing.B) {
		for b.Loop() {
			m.ByMetric(u)
		}
	})
	b.Run("by_label", func(b *testing.B) {
		for b.Loop() {
			_, err := m.ByLabel(u, r, Assumptions{})
			require.NoError(b, err)
		}
	})
	b.Run("rule", func(b *testing.B) {
		for b.Loop() {
			effects, err := RuleEffects([]policy.Rule{rule}, r, Assumptions{})
			require.NoError(b, err)
			_, err = m.Saving(u, effects, Assumptions{})
			require.NoError(b, err)
		}
	})
}
