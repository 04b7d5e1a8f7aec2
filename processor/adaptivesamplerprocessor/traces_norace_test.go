//go:build !race

package adaptivesamplerprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const underRace = false

// TestSpansAllocateNothing covers spans that are kept, also with a threshold that
// is written, and spans that are left out. Copies are made beforehand.
func TestSpansAllocateNothing(t *testing.T) {
	random := newTraffic(1)
	const runs = 20
	for _, c := range benchCases(random) {
		if c.name == "random values" { // contrib's parser allocates
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			tel := componenttest.NewTelemetry()
			r := newSpanRigOf(t, c.yaml, consumertest.NewNop(), tel.NewTelemetrySettings())
			defer r.end()
			template := benchTraces(random, c.state)
			p := r.part()
			var copies []ptrace.Traces
			for range runs + 20 {
				copies = append(copies, spansCopy(template))
			}
			next := func() ptrace.Traces {
				td := copies[0]
				copies = copies[1:]
				return td
			}
			for range 10 {
				p.sample(t.Context(), next())
			}
			allocated := testing.AllocsPerRun(runs, func() { p.sample(t.Context(), next()) })
			require.Zero(t, allocated, "for %d spans", benchResources*benchSpans)
		})
	}
}
