package adaptivesamplerprocessor

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/processor/adaptivesamplerprocessor/internal/metadata"
)

func readme(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(tb, err)
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

// chapter returns the text below a heading.
func chapter(tb testing.TB, text, heading string) string {
	tb.Helper()
	_, rest, ok := strings.Cut(text, "\n## "+heading+"\n")
	require.True(tb, ok, heading)
	section, _, _ := strings.Cut(rest, "\n## ")
	return section
}

var scriptTable = regexp.MustCompile(`(?s)<!-- scripts: ([a-z0-9_ \n]+) -->\n.*?<!-- end of scripts -->`)

// TestReadmeScripts compares the tables of in and out with the scripts that they
// are made of. `go test -rewrite` writes the tables again.
func TestReadmeScripts(t *testing.T) {
	text := readme(t)
	shown := map[string]bool{}
	made := scriptTable.ReplaceAllStringFunc(text, func(found string) string {
		names := scriptTable.FindStringSubmatch(found)[1]
		for name := range strings.FieldsSeq(names) {
			shown[name] = true
		}
		return "<!-- scripts: " + names + " -->\n" + tableOf(t, strings.Fields(names)) + "<!-- end of scripts -->"
	})
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	require.NoError(t, err)
	for _, file := range files {
		assert.True(t, shown[strings.TrimSuffix(filepath.Base(file), ".txtar")], "no table shows %s", file)
	}
	if *rewrite {
		require.NoError(t, os.WriteFile("README.md", []byte(made), 0o600))
		return
	}
	assert.Equal(t, made, text, "run go test -rewrite and inspect the diff")
}

// tableOf has a row for each script: all that it sends, and all that comes out.
func tableOf(t *testing.T, names []string) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("\n| What | In | Out |\n|---|---|---|\n")
	for _, name := range names {
		file := "testdata/scripts/" + name + ".txtar"
		s := loadScript(t, file)
		if *rewrite {
			synctest.Test(t, func(t *testing.T) { s.play(t) })
		}
		var in, out []string
		for _, step := range s.steps {
			words := strings.Fields(step.head)
			for _, line := range step.lines {
				switch words[0] {
				case "traces", "logs", "metrics":
					line = "`" + line + "`"
					if len(words) > 1 {
						line += " refused"
					}
					in = append(in, line)
				case "out":
					out = append(out, "`"+line+"`")
				}
			}
			if words[0] == "load" {
				in = append(in, fmt.Sprintf("%s %s of %s for %s", words[3], words[1], words[2], words[4]))
			}
		}
		if len(out) == 0 {
			out = []string{"nothing"}
		}
		fmt.Fprintf(&text, "| [%s](%s)%s | %s | %s |\n", s.title(), file, configOf(t, s), strings.Join(in, "<br>"), strings.Join(out, "<br>"))
	}
	return text.String() + "\n"
}

// configOf is a script's configuration in one line each.
func configOf(tb testing.TB, s *script) string {
	tb.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(s.config))
	require.NoError(tb, err)
	conf, err := retrieved.AsConf()
	require.NoError(tb, err)
	all := conf.ToStringMap()
	rules, _ := all["rules"].([]any)
	delete(all, "rules")
	var list []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list = append(list, "<br>`"+key+": "+flow(all[key])+"`")
	}
	for _, one := range rules {
		rule, ok := one.(map[string]any)
		require.True(tb, ok)
		delete(rule, "name")
		list = append(list, "<br>`"+flow(rule)+"`")
	}
	return strings.Join(list, "")
}

