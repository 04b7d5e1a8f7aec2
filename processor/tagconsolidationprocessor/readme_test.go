package tagconsolidationprocessor

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor/internal/metadata"
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
	tables := 0
	made := scriptTable.ReplaceAllStringFunc(text, func(found string) string {
		tables++
		names := scriptTable.FindStringSubmatch(found)[1]
		return "<!-- scripts: " + names + " -->\n" + tableOf(t, strings.Fields(names)) + "<!-- end of scripts -->"
	})
	require.Greater(t, tables, 6)
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
			s.play(t)
		}
		var in, out []string
		for i := range s.steps {
			word, _, _ := strings.Cut(s.steps[i].head, " ")
			for _, line := range s.steps[i].lines {
				switch word {
				case "send":
					in = append(in, "`"+line+"`")
				case "passed":
					out = append(out, "at once: `"+line+"`")
				case "edge", "edges", "shutdown":
					out = append(out, "`"+line+"`")
				}
			}
		}
		if len(out) == 0 {
			out = []string{"nothing"}
		}
		fmt.Fprintf(&text, "| [%s](%s)%s | %s | %s |\n", s.title(), file, peculiar(t, s), strings.Join(in, "<br>"), strings.Join(out, "<br>"))
	}
	return text.String() + "\n"
}

// peculiar is what a script's configuration has beside what all have.
func peculiar(tb testing.TB, s *script) string {
	tb.Helper()
	conf, err := fromYAML(s.files["config.yaml"])
	require.NoError(tb, err)
	all := conf.ToStringMap()
	rules, _ := all["rules"].([]any)
	delete(all, "rules")
	delete(all, "interval")
	delete(all, "control")
	if all["writer"] == "none" {
		delete(all, "writer")
	}
	var list []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list = append(list, "<br>`"+key+": "+flow(all[key])+"`")
	}
	for _, one := range rules {
		rule, ok := one.(map[string]any)
		require.True(tb, ok)
		if len(rules) == 1 {
			delete(rule, "name")
		}
		if match := flow(rule["match"]); match == `{metric: "*"}` || len(rules) == 1 && !strings.Contains(match, ", ") {
			delete(rule, "match")
		}
		if len(rules) == 1 && flow(rule["attributes"]) == "{drop: [pod]}" {
			delete(rule, "attributes")
		}
		if len(rule) > 0 {
			list = append(list, "<br>`"+flow(rule)+"`")
		}
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
		if !plainYAML.MatchString(v) {
			return strings.ReplaceAll(strconv.Quote(v), "|", `\|`)
		}
		return v
	default:
		return fmt.Sprint(v)
	}
}

