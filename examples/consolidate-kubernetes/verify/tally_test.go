package main

import (
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/examples/consolidate-kubernetes/playlist"
	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

const bothFolders = "../../kube-apiserver/rounds,../rounds"

// playExample plays all rounds of the example under its rules.
func playExample(t *testing.T, starts bool) *tally {
	t.Helper()
	steps, err := playlist.Read(bothFolders, playlist.Again)
	require.NoError(t, err)
	var played []playlist.Played
	for _, s := range steps {
		played = append(played, s.Played())
	}
	config, err := os.ReadFile("../config.yaml")
	require.NoError(t, err)
	rules, err := readRules(config)
	require.NoError(t, err)
	tally, err := playAll(&options{folders: bothFolders, starts: starts}, rules, played)
	require.NoError(t, err)
	return tally
}

// playTexts plays rounds written by hand; a text that begins with ! begins the
// second pass.
func playTexts(t *testing.T, rules []rule, starts bool, texts ...string) *tally {
	t.Helper()
	tally, pass := newTally(rules, starts), 1
	for _, text := range texts {
		if text[0] == '!' {
			text, pass = text[1:], 2
		}
		round, err := readRound(capture.Round{Name: "by hand", Text: []byte(text)})
		require.NoError(t, err)
		require.NoError(t, tally.play(round, pass))
	}
	return tally
}

// floats are the expected numbers of a label set.
func floats(t *testing.T, tally *tally, name string) numbers {
	t.Helper()
	require.Contains(t, tally.kept, name)
	got := numbers{}
	for n, v := range tally.expected(tally.kept[name]) {
		got[n], _ = v.exact.Float64()
	}
	return got
}

const dropPod = "      - {name: a, match: {metric: '*'}, attributes: {drop: [pod]}, gauge: sum}\n"

func TestIncreasesOfCounters(t *testing.T) {
	const head = "# TYPE c counter\n"
	for name, tc := range map[string]struct {
		rounds         []string
		without, since float64 // without and with start times
	}{
		"the first point is the base line": {[]string{`c{pod="a"} 5`}, 0, 5},
		"growth":                           {[]string{`c{pod="a"} 5`, `c{pod="a"} 7`}, 2, 7},
		"two inputs, one later":            {[]string{`c{pod="a"} 5`, "c{pod=\"a\"} 7\nc{pod=\"b\"} 100", "c{pod=\"a\"} 7\nc{pod=\"b\"} 101"}, 3, 108},
		"a reset counts in full":           {[]string{`c{pod="a"} 5`, `!c{pod="a"} 3`}, 3, 8},
		"a reset that does not show":       {[]string{`c{pod="a"} 5`, `!c{pod="a"} 9`}, 4, 14},
		"gone and back":                    {[]string{`c{pod="a"} 5`, `c{pod="b"} 1`, `c{pod="a"} 6`}, 1, 7},
		"an empty label is none":           {[]string{`c{pod="a",x=""} 5`, `c{pod="a"} 6`}, 1, 6},
	} {
		t.Run(name, func(t *testing.T) {
			for i, text := range tc.rounds {
				if text[0] == '!' {
					tc.rounds[i] = "!" + head + text[1:] + "\n"
				} else {
					tc.rounds[i] = head + text + "\n"
				}
			}
			rules := rulesOf(t, dropPod)
			assert.Equal(t, numbers{{kind: value}: tc.without}, floats(t, playTexts(t, rules, false, tc.rounds...), "c{}"))
			assert.Equal(t, numbers{{kind: value}: tc.since}, floats(t, playTexts(t, rules, true, tc.rounds...), "c{}"))
		})
	}
}

// A histogram's lines are one point: a reset that shows in one bucket is one of
// all.
func TestIncreasesOfHistograms(t *testing.T) {
	rules := rulesOf(t, "      - {name: a, match: {metric: h}, attributes: {drop: [pod]}, buckets: {keep_bounds: [1, 7]}}\n")
	const first = "# TYPE h histogram\n" +
		`h_bucket{pod="a",le="1"} 1` + "\n" + `h_bucket{pod="a",le="2"} 2` + "\n" + `h_bucket{pod="a",le="+Inf"} 3` + "\n" +
		`h_sum{pod="a"} 10.5` + "\n" + `h_count{pod="a"} 3` + "\n"
	const grown = "# TYPE h histogram\n" +
		`h_bucket{pod="a",le="1"} 1` + "\n" + `h_bucket{pod="a",le="2"} 4` + "\n" + `h_bucket{pod="a",le="+Inf"} 6` + "\n" +
		`h_sum{pod="a"} 20.75` + "\n" + `h_count{pod="a"} 6` + "\n"
	inf := number{bucket, math.Inf(1)}
	assert.Equal(t, numbers{{bucket, 1}: 0, inf: 3, {kind: count}: 3, {kind: sum}: 10.25},
		floats(t, playTexts(t, rules, false, first, grown), "h{}"))
	assert.Equal(t, numbers{{bucket, 1}: 1, inf: 6, {kind: count}: 6, {kind: sum}: 20.75},
		floats(t, playTexts(t, rules, true, first, grown), "h{}"))
	assert.Equal(t, numbers{{bucket, 1}: 1, inf: 3, {kind: count}: 3, {kind: sum}: 10.5},
		floats(t, playTexts(t, rules, false, grown, first), "h{}"), "the first bucket did not fall, the count did")
	_, err := readRound(capture.Round{Text: []byte(first + first)})
	require.Error(t, err)
}

// Numbers that are not there in all inputs cannot be added up.
func TestOnlySharedBoundsAreExpected(t *testing.T) {
	const round = "# TYPE h histogram\n" +
		`h_bucket{pod="a",le="1"} 1` + "\n" + `h_bucket{pod="a",le="+Inf"} 3` + "\n" + `h_sum{pod="a"} 1` + "\n" + `h_count{pod="a"} 3` + "\n" +
		`h_bucket{pod="b",le="1"} 1` + "\n" + `h_bucket{pod="b",le="2"} 1` + "\n" + `h_bucket{pod="b",le="+Inf"} 1` + "\n" +
		`h_sum{pod="b"} 1` + "\n" + `h_count{pod="b"} 1` + "\n"
	tally := playTexts(t, rulesOf(t, dropPod), true, round)
	assert.Equal(t, numbers{{bucket, 1}: 2, {bucket, math.Inf(1)}: 4, {kind: count}: 4, {kind: sum}: 2}, floats(t, tally, "h{}"))
}

func TestGaugesMergeTheirLatestValues(t *testing.T) {
	const one, two = "# TYPE g gauge\ng{pod=\"a\"} 4\ng{pod=\"b\"} 2.5\n", "# TYPE g gauge\ng{pod=\"a\"} 3\n"
	for policy, want := range map[string][3]float64{"sum": {6.5, 3, 5.5}, "max": {4, 3, 3}, "min": {2.5, 3, 2.5}} {
		rules := rulesOf(t, "      - {name: a, match: {metric: g}, attributes: {drop: [pod]}, gauge: "+policy+"}\n")
		assert.Equal(t, numbers{{kind: value}: want[0]}, floats(t, playTexts(t, rules, false, one), "g{}"), policy)
		assert.Equal(t, numbers{{kind: value}: want[1]}, floats(t, playTexts(t, rules, false, one, two), "g{}"), policy)
		assert.Equal(t, numbers{{kind: value}: want[2]}, floats(t, playTexts(t, rules, true, one, two), "g{}"), "%s: silent is not gone", policy)
	}
}

func TestWhatCannotBeAddedUpIsRefused(t *testing.T) {
	for want, texts := range map[string][]string{
		"value is NaN":         {"# TYPE c counter\nc NaN\n"},
		"has 5 numbers, had 4": {"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"},
		"has bucket 2, had not": {
			"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
			"# TYPE h histogram\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
		},
	} {
		tally := newTally(rulesOf(t, dropPod), false)
		var err error
		for _, text := range texts {
			round, parsed := readRound(capture.Round{Text: []byte(text)})
			require.NoError(t, parsed)
			err = tally.play(round, 1)
		}
		require.ErrorContains(t, err, want)
	}
}

// The example's own numbers: they are in its README and in the end-to-end test.
func TestTheRulesSaveNinetyPercent(t *testing.T) {
	tally := playExample(t, false)
	before, after := 0, 0
	for _, all := range tally.series {
		before += len(all)
	}
	for _, k := range tally.kept {
		after += len(tally.expected(k))
	}
	for name, in := range tally.inputs {
		if in.into == nil {
			after += len(tally.series[name])
		}
	}
	t.Logf("%d series before, %d after", before, after)
	families, err := countExample()
	require.NoError(t, err)
	assert.Equal(t, families, before, "by the other count of the same text")
	assert.GreaterOrEqual(t, 1-float64(after)/float64(before), 0.9)
}

func countExample() (series int, err error) {
	steps, err := playlist.Read(bothFolders, 0)
	if err != nil {
		return 0, err
	}
	var rounds []capture.Round
	for _, s := range steps {
		rounds = append(rounds, s.Round)
	}
	families, err := capture.Count(rounds...)
	for _, f := range families {
		series += f.Series
	}
	return series, err
}
