package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/archtest"
)

// The peers of contrib are no part of our go.mod; their version is that of the
// contrib modules that are.
var peersOnly = []string{
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/groupbyattrsprocessor",
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/metricstransformprocessor",
}

func TestManifestAgreesWithGoMod(t *testing.T) {
	m, err := archtest.LoadManifest("builder-config.yaml")
	require.NoError(t, err)
	required, err := archtest.Required("../../go.mod")
	require.NoError(t, err)
	for _, module := range peersOnly {
		require.NotContains(t, required, module)
		required[module] = required["github.com/open-telemetry/opentelemetry-collector-contrib/processor/resourceprocessor"]
	}
	require.NotEmpty(t, m.Entries)
	assert.Empty(t, archtest.CheckVersions(m, required))
}
