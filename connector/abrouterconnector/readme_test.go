package abrouterconnector

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.yaml.in/yaml/v3"

	"github.com/phoenix-platform/phoenix/connector/abrouterconnector/internal/metadata"
)

func readme(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(tb, err)
	return string(text)
}

// chapter returns the text below a heading, up to the next of its level.
func chapter(tb testing.TB, heading string) string {
	tb.Helper()
	_, rest, ok := strings.Cut(readme(tb), "\n"+heading+"\n")
	require.True(tb, ok, heading)
	level, _, _ := strings.Cut(heading, " ")
	section, _, _ := strings.Cut(rest, "\n"+level+" ")
	section, _, _ = strings.Cut(section, "\n## ")
	return section
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

// TestReadmeOptions compares the table of options with the defaults.
func TestReadmeOptions(t *testing.T) {
	defaults := confmap.New()
	require.NoError(t, defaults.Marshal(createDefaultConfig()))
	options, _, _ := strings.Cut(chapter(t, "## Options"), "### ")
	var documented []string
	for _, row := range tableRows(options, "[a-z_.]+") {
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
	assert.ElementsMatch(t, defaults.AllKeys(), documented)
}

// TestReadmeExperiments compares the table of keys of static experiments.
func TestReadmeExperiments(t *testing.T) {
	var documented, keys []string
	for _, row := range tableRows(chapter(t, "### Static experiments"), "[a-z_]+") {
		documented = append(documented, unquote(row[0]))
	}
	for field := range reflect.TypeFor[ExperimentConfig]().Fields() {
		keys = append(keys, field.Tag.Get("mapstructure"))
	}
	assert.Equal(t, keys, documented)
}

// TestReadmeTelemetry compares the tables of metrics and attributes.
func TestReadmeTelemetry(t *testing.T) {
	conf, err := confmaptest.LoadConf("metadata.yaml")
	require.NoError(t, err)
	metrics, ok := conf.Get("telemetry::metrics").(map[string]any)
	require.True(t, ok)
	text := chapter(t, "## Telemetry")
	rows := tableRows(text, "otelcol_[a-z_]+")
	assert.Len(t, rows, len(metrics))
	for _, row := range rows {
		name := strings.TrimPrefix(unquote(row[0]), "otelcol_")
		metric, ok := metrics[name].(map[string]any)
		require.True(t, ok, name)
		assert.Equal(t, metric["unit"], unquote(row[1]), name)
		var attributes []string
		list, _ := metric["attributes"].([]any)
		for _, a := range list {
			attributes = append(attributes, "`"+fmt.Sprint(a)+"`")
		}
		assert.Equal(t, strings.Join(attributes, ", "), row[2], name)
	}
	documented := map[string][]string{}
	for _, row := range tableRows(text, "(?:class|state|reason)") {
		documented[unquote(row[0])] = append(documented[unquote(row[0])], strings.Split(unquote(row[1]), "`, `")...)
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(stateOptions)), documented["state"])
	assert.ElementsMatch(t, []string{"none", modeSplit, modeMirror}, documented["class"])
	assert.ElementsMatch(t, reasons, documented["reason"])
}

// TestReadmeWhatGoesWhere gives the points of each row to its experiment.
func TestReadmeWhatGoesWhere(t *testing.T) {
	rows := tableRows(chapter(t, "## What goes where"), "{id: [^|]+}")
	require.Greater(t, len(rows), 4)
	for _, row := range rows {
		var raw map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(unquote(row[0])), &raw))
		var e ExperimentConfig
		require.NoError(t, confmap.NewFromStringMap(raw).Unmarshal(&e))
		r := newRig(t).start(func(cfg *Config) { cfg.Experiments = []ExperimentConfig{e} })
		require.NoError(t, r.connector.ConsumeMetrics(t.Context(), readPoints(t, row[1])))
		require.NoError(t, r.connector.Shutdown(t.Context()))
		assert.Equal(t, row[2], asWritten(r.baseline.got()), row[0])
		assert.Equal(t, row[3], asWritten(r.candidate.got()), row[0])
	}
}

var pointText = regexp.MustCompile("`([a-z]+) ([a-z]+){([^}]*)}`")

// readPoints reads points such as `shop load{cpu=0}`.
func readPoints(t *testing.T, cell string) pmetric.Metrics {
	t.Helper()
	md := pmetric.NewMetrics()
	for _, found := range pointText.FindAllStringSubmatch(cell, -1) {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", found[1])
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName(found[2])
		dp := m.SetEmptyGauge().DataPoints().AppendEmpty()
		for pair := range strings.SplitSeq(found[3], ",") {
			if key, value, ok := strings.Cut(pair, "="); ok {
				dp.Attributes().PutStr(key, value)
			}
		}
	}
	return md
}

// asWritten is the other way round.
func asWritten(list []pmetric.Metrics) string {
	var points []string
	for _, md := range list {
		for _, rm := range md.ResourceMetrics().All() {
			service, _ := rm.Resource().Attributes().Get("service.name")
			for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
				for _, attributes := range pointsAt(m) {
					var pairs []string
					for _, key := range slices.Sorted(maps.Keys(attributes)) {
						pairs = append(pairs, fmt.Sprintf("%s=%v", key, attributes[key]))
					}
					points = append(points, fmt.Sprintf("`%s %s{%s}`", service.Str(), m.Name(), strings.Join(pairs, ",")))
				}
			}
		}
	}
	if len(points) == 0 {
		return "nothing"
	}
	return strings.Join(points, "<br>")
}

// TestReadmeExamples makes and starts the connectors of every example.
func TestReadmeExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	require.Len(t, blocks, 3)
	for _, block := range blocks {
		var raw map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(block[1]), &raw))
		connectors, err := confmap.NewFromStringMap(raw).Sub("connectors")
		require.NoError(t, err)
		for name := range connectors.ToStringMap() {
			var id component.ID
			require.NoError(t, id.UnmarshalText([]byte(name)))
			require.Equal(t, metadata.Type, id.Type())
			sub, err := connectors.Sub(name)
			require.NoError(t, err)
			cfg := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
			require.NoError(t, sub.Unmarshal(cfg), block[1])
			require.NoError(t, confmap.Validate(cfg), block[1])
			for _, signal := range slices.Sorted(maps.Keys(signals)) {
				c := compiler{config: cfg, signal: signal, static: cfg.routes(signal)}
				_, refused, err := c.compile(nil, time.Now())
				require.NoError(t, err)
				require.Zero(t, refused)
			}
		}
	}
}

// TestReadmeLines keeps the numbers of the text in step with the code.
func TestReadmeLines(t *testing.T) {
	text := strings.Join(strings.Fields(readme(t)), " ")
	for _, line := range []string{
		fmt.Sprintf("exact up to %d an arm", unitSlots*3/4),
		fmt.Sprintf("and every %d ms", lookEvery.Milliseconds()),
		fmt.Sprintf("The size of every %dth batch", sizeEvery),
		"and 10,000 batches",
		"the candidate has ten seconds",
		"has not returned a second after its `candidate_timeout`",
	} {
		assert.Contains(t, text, line)
	}
	assert.Equal(t, 10_000, maxMessages)
	assert.InDelta(t, 10, stopWithin.Seconds(), 0)
	assert.InDelta(t, 1, overdueAfter.Seconds(), 0)
}
