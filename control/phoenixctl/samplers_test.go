package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/controltest"
)

const samplePolicy = `name: sample
spec:
  sampling:
    - dead_band:
        match: {metric: db.client.*, types: [sum], resource: [{attribute: service.name, value: checkout}]}
        tolerance: {relative: 0.01, absolute: 5}
        heartbeat: 30s
    - name: half
      series: {match: {metric: http.*}, ratio: 0.5}
    - name: money
      budget: {signal: metrics, match: {metric: process.*}, monthly_cost: 26.28}
    - name: logs
      budget: {signal: logs, bytes_per_second: 1000000}
`

const samplePrices = `name: ours
currency: EUR
effective: 2026-03-11
components:
  - {name: samples, kind: samples, price: 0.10, per: 1000000}
`

func TestSamplers(t *testing.T) {
	r := newRig(t)
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("sample.yaml", []byte(samplePolicy), 0o600))
	r.run("samplers")
	r.run("samplers", "missing")
	r.run("policies", "apply", "-f", "sample.yaml")
	r.pipe(samplePrices, "costs", "models", "set", "-f", "-", "--use")
	require.Eventually(t, func() bool { // the prices follow at once, not before the answer
		before := r.text.Len()
		r.run("policies", "apply", "-f", "sample.yaml", "--dry-run")
		text := r.text.String()
		r.text.Reset()
		r.text.WriteString(text[:before])
		return strings.Contains(text[before:], "created")
	}, 10*time.Second, time.Millisecond)
	r.run("policies", "apply", "-f", "sample.yaml", "--preview", "--timeout", "20ms", "--poll", "1ms")

	sampler := controltest.RegisterSampler(t, r.plane, "adaptive_sampler", r.clock.Now)
	r.clock.advance(time.Hour)
	r.run(append([]string{"policies", "preview", "sample"}, quickly...)...)
	r.run("policies", "get", "sample")
	r.run("policies", "list")
	r.run("policies", "apply", "-f", "sample.yaml")
	r.run("policies", "diff", "-f", "sample.yaml")
	r.run("policies", "get", "sample", "-o", "yaml")
	r.run("samplers")
	r.run(append([]string{"policies", "enforce", "sample"}, quickly...)...)
	sampler.Exceed("default/sample/money", true)
	sampler.Fail("rule x is refused", nil)
	r.run("samplers", "adaptive_sampler", "-o", "wide")
	r.run("samplers", "-o", "name")
	r.run("system")
	broken := controltest.RegisterSampler(t, r.plane, "adaptive_sampler/broken", r.clock.Now)
	broken.Fail("", assert.AnError)
	r.run("samplers", "-o", "json")
	r.golden("samplers.txt")
}

// A duration that is written otherwise is the same, and so is a default that is
// written out as an empty part.
func TestSamplingThatMeansTheSameIsUnchanged(t *testing.T) {
	r := newRig(t)
	r.pipe("name: a\nspec: {sampling: [{dead_band: {match: {metric: up}, heartbeat: 60s}}]}\n", "policies", "apply", "-f", "-")
	r.text.Reset()
	r.pipe("name: a\nspec: {sampling: [{name: sampling-1, dead_band: {match: {metric: up}, tolerance: {}, heartbeat: 1m}}]}\n", "policies", "apply", "-f", "-")
	assert.Contains(t, r.text.String(), "default/a unchanged")
	r.text.Reset()
	r.pipe("name: a\nspec: {sampling: [{dead_band: {match: {metric: up}, heartbeat: soon}}]}\n", "policies", "apply", "-f", "-")
	assert.Contains(t, r.text.String(), "spec.sampling[0].dead_band.heartbeat: must be a duration such as 60s or 5m")
}

// Rules of both kinds are both shown.
func TestAPolicyOfBothKinds(t *testing.T) {
	r := newRig(t)
	c := r.consolidate()
	controltest.RegisterSampler(t, r.plane, "adaptive_sampler", r.clock.Now)
	both := callsPolicy + "  sampling:\n    - dead_band: {match: {metric: db.client.calls}}\n"
	r.pipe(both, append([]string{"policies", "apply", "-f", "-", "--preview"}, quickly...)...)
	r.clock.advance(10 * time.Minute)
	r.run(append([]string{"policies", "enforce", "calls"}, quickly...)...)
	text := r.text.String()
	assert.Contains(t, text, "default/calls would save 2,400 (")
	assert.Contains(t, text, "default/calls would leave out:\n")
	assert.Contains(t, text, "Streams before: 2,500. After: 100")
	assert.Contains(t, text, "default/calls leaves out:\n")

	// If only one kind matches, that is a measurement.
	c.unmatched.Store(true)
	r.text.Reset()
	other := strings.Replace(both, "name: calls", "name: other", 1)
	r.pipe(other, "policies", "apply", "-f", "-", "--preview", "--poll", "1ms", "--settle", "1ms", "--timeout", "1500ms")
	assert.Contains(t, r.text.String(), "default/other would leave out:\n")
	assert.NotContains(t, r.text.String(), "no point has matched")
}
