//go:build e2e

package e2e

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two measuring components; the blanks are the extensions, the points and
// whether the control plane runs.
const (
	noControl = `
receivers:
  otlp/unused:
    protocols:
      grpc:
        endpoint: localhost:0
processors:
  cardinality/edge:
    point: edge
    control: phoenix_control
exporters:
  nop:
service:
  pipelines:
    metrics:
      receivers: [otlp/unused]
      processors: [cardinality/edge]
      exporters: [nop]
` + quiet
	onePointTwice = `
extensions:
  phoenix_control:
    endpoint: localhost:0
receivers:
  otlp/unused:
    protocols:
      grpc:
        endpoint: localhost:0
processors:
  cardinality/first:
    point: edge
    control: phoenix_control
  cardinality/second:
    point: edge
    control: phoenix_control
exporters:
  nop:
service:
  extensions: [phoenix_control]
  pipelines:
    metrics:
      receivers: [otlp/unused]
      processors: [cardinality/first, cardinality/second]
      exporters: [nop]
` + quiet
	badValues = `
receivers:
  otlp/unused:
    protocols:
      grpc:
        endpoint: localhost:0
processors:
  cardinality/edge:
    window: -1s
    sub_windows: 0
    max_metrics: -1
    max_memory_mib: -1
    max_attributes_per_metric: -1
    backend:
      kind: parchment
    limits:
      - match: "/(/"
        max_series: 1
exporters:
  nop:
service:
  pipelines:
    metrics:
      receivers: [otlp/unused]
      processors: [cardinality/edge]
      exporters: [nop]
` + quiet
	unknownKeys = `
receivers:
  otlp/unused:
    protocols:
      grpc:
        endpoint: localhost:0
processors:
  cardinality/edge:
    windoww: 1m
    pointt: edge
exporters:
  nop:
service:
  pipelines:
    metrics:
      receivers: [otlp/unused]
      processors: [cardinality/edge]
      exporters: [nop]
` + quiet
)

// refusal runs a configuration that must not start, and returns what the
// collector says about it.
func refusal(t *testing.T, config string) string {
	t.Helper()
	p := start(t, collectorCommand(t, config))
	require.Error(t, p.wait(t, patience), "the collector must not start")
	return p.output.String()
}

func TestMissingControlIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	said := refusal(t, noControl)
	assert.Regexp(t, `(?m)^.*cardinality/edge.*phoenix_control.*$`, said)
}

func TestTwoComponentsMayNotClaimOnePoint(t *testing.T) {
	t.Parallel()
	said := refusal(t, onePointTwice)
	line := regexp.MustCompile(`(?m)^.*cardinality/first.*cardinality/second.*$|^.*cardinality/second.*cardinality/first.*$`).FindString(said)
	require.NotEmpty(t, line, "one message names both: %s", said)
	assert.Contains(t, line, "edge")
}

func TestBadValuesAreNamedAllAtOnce(t *testing.T) {
	t.Parallel()
	said := refusal(t, badValues)
	for _, key := range []string{
		"window", "sub_windows", "max_metrics", "max_memory_mib", "max_attributes_per_metric", "backend", "limits",
	} {
		assert.Regexp(t, `(?m)^(Error: .*processors::cardinality/edge: )?`+key+`(\.kind|\[0\]\.match)?: `, said, "the message for %s starts with the key", key)
	}
}

func TestUnknownKeysAreNamedAllAtOnce(t *testing.T) {
	t.Parallel()
	said := refusal(t, unknownKeys)
	assert.Contains(t, said, "cardinality/edge")
	assert.Contains(t, said, "windoww")
	assert.Contains(t, said, "pointt")
}
