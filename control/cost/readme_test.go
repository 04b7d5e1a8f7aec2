package cost

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/phoenix-platform/phoenix/internal/sketch"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(text)
}

// blocks returns the code blocks of the README in a language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	var list []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(readme(t), -1) {
		list = append(list, m[1])
	}
	return list
}

func TestReadmeExample(t *testing.T) {
	var m Model
	require.NoError(t, yaml.Unmarshal([]byte(blocks(t, "yaml")[0]), &m))
	require.NoError(t, m.Validate())
	minutely := func(metric, metricType string, series uint64) Item {
		return item(metric, metricType, series, float64(series)/60)
	}
	const duration = "http.server.request.duration"
	u := Usage{Items: []Item{minutely(duration, typeSum, 90_000), minutely("db.client.calls", typeSum, 40_000), minutely("up", typeGauge, 10_000)}}

	var shares strings.Builder
	line := func(metric string, series any, average, marginal any) {
		row := fmt.Sprintf("%-28s %7v %10v %11v", metric, series, average, marginal)
		shares.WriteString(strings.TrimRight(row, " ") + "\n")
	}
	a := m.ByMetric(u)
	line("metric", "series", "average", "marginal")
	for _, s := range a.Shares {
		line(s.Metric, s.Series, s.Average, s.Marginal)
	}
	line("fixed", "", a.Fixed, "")
	line("bill", u.Series(), a.Month, "")
	text := blocks(t, "text")
	assert.Equal(t, text[0], shares.String())

	var savings strings.Builder
	savings.WriteString("drop resource.pod of " + duration + ": 90000 -> 9000 series\n")
	effect := Effect{Key: Key{Metric: duration}, After: Exactly(9000)}
	s := saving(t, m, u, []Effect{effect}, Assumptions{})
	fmt.Fprintf(&savings, "%-11s saves %s a month\n", s.Basis, s.Month.Expected)
	u.Items[0].StandardError = sketch.StandardError(15) * 90_000
	effect.After.StandardError = sketch.StandardError(15) * 9000
	s = saving(t, m, u, []Effect{effect}, Assumptions{})
	fmt.Fprintf(&savings, "%-11s saves %s a month, %s to %s\n", s.Basis, s.Month.Expected, s.Month.Low, s.Month.High)
	assert.Equal(t, text[1], savings.String())
}

func TestReadmeListsEveryKey(t *testing.T) {
	var want []string
	var walk func(prefix string, typ reflect.Type)
	walk = func(prefix string, typ reflect.Type) {
		for f := range typ.Fields() {
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			assert.True(t, strings.HasPrefix(f.Tag.Get("json"), key), "%s has one name", key)
			switch {
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
				if key == "tiers" {
					want = append(want, prefix+key)
				}
				walk(prefix+key+"[].", f.Type.Elem())
			case f.Type.Kind() == reflect.Struct:
				walk(prefix+key+".", f.Type)
			default:
				want = append(want, prefix+key)
			}
		}
	}
	walk("", reflect.TypeFor[Model]())
	var got []string
	_, table, _ := strings.Cut(readme(t), "| Key |")
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.SplitSeq(table, "\n") {
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			got = append(got, m[1])
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	assert.Equal(t, want, got)
}

func TestReadmeNamesEveryKindAndPreset(t *testing.T) {
	presets, err := Presets()
	require.NoError(t, err)
	for _, m := range presets {
		assert.Contains(t, readme(t), "`"+m.Name+"`")
	}
	for _, kind := range kinds {
		assert.Contains(t, readme(t), "\n| `"+string(kind)+"` |")
	}
}
