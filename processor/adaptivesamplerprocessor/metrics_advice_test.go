package adaptivesamplerprocessor

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A heartbeat that rates or instant queries would miss is said when the rule
// begins, and in the report as long as it is in force.
func TestDoubtfulHeartbeatsAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newStorageHost(t, t.TempDir())
		plane := newControlPlane()
		host[controlID] = plane
		f := newFrame(t, `
control: phoenix_control
rules:
  - {name: fine, dead_band: {match: {metric: a}, tolerance: {relative: 0.1}, heartbeat: 60s, range: 4m}}
  - {name: rare, dead_band: {match: {metric: b}, tolerance: {relative: 0.1}, heartbeat: 60s, range: 2m}}
  - {name: gaps, dead_band: {match: {metric: c}, tolerance: {relative: 0.1}, heartbeat: 6m}}
`, host).start()
		defer f.shutdown()
		said := f.logged.FilterMessage("A rule may make dashboards wrong").All()
		require.Len(t, said, 2)
		problems := plane.sampling(t).Problems
		require.Len(t, problems, 2)
		for i, rule := range []string{"rare", "gaps"} {
			assert.Equal(t, rule, said[i].ContextMap()["rule"])
			assert.Contains(t, problems[i], rule)
		}
		assert.Contains(t, problems[0], "quarter of the range")
		assert.Contains(t, problems[1], "Prometheus")
	})
}
