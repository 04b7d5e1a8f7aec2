package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

var countOnce = sync.OnceValues(func() (map[string]*capture.Family, error) {
	rounds, err := capture.Read(os.DirFS("../rounds"))
	if err != nil {
		return nil, err
	}
	return capture.Count(rounds...)
})

func countRounds(t *testing.T) map[string]*capture.Family {
	t.Helper()
	families, err := countOnce()
	require.NoError(t, err)
	return families
}

// expectedRow writes a family as phoenixctl top does, if these labels go.
func expectedRow(f *capture.Family, dropped string) []string {
	saved := f.Series - f.SeriesWithout(strings.Split(dropped, "+")...)
	return []string{
		f.Name, commas(f.Series), commas(f.Streams), dropped,
		commas(saved), fmt.Sprintf("%.1f%%", 100*float64(saved)/float64(f.Series)),
	}
}

// commas is enough for numbers below a million.
func commas(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// The expected output is right by a count that shares nothing with Phoenix: the
// largest families, in order, and a label or group that saves as much as any
// label does.
func TestExpectedTopAgreesWithTheOracle(t *testing.T) {
	families := countRounds(t)
	largest := slices.SortedFunc(maps.Values(families), func(a, b *capture.Family) int { return cmp.Compare(b.Series, a.Series) })
	text, err := os.ReadFile("../expected/top.txt")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Len(t, lines, 11)
	for i, line := range lines[1:] {
		row := strings.Fields(line)
		require.Len(t, row, 6)
		f := largest[i]
		assert.Equal(t, expectedRow(f, row[3]), row)
		without := f.SeriesWithout(strings.Split(row[3], "+")...)
		for label, count := range f.Labels {
			assert.LessOrEqual(t, without, count.SeriesWithout, "%s without %s", f.Name, label)
		}
	}
}

// The tables in the README hold the expected numbers.
func TestReadmeShowsTheExpectedNumbers(t *testing.T) {
	families := countRounds(t)
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	request := families["apiserver_request_duration_seconds"]
	metrics, labels := 0, 0
	for line := range strings.Lines(string(text)) {
		row := strings.Fields(line)
		switch {
		case len(row) == 6 && families[row[0]] != nil:
			metrics++
			assert.Equal(t, expectedRow(families[row[0]], row[3]), row)
		case len(row) == 7 && row[1] == "datapoint":
			labels++
			l, saved := request.Labels[row[0]], request.Series-request.Labels[row[0]].SeriesWithout
			assert.Equal(t, []string{
				row[0], "datapoint", row[0], commas(l.Distinct), commas(l.SeriesWithout),
				commas(saved), fmt.Sprintf("%.1f%%", 100*float64(saved)/float64(request.Series)),
			}, row)
		}
	}
	assert.Equal(t, 5, metrics)
	assert.Equal(t, len(request.Labels), labels)
}
