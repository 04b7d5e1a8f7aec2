package cardinality

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// naive counts with sets of strings: no hash, no window, no index.
type naive struct {
	backend Backend
	seen    []naiveSeries
}

type naiveSeries struct {
	attrs []attr
	parts []uint64
}

func (n *naive) identity(s naiveSeries, without string) string {
	var parts []string
	for _, a := range s.attrs {
		_, isLabel := n.backend.Label(a.domain, a.key)
		if !isLabel || a.key == without || !n.backend.Streams() && a.value == "" {
			continue
		}
		parts = append(parts, fmt.Sprintf("%d/%q=%q", a.domain, a.key, a.value))
	}
	sort.Strings(parts)
	return strings.Join(parts, ",")
}

func (n *naive) series(without string) uint64 {
	set := map[string]bool{}
	for _, s := range n.seen {
		for _, p := range s.parts {
			set[fmt.Sprint(n.identity(s, without), "#", p)] = true
		}
	}
	return uint64(len(set))
}

func (n *naive) streams() uint64 {
	set := map[string]bool{}
	for _, s := range n.seen {
		var parts []string
		for _, a := range s.attrs {
			parts = append(parts, fmt.Sprintf("%d/%q=%q", a.domain, a.key, a.value))
		}
		sort.Strings(parts)
		set[strings.Join(parts, ",")] = true
	}
	return uint64(len(set))
}

func (n *naive) distinct(d series.Domain, key string) uint64 {
	set := map[string]bool{}
	for _, s := range n.seen {
		for _, a := range s.attrs {
			_, isLabel := n.backend.Label(a.domain, a.key)
			if a.domain == d && a.key == key && (a.value != "" || !isLabel || n.backend.Streams()) {
				set[a.value] = true
			}
		}
	}
	return uint64(len(set))
}

func drawSeries(t *rapid.T) naiveSeries {
	var s naiveSeries
	for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 0, 5, rapid.ID).Draw(t, "keys") {
		domain := series.Point
		if key == "e" {
			domain = series.Resource
		}
		s.attrs = append(s.attrs, attr{domain, key, rapid.SampledFrom([]string{"", "1", "2", "3"}).Draw(t, "value")})
	}
	// The parts follow from the labels, as the bounds of a real histogram do.
	s.parts = [][]uint64{{1}, {1, 2, 3}, {2, 3, 4, 5}}[rapid.IntRange(0, 2).Draw(t, "parts")]
	return s
}

// TestExactCountsEqualSets: for any small stream every number is that of plain
// sets, whatever the order of points and attributes.
func TestExactCountsEqualSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		backend := rapid.SampledFrom([]Backend{streams{}, labels{}}).Draw(t, "backend")
		want := &naive{backend: backend}
		byStream := map[string]int{}
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			s := drawSeries(t)
			id := (&naive{backend: streams{}}).identity(s, "-")
			if i, known := byStream[id]; known { // one stream has one list of bounds at a time
				s.parts = want.seen[i].parts
			}
			byStream[id] = len(want.seen)
			want.seen = append(want.seen, s)
		}
		r := newSeededRig(rapid.Uint64().Draw(t, "seed"), func(s *Settings) { s.Backend = backend })
		shuffled := slices.Clone(want.seen)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "shuffle"), 0))
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for _, s := range append(shuffled, want.seen...) { // every point twice
			rng.Shuffle(len(s.attrs), func(i, j int) { s.attrs[i], s.attrs[j] = s.attrs[j], s.attrs[i] })
			r.send("m", "", s.parts, s.attrs)
		}
		all := r.Report(r.now, 4, nil).Metrics
		require.Len(t, all, 1)
		a := all[0].Analysis
		require.Equal(t, want.streams(), a.Streams)
		require.Equal(t, want.series("-"), a.Series)
		for _, c := range a.Attributes {
			require.Equal(t, want.distinct(c.Domain, c.Key), c.Distinct, c.Key)
			if c.Label != "" {
				require.Equal(t, want.series(c.Key), c.Without, "without %s", c.Key)
			} else {
				require.Equal(t, a.Series, c.Without, "no label: %s", c.Key)
			}
		}
	})
}

// TestSketchesEqualRowsWithinTwoPercent: the same stream, counted by rows and
// by sketches, with histograms of two bounds, a key that comes late and series
// that lack keys.
func TestSketchesEqualRowsWithinTwoPercent(t *testing.T) {
	r := newRig(t, nil)
	want := &naive{backend: labels{}}
	send := func(parts []uint64, attrs ...attr) {
		want.seen = append(want.seen, naiveSeries{attrs, parts})
		r.send("m", "", parts, attrs)
	}
	for i := range 3 * ExactSeries {
		parts := []uint64{1, 2, 3, 4}
		attrs := []attr{point("id", strconv.Itoa(i%9000)), point("shard", strconv.Itoa(i/9000)), {series.Resource, "host", strconv.Itoa(i % 50)}}
		if i%3 == 0 {
			parts = []uint64{1, 2, 5}
		}
		if i > 2*ExactSeries {
			attrs = append(attrs, point("late", strconv.Itoa(i%2)))
		}
		send(parts, attrs...)
	}
	a := r.only(t, "m").Analysis
	require.True(t, a.Estimated)
	n := float64(want.series("-"))
	require.InDelta(t, n, float64(a.Series), 0.02*n)
	require.Equal(t, want.streams(), a.Streams, "streams are exact at any size")
	for _, key := range []string{"id", "shard", "late"} {
		require.InDelta(t, float64(want.series(key)), float64(a.attribute(t, key).Without), 0.02*n, key)
	}
	require.Equal(t, a.Series, a.attribute(t, "host").Without, "no label")
	require.EqualValues(t, 50, a.attribute(t, "host").Distinct)
	require.EqualValues(t, 3, a.attribute(t, "shard").Distinct)
	require.InDelta(t, 9000, float64(a.attribute(t, "id").Distinct), 300)
}