var plainYAML = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`)

// flow writes a value as YAML in one line.
func flow(value any) string {
	switch v := value.(type) {
	case map[string]any:
		var list []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			list = append(list, key+": "+flow(v[key]))
		}
		return "{" + strings.Join(list, ", ") + "}"
	case []any:
		var list []string
		for _, one := range v {
			list = append(list, flow(one))
		}
		return "[" + strings.Join(list, ", ") + "]"
	case string:
		if d, err := time.ParseDuration(v); err != nil || d < 0 {
			if !plainYAML.MatchString(v) {
				return fmt.Sprintf("%q", v)
			}
		}
		return v
	default:
		return fmt.Sprint(v)
	}
}

// TestReadmeOptions compares the table of options with the defaults.
func TestReadmeOptions(t *testing.T) {
	defaults := confmap.New()
	require.NoError(t, defaults.Marshal(createDefaultConfig()))
	var documented []string
	for _, row := range tableRows(chapter(t, readme(t), "Options"), "[a-z_.]+") {
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

// ruleKeys lists the keys of a struct of a rule that YAML has, with those below
// them.
func ruleKeys(prefix string, of reflect.Type) (keys []string) {
	for field := range of.Fields() {
		name := field.Tag.Get("mapstructure")
		if name == "-" {
			continue
		}
		below := field.Type
		if below.Kind() == reflect.Slice || below.Kind() == reflect.Pointer {
			below = below.Elem()
		}
		if below.Kind() == reflect.Struct {
			keys = append(keys, ruleKeys(prefix+name+".", below)...)
		} else {
			keys = append(keys, prefix+name)
		}
	}
	return keys
}

// TestReadmeRules compares the reference of rules with policy.SamplingRule, and
// its defaults with those that are filled in.
func TestReadmeRules(t *testing.T) {
	var documented []string
	stated := map[string]string{}
	for _, row := range tableRows(chapter(t, readme(t), "Rules"), "[a-z_.]+(?:`, `[a-z_.]+)*") {
		for key := range strings.SplitSeq(unquote(row[0]), "`, `") {
			documented = append(documented, key)
			stated[key] = unquote(row[1])
		}
	}
	assert.ElementsMatch(t, ruleKeys("", reflect.TypeFor[policy.SamplingRule]()), documented)

	filled := policy.SamplingRule{DeadBand: &policy.DeadBand{}, Series: &policy.SeriesSample{}, Budget: &policy.Budget{}}.WithDefaults()
	for key, value := range map[string]any{
		"mode": filled.Mode, "dead_band.predictor": filled.DeadBand.Predictor, "dead_band.corners": *filled.DeadBand.Corners,
		"dead_band.heartbeat": filled.DeadBand.Heartbeat, "dead_band.range": fmt.Sprintf("%d heartbeats", filled.DeadBand.Range/filled.DeadBand.Heartbeat),
		"series.weigh": filled.Series.Weigh, "series.attribute": filled.Series.Attribute, "series.seed": filled.Series.Seed,
		"budget.floor": filled.Budget.Floor, "budget.ceiling": filled.Budget.Ceiling,
	} {
		want := fmt.Sprint(value)
		if d, is := value.(policy.Duration); is {
			want = fmt.Sprintf("%.0fs", d.Std().Seconds())
		}
		assert.Equal(t, want, stated[key], key)
	}
}

// TestReadmeTelemetry compares the table of metrics with metadata.yaml.
func TestReadmeTelemetry(t *testing.T) {
	conf, err := confmaptest.LoadConf("metadata.yaml")
	require.NoError(t, err)
	metrics, ok := conf.Get("telemetry::metrics").(map[string]any)
	require.True(t, ok)
	rows := tableRows(chapter(t, readme(t), "Telemetry"), "otelcol_[a-z_]+")
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
}

// TestReadmeReasons compares the table of reasons with those that there are.
func TestReadmeReasons(t *testing.T) {
	want := map[string][]string{}
	add := func(signal, fate string, list []reason) {
		for _, r := range list {
			key := fate + " " + string(r)
			want[key] = append(want[key], signal)
		}
	}
	for signal, r := range map[string]reasons{
		policy.SignalTraces: tracesReasons, policy.SignalLogs: logsReasons, policy.SignalMetrics: metricsReasons,
	} {
		add(signal, "kept", r.kept)
		add(signal, "left out", r.leftOut)
		add(signal, "irregular", r.irregular)
	}
	documented := map[string][]string{}
	for _, row := range tableRows(chapter(t, readme(t), "Reasons"), "[a-z_]+") {
		key := row[1] + " " + unquote(row[0])
		documented[key] = strings.Split(row[2], ", ")
	}
	for key, signals := range want {
		assert.ElementsMatch(t, signals, documented[key], key)
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(documented)))
}

// TestReadmeExamples starts the processors of every example.
func TestReadmeExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	require.Greater(t, len(blocks), 3)
	for _, block := range blocks {
		retrieved, err := confmap.NewRetrievedFromYAML([]byte(block[1]))
		require.NoError(t, err, block[1])
		conf, err := retrieved.AsConf()
		require.NoError(t, err, block[1])
		processors, err := conf.Sub("processors")
		require.NoError(t, err)
		began := 0
		for name := range processors.ToStringMap() {
			var id component.ID
			require.NoError(t, id.UnmarshalText([]byte(name)))
			if id.Type() != metadata.Type {
				continue
			}
			sub, err := processors.Sub(name)
			require.NoError(t, err)
			cfg, err := readConfig(sub)
			require.NoError(t, err, block[1])
			if cfg.Storage != nil {
				assert.True(t, conf.IsSet("extensions::"+cfg.Storage.String()), block[1])
			}
			host := newStorageHost(t, t.TempDir())
			host[controlID] = newControlPlane()
			f := newFrame(t, "{}", host)
			f.create(cfg, nil)
			f.start().shutdown()
			began++
		}
		assert.Positive(t, began, block[1])
	}
}

// TestReadmeLines keeps the numbers of the text in step with the code.
func TestReadmeLines(t *testing.T) {
	text := strings.Join(strings.Fields(readme(t)), " ")
	for _, line := range []string{
		fmt.Sprintf("within %s of a change", strings.Replace(pollInterval.String(), "ms", " ms", 1)),
		fmt.Sprintf("beyond %d services, %#q", maxClasses, otherClass),
		fmt.Sprintf("the %d keys by which most came", maxKeysShown),
		fmt.Sprintf("%.0fs to %.0fh", minInterval.Seconds(), maxInterval.Hours()),
	} {
		assert.Contains(t, text, line)
	}
}
