package template_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/sampling/template"
)

// line is one that a real server wrote; see testdata/lines.tsv.
type line struct{ source, label, text string }

func readLines(tb testing.TB) (list []line) {
	tb.Helper()
	file, err := os.ReadFile("testdata/lines.tsv")
	require.NoError(tb, err)
	source := ""
	for text := range strings.Lines(string(file)) {
		text = strings.TrimSuffix(text, "\n")
		if name, is := strings.CutPrefix(text, "# "); is {
			source = name
			continue
		}
		label, message, labeled := strings.Cut(text, "\t")
		require.True(tb, labeled, text)
		list = append(list, line{source, source + "/" + label, message})
	}
	require.Greater(tb, len(list), 200)
	return list
}

// TestLabeledLines measures grouping accuracy: the share of lines whose group is
// exactly the one that the labels make. What is short of 1 are bare words that
// vary: names of packages in the log of dpkg, of flags in that of vmagent.
func TestLabeledLines(t *testing.T) {
	lines := readLines(t)
	floors := map[string]float64{
		"PostgreSQL 15": 1, "Prometheus 3, debug": 1, "Phoenix Collector, debug, JSON": 0.95, "vmagent 1.151": 0.84, "dpkg": 0.2,
	}
	right, all := map[string]float64{}, map[string]float64{}
	found, labels := groups(lines, func(l line) string { return l.source + string(template.Append(nil, l.text)) }),
		groups(lines, func(l line) string { return l.label })
	for i, l := range lines {
		all[l.source]++
		if assert.ObjectsAreEqual(found[i], labels[i]) {
			right[l.source]++
		}
	}
	for source, floor := range floors {
		t.Logf("%s: grouping accuracy %.3f of %g lines", source, right[source]/all[source], all[source])
		assert.GreaterOrEqual(t, right[source]/all[source]+1e-9, floor, source)
	}
	assert.Len(t, all, len(floors))
}

// groups returns for each line which lines are of its group.
func groups(lines []line, of func(line) string) [][]int {
	members := map[string][]int{}
	for i, l := range lines {
		members[of(l)] = append(members[of(l)], i)
	}
	list := make([][]int, len(lines))
	for i, l := range lines {
		list[i] = members[of(l)]
	}
	return list
}

// FuzzMask looks for panics, for templates out of bounds, and for ones that depend
// on what the buffer held before.
func FuzzMask(f *testing.F) {
	for _, l := range readLines(f)[:40] {
		f.Add(l.text)
	}
	f.Add(`{"a":"`)
	f.Add(`msg="\"`)
	f.Add("user ")
	f.Add("\xff=\x00'\"`(((((")
	f.Fuzz(func(t *testing.T, message string) {
		before := []byte("before")
		got := template.Append(before, message)
		require.Equal(t, "before", string(got[:6]))
		require.LessOrEqual(t, len(got)-6, 256)
		require.Equal(t, string(template.Append(nil, message)), string(got[6:]))
	})
}
