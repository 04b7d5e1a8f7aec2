package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/pprofextension"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/nopexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"

	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor"
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor"
)

// TestMain makes the test binary a collector when it is started as one: the
// tests measure a real child process, and need nothing that is built elsewhere.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "--config" || os.Args[1] == "--version") {
		if err := collectorCommand(); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func collectorCommand() error {
	return otelcol.NewCommand(otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "collector", Version: "under test"},
		Factories: func() (otelcol.Factories, error) {
			receivers, err := otelcol.MakeFactoryMap[receiver.Factory](otlpreceiver.NewFactory())
			if err != nil {
				return otelcol.Factories{}, err
			}
			processors, err := otelcol.MakeFactoryMap[processor.Factory](cardinalityprocessor.NewFactory(), tagconsolidationprocessor.NewFactory())
			if err != nil {
				return otelcol.Factories{}, err
			}
			exporters, err := otelcol.MakeFactoryMap[exporter.Factory](nopexporter.NewFactory(), otlphttpexporter.NewFactory())
			if err != nil {
				return otelcol.Factories{}, err
			}
			extensions, err := otelcol.MakeFactoryMap[extension.Factory](pprofextension.NewFactory())
			return otelcol.Factories{
				Receivers: receivers, Processors: processors, Exporters: exporters, Extensions: extensions, Telemetry: otelconftelemetry.NewFactory(),
			}, err
		},
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			ProviderFactories: []confmap.ProviderFactory{envprovider.NewFactory(), fileprovider.NewFactory()},
		}},
	}).Execute()
}

func thisBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

// tryOnce runs a row with few pods.
func tryOnce(t *testing.T, name string) (*bench, trial) {
	t.Helper()
	rows, _, err := chooseRows(name, thisBinary(t), "")
	require.NoError(t, err)
	b := &bench{
		options:  options{rounds: 2, warmup: 1, repetitions: 1, interval: time.Second, idle: 200 * time.Millisecond, connections: 2, compression: "gzip", shape: smallShape},
		rows:     rows,
		progress: io.Discard,
		results:  make(map[string][]trial),
	}
	require.NoError(t, b.runAll(t.Context()))
	require.Len(t, b.results[name], 1)
	return b, b.results[name][0]
}

func TestForwardedPointsAllArrive(t *testing.T) {
	t.Parallel()
	b, got := tryOnce(t, "forward")
	require.NoError(t, b.losses())
	assert.Equal(t, 2*smallShape.Series(), got.in)
	assert.Equal(t, 3*smallShape.Series(), got.sent)
	assert.Equal(t, 3*smallShape.Series(), got.out)
	assert.Equal(t, smallShape.Series(), got.series)
	assert.Equal(t, 1.0, got.kept)
	assert.Greater(t, got.peak, int64(10<<20))
}

func TestConsolidatedSumsAreExact(t *testing.T) {
	for _, name := range []string{rowOurs, rowBoth} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, got := tryOnce(t, name)
			require.NoError(t, b.losses())
			assert.Equal(t, smallShape.Merged(), got.series)
			assert.Equal(t, 1.0, got.kept)
			assert.GreaterOrEqual(t, got.out, smallShape.Merged())
			assert.Less(t, got.out, got.sent)
		})
	}
}

func TestRunWritesTableAndProfile(t *testing.T) {
	t.Setenv(envCollector, thisBinary(t))
	t.Setenv(envVmagent, "")
	dir := t.TempDir()
	out := filepath.Join(dir, "results.txt")
	var stdout strings.Builder
	args := "-rounds 2 -warmup 1 -repetitions 1 -idle 200ms -pods 2 -pods-per-request 1 -rows nop -out " + out + " -profiles " + dir
	require.NoError(t, run(t.Context(), strings.Fields(args), &stdout, io.Discard))
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Equal(t, stdout.String(), string(text))
	assert.True(t, strings.HasPrefix(string(text), "$ make bench-peers BENCH_PEERS='"), string(text))
	assert.Contains(t, string(text), "8000 series, 4000 without the pod")
	assert.Contains(t, string(text), "collector version under test")
	assert.NotContains(t, string(text), dir)
	assert.FileExists(t, filepath.Join(dir, "nop.pprof"))
}

func TestACandidateThatDoesNotStartIsReported(t *testing.T) {
	b := &bench{
		options: options{rounds: 1, warmup: 1, repetitions: 1, interval: time.Second, idle: time.Millisecond, connections: 1, compression: "lz5", shape: smallShape},
		rows:    []row{{name: "forward", binary: thisBinary(t)}}, progress: io.Discard, results: make(map[string][]trial),
	}
	err := b.runAll(t.Context())
	require.ErrorContains(t, err, "row forward: peers.test ended at its start")
	require.ErrorContains(t, err, "lz5", "the error quotes what the process said")
}
