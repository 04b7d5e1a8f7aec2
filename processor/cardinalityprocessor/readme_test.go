package cardinalityprocessor

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadata"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(text)
}

// tableRows returns the cells of the rows whose first cell is code.
func tableRows(text, code string) (rows [][]string) {
	for _, found := range regexp.MustCompile("(?m)^\\| `"+code+"` \\|.*$").FindAllString(text, -1) {
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(found, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	return rows
}

func unquote(cell string) string { return strings.Trim(cell, "`") }

// between returns the text of a section.
func between(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n## "+heading+"\n")
	require.True(t, ok, heading)
	section, _, _ := strings.Cut(rest, "\n## ")
	return section
}

// TestReadmeOptions compares the table of options with the defaults.
func TestReadmeOptions(t *testing.T) {
	defaults := confmap.New()
	require.NoError(t, defaults.Marshal(createDefaultConfig()))
	var documented []string
	for _, row := range tableRows(between(t, readme(t), "Options"), "[a-z_.]+") {
		option, stated := unquote(row[0]), unquote(row[1])
		key := strings.ReplaceAll(option, ".", confmap.KeyDelimiter)
		documented = append(documented, key)
		require.True(t, defaults.IsSet(key), option)
		if stated == "none" {
			assert.Empty(t, defaults.Get(key), option)
			continue
		}
		assert.Equal(t, fmt.Sprint(defaults.Get(key)), stated, option)
	}
	for _, key := range defaults.AllKeys() {
		assert.Contains(t, documented, key)
	}
	assert.Len(t, documented, len(slices.Compact(slices.Sorted(slices.Values(documented)))))
}

// TestReadmeTelemetry compares the table of metrics with metadata.yaml.
func TestReadmeTelemetry(t *testing.T) {
	metrics := declared(t)
	rows := tableRows(between(t, readme(t), "Telemetry"), "otelcol_[a-z_]+")
	assert.Len(t, rows, len(metrics))
	for _, row := range rows {
		name := strings.TrimPrefix(unquote(row[0]), "otelcol_")
		metric, ok := metrics[name].(map[string]any)
		require.True(t, ok, name)
		assert.Equal(t, metric["unit"], unquote(row[1]), name)
		var attributes []string
		for _, a := range metric["attributes"].([]any) {
			attributes = append(attributes, "`"+fmt.Sprint(a)+"`")
		}
		assert.Equal(t, strings.Join(attributes, ", "), row[2], name)
	}
}

// TestReadmeExamples starts the processors of every example.
func TestReadmeExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	require.Len(t, blocks, 6)
	for _, block := range blocks {
		retrieved, err := confmap.NewRetrievedFromYAML([]byte(block[1]))
		require.NoError(t, err)
		conf, err := retrieved.AsConf()
		require.NoError(t, err)
		startExample(t, conf)
	}
}

func startExample(t *testing.T, conf *confmap.Conf) {
	t.Helper()
	r := newRig(t)
	h := host{}
	extensions, _ := conf.Get("service::extensions").([]any)
	for _, id := range extensions {
		assert.True(t, conf.IsSet("extensions::"+id.(string)))
		h[component.MustNewID(id.(string))] = planeExtension{Plane: r.plane}
	}
	processors, err := conf.Sub("processors")
	require.NoError(t, err)
	ids := processors.ToStringMap()
	require.NotEmpty(t, ids)
	for name := range ids {
		var id component.ID
		require.NoError(t, id.UnmarshalText([]byte(name)))
		if id.Type() != metadata.Type {
			continue
		}
		sub, err := processors.Sub(name)
		require.NoError(t, err)
		cfg, err := loadConf(sub)
		require.NoError(t, err)
		p := r.create(name, cfg)
		require.NoError(t, p.Start(t.Context(), h))
		t.Cleanup(func() { require.NoError(t, p.Shutdown(context.WithoutCancel(t.Context()))) })
	}
	pipeline, _ := conf.Get("service::pipelines::metrics::processors").([]any)
	for _, name := range pipeline {
		assert.Contains(t, ids, name)
	}
}

// TestReadmeLines keeps the limits of the text in step with the code.
func TestReadmeLines(t *testing.T) {
	text := readme(t)
	assert.Contains(t, text, fmt.Sprintf("2 to %d.", maxSubWindows))
	assert.Contains(t, text, fmt.Sprintf("0 to %d.", maxTop))
	for r := range reasons {
		assert.Contains(t, text, "`"+r.String()+"`")
	}
}