// TestReadmeNamesScripts: every script that the text links to is there.
func TestReadmeNamesScripts(t *testing.T) {
	links := regexp.MustCompile(`\]\((testdata/[^)]+)\)`).FindAllStringSubmatch(readme(t), -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		_, err := os.Stat(link[1])
		assert.NoError(t, err)
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

// ruleKeys lists the keys of a struct of a rule, with those below them.
func ruleKeys(prefix string, of reflect.Type) (keys []string) {
	for field := range of.Fields() {
		key := prefix + field.Tag.Get("mapstructure")
		below := field.Type
		if below.Kind() == reflect.Slice {
			below = below.Elem()
		}
		if below.Kind() == reflect.Pointer {
			below = below.Elem()
		}
		if below.Kind() == reflect.Struct {
			keys = append(keys, ruleKeys(key+".", below)...)
		} else {
			keys = append(keys, key)
		}
	}
	return keys
}

// TestReadmeRules compares the reference of rules with policy.Rule.
func TestReadmeRules(t *testing.T) {
	var documented []string
	for _, row := range tableRows(chapter(t, readme(t), "Rules"), "[a-z_.]+(?:`, `[a-z_.]+)*") {
		documented = append(documented, strings.Split(unquote(row[0]), "`, `")...)
	}
	assert.ElementsMatch(t, ruleKeys("", reflect.TypeFor[policy.Rule]()), documented)
}

// provedBy says whether a script expects a counter with these attributes.
func provedBy(tb testing.TB, counter, key, value string) bool {
	tb.Helper()
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	require.NoError(tb, err)
	attribute := regexp.MustCompile(`^` + counter + `\{(.*,)?` + key + `=` + value + `(,.*)?\} [1-9]`)
	return slices.ContainsFunc(files, func(file string) bool {
		return slices.ContainsFunc(loadScript(tb, file).shown("counters"), attribute.MatchString)
	})
}

// TestReadmeVerdicts compares the table of what points are in their streams.
func TestReadmeVerdicts(t *testing.T) {
	var documented []string
	for _, row := range tableRows(chapter(t, readme(t), "What a point is in its stream"), "[a-z_]+") {
		documented = append(documented, unquote(row[0]))
		assert.True(t, provedBy(t, "consolidated_points", "verdict", unquote(row[0])), "no script shows %s", row[0])
	}
	want := []string{"stale_marker", "handed_over"}
	for _, v := range spatial.Verdicts() {
		if !v.Refused() {
			want = append(want, v.String())
		}
	}
	assert.ElementsMatch(t, want, documented)
}

// unreachable are reasons that a point cannot come to have: its time is in the
// future first, and histograms without common bounds are kept apart.
var unreachable = []string{spatial.TimeOutOfRange.String(), spatial.NoCommonBounds.String()}

// TestReadmeReasons compares the table of points that are not counted.
func TestReadmeReasons(t *testing.T) {
	want := map[string][]string{}
	for r := range passReasons {
		want["passed"] = append(want["passed"], r.String())
	}
	for r := range dropReasons {
		want["dropped"] = append(want["dropped"], r.String())
	}
	for _, v := range spatial.Verdicts() {
		if v.Refused() && !slices.Contains(unreachable, v.String()) {
			want["dropped"] = append(want["dropped"], v.String())
		}
	}
	documented := map[string][]string{}
	for _, row := range tableRows(chapter(t, readme(t), "Points that are not counted"), "[a-z_]+") {
		reason, fate := unquote(row[0]), row[1]
		documented[fate] = append(documented[fate], reason)
		assert.True(t, provedBy(t, fate+"_points", "reason", reason), "no script shows %s", reason)
	}
	for fate := range want {
		assert.ElementsMatch(t, want[fate], documented[fate], fate)
	}
	assert.Len(t, documented, len(want))
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

// TestReadmeExamples begins the processors of every example.
func TestReadmeExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	require.Greater(t, len(blocks), 4)
	for _, block := range blocks {
		conf, err := fromYAML(block[1])
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
			cfg := createDefaultConfig().(*Config) //nolint:forcetypeassert // it is
			require.NoError(t, sub.Unmarshal(cfg), block[1])
			require.NoError(t, confmap.Validate(cfg), block[1])
			if cfg.Storage != nil {
				assert.True(t, conf.IsSet("extensions::"+cfg.Storage.String()), block[1])
			}
			s := &stage{rig: &rig{t: t, now: epoch, host: newScriptHost(t)}, cfg: cfg}
			require.NoError(t, s.begin(), block[1])
			s.die()
			began++
		}
		assert.Positive(t, began, block[1])
	}
}

// TestReadmeLines keeps the numbers of the text in step with the code.
func TestReadmeLines(t *testing.T) {
	text := strings.Join(strings.Fields(readme(t)), " ")
	for _, line := range []string{
		fmt.Sprintf("more than %d minutes ahead", maxAhead/60e9),
		fmt.Sprintf("at most %d exemplars", exemplarRows),
		fmt.Sprintf("%d buckets a side", spatial.DefaultBuckets),
		fmt.Sprintf("longer than %d", spatial.MaxListed),
		fmt.Sprintf("a scale outside %d to %d", spatial.MinScale, spatial.MaxScale),
	} {
		assert.Contains(t, text, line)
	}
}
