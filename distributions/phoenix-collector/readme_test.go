package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/otelcol"
)

var rewrite = flag.Bool("rewrite", false, "write the component table of README.md again")

const (
	tableBegin = "<!-- components: written by `go test ./distributions/phoenix-collector -rewrite` -->\n"
	tableEnd   = "<!-- end of components -->\n"
)

// The README lists exactly the components that are compiled in, under the names that a configuration uses.
func TestReadmeListsTheComponents(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), tableBegin)
	require.True(t, ok, "README.md lacks the line %q", tableBegin)
	table, after, ok := strings.Cut(rest, tableEnd)
	require.True(t, ok, "README.md lacks the line %q", tableEnd)

	want := componentTable(t)
	if *rewrite {
		require.NoError(t, os.WriteFile("README.md", []byte(before+tableBegin+want+tableEnd+after), 0o600))
		return
	}
	assert.Equal(t, want, table, "repair it with: go test ./distributions/phoenix-collector -rewrite")
}

func componentTable(t *testing.T) string {
	t.Helper()
	f, err := components()
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("| Kind | Name | Module |\n|---|---|---|\n")
	for _, kind := range []struct {
		name    string
		modules map[component.Type]string
	}{
		{"receiver", f.ReceiverModules},
		{"processor", f.ProcessorModules},
		{"connector", f.ConnectorModules},
		{"exporter", f.ExporterModules},
		{"extension", f.ExtensionModules},
	} {
		names := slices.SortedFunc(maps.Keys(kind.modules), func(a, b component.Type) int { return strings.Compare(a.String(), b.String()) })
		for _, name := range names {
			module := kind.modules[name]
			if strings.HasPrefix(module, "github.com/phoenix-platform/phoenix ") {
				module = "Phoenix" // its version is that of the binary
			}
			fmt.Fprintf(&b, "| %s | `%s` | %s |\n", kind.name, name, module)
		}
	}
	return b.String()
}

// The configuration that ships is one that the collector accepts.
func TestDefaultConfigIsValid(t *testing.T) {
	col, err := otelcol.NewCollector(otelcol.CollectorSettings{
		BuildInfo: component.NewDefaultBuildInfo(),
		Factories: components,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				URIs:              []string{"config.yaml"},
				ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory(), envprovider.NewFactory()},
				DefaultScheme:     "file",
			},
		},
	})
	require.NoError(t, err)
	require.NoError(t, col.DryRun(t.Context()))
}
