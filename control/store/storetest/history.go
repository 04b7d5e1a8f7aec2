package storetest

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

func (l *lab) sample(tb testing.TB, at time.Time, name string, value float64) store.Appended {
	tb.Helper()
	count, err := l.AppendSamples(tb.Context(), []store.Sample{{Time: at, Kind: "series", Key: name, Value: value}})
	require.NoError(tb, err)
	return count
}

func (l *lab) points(tb testing.TB, name string, step time.Duration) []store.HistoryPoint {
	tb.Helper()
	points, err := l.GetHistory(tb.Context(), store.HistoryQuery{Kind: "series", Key: name, Step: step})
	require.NoError(tb, err)
	return points
}

func fine(at time.Time, value float64) store.HistoryPoint {
	return store.HistoryPoint{Time: at, Mean: value, Low: value, High: value, Count: 1}
}

func (e Engine) testHistory(t *testing.T) {
	t.Run("one value for five minutes, the last one", func(t *testing.T) {
		l := newLab(t, e)
		count, err := l.AppendSamples(t.Context(), []store.Sample{
			{Time: Start.Add(time.Minute), Kind: "series", Key: "up", Value: 1},
			{Time: Start.Add(4 * time.Minute), Kind: "series", Key: "up", Value: 0.1},
			{Time: Start.Add(5 * time.Minute), Kind: "series", Key: "up", Value: -3e300},
			{Time: Start, Kind: "cost", Key: "up", Value: math.SmallestNonzeroFloat64},
			{Time: Start, Kind: "series", Key: "a/b", Value: 7},
		})
		require.NoError(t, err)
		assert.Equal(t, store.Appended{Kept: 5}, count)
		assert.Equal(t, []store.HistoryPoint{fine(Start, 0.1), fine(Start.Add(5*time.Minute), -3e300)}, l.points(t, "up", store.FineStep))
		l.sample(t, Start, "up", 2)
		assert.Equal(t, fine(Start, 2), l.points(t, "up", store.FineStep)[0], "a repetition replaces it")
		cost, err := l.GetHistory(t.Context(), store.HistoryQuery{Kind: "cost", Key: "up", Step: store.FineStep})
		require.NoError(t, err)
		assert.Equal(t, []store.HistoryPoint{fine(Start, math.SmallestNonzeroFloat64)}, cost)
		assert.Empty(t, l.points(t, "nobody's", store.FineStep))
		keys, err := l.ListHistoryKeys(t.Context(), "series", store.PageRequest{})
		require.NoError(t, err)
		assert.Equal(t, []string{"a/b", "up"}, keys.Items)
		window, err := l.GetHistory(t.Context(), store.HistoryQuery{
			Kind: "series", Key: "up", Step: store.FineStep, From: Start.Add(5 * time.Minute), To: Start.Add(10 * time.Minute),
		})
		require.NoError(t, err)
		assert.Equal(t, []store.HistoryPoint{fine(Start.Add(5*time.Minute), -3e300)}, window)
	})
	t.Run("what is out of time or beyond the bound is counted", func(t *testing.T) {
		l := newLab(t, e)
		assert.Equal(t, store.Appended{OutOfTime: 1}, l.sample(t, Start.Add(-store.FineKept-time.Second), "old", 1))
		assert.Equal(t, store.Appended{Kept: 1}, l.sample(t, Start.Add(-store.FineKept), "s0", 1))
		assert.Equal(t, store.Appended{OutOfTime: 1}, l.sample(t, Start.Add(15*time.Minute), "new", 1))
		assert.Equal(t, store.Appended{Kept: 1}, l.sample(t, Start.Add(10*time.Minute), "s1", 1))
		for i := 2; i < maxSeries; i++ {
			assert.Equal(t, store.Appended{Kept: 1}, l.sample(t, Start, "s"+strconv.Itoa(i), 1))
		}
		assert.Equal(t, store.Appended{OverLimit: 1}, l.sample(t, Start, "one more", 1))
		assert.Equal(t, store.Appended{Kept: 1}, l.sample(t, Start, "s1", 1))
	})
	t.Run("what is no number is refused as a whole", func(t *testing.T) {
		l := newLab(t, e)
		for _, bad := range []store.Sample{
			{Kind: "series", Key: "up", Value: math.NaN()},
			{Kind: "series", Key: "up", Value: math.Inf(1)},
			{Kind: "", Key: "up"},
			{Kind: "series"},
			{Kind: "series", Key: "a\x00b"},
		} {
			bad.Time = Start
			_, err := l.AppendSamples(t.Context(), []store.Sample{{Time: Start, Kind: "series", Key: "good", Value: 1}, bad})
			require.ErrorIs(t, err, store.ErrInvalid)
		}
		assert.Empty(t, l.points(t, "good", store.FineStep))
		_, err := l.GetHistory(t.Context(), store.HistoryQuery{Step: time.Minute})
		require.ErrorIs(t, err, store.ErrInvalid)
	})
}

func (l *lab) maintain(tb testing.TB) store.Maintenance {
	tb.Helper()
	done, err := l.Maintain(tb.Context())
	require.NoError(tb, err)
	return done
}

func (e Engine) testMaintenance(t *testing.T) {
	t.Run("an hour is rolled up ten minutes after it ended", func(t *testing.T) {
		l := newLab(t, e)
		assert.Equal(t, store.Maintenance{}, l.maintain(t))
		for i := range 12 {
			l.sample(t, Start.Add(time.Duration(i)*store.FineStep), "up", float64(i))
			l.clock.Advance(store.FineStep)
		}
		l.clock.Advance(10*time.Minute - time.Second)
		assert.Equal(t, store.Maintenance{}, l.maintain(t))
		l.clock.Advance(time.Second)
		assert.Equal(t, store.Maintenance{HoursRolled: 1}, l.maintain(t))
		assert.Equal(t, []store.HistoryPoint{{Time: Start, Mean: 5.5, Low: 0, High: 11, Count: 12}}, l.points(t, "up", store.CoarseStep))
		assert.Equal(t, store.Maintenance{}, l.maintain(t))
		l.sample(t, Start.Add(7*time.Minute), "up", 100) // late
		assert.Equal(t, store.Maintenance{HoursRolled: 1}, l.maintain(t))
		assert.Equal(t, []store.HistoryPoint{{Time: Start, Mean: 13.75, Low: 0, High: 100, Count: 12}}, l.points(t, "up", store.CoarseStep))
	})
	t.Run("after a pause all hours are made up for", func(t *testing.T) {
		l := newLab(t, e)
		l.sample(t, Start, "up", 1)
		l.clock.Advance(30 * time.Hour)
		l.sample(t, Start.Add(29*time.Hour), "up", 2)
		l.clock.Advance(20 * 24 * time.Hour)
		l.sample(t, l.clock.Now(), "down", 3)
		done := l.maintain(t)
		assert.Equal(t, store.Maintenance{HoursRolled: 2, SamplesDeleted: 2}, done, "hours without samples cost nothing")
		assert.Equal(t, []store.HistoryPoint{fine(Start, 1), fine(Start.Add(29*time.Hour), 2)}, l.points(t, "up", store.CoarseStep))
		assert.Empty(t, l.points(t, "up", store.FineStep))
		l.clock.Advance(2 * time.Hour)
		assert.Equal(t, store.Maintenance{HoursRolled: 1}, l.maintain(t))
		assert.Len(t, l.points(t, "down", store.CoarseStep), 1)
	})
	t.Run("everything goes in its time", e.testRetention)
	t.Run("expired answers go", func(t *testing.T) {
		l := newLab(t, e)
		for i, hours := range []int{1, 1, 3} {
			require.NoError(t, l.Write(t.Context(), saveResponse(strconv.Itoa(i), Start.Add(time.Duration(hours)*time.Hour))))
		}
		l.clock.Advance(time.Hour)
		assert.Equal(t, store.Maintenance{ResponsesDeleted: 2}, l.maintain(t))
		assert.Equal(t, store.Maintenance{}, l.maintain(t))
	})
}

// testRetention lets half a year pass, with more rows than one transaction
// deletes.
func (e Engine) testRetention(t *testing.T) {
	l := newLab(t, e)
	var samples []store.Sample
	for at := range int(6 * 24 * time.Hour / store.FineStep) {
		samples = append(samples, store.Sample{
			Time: Start.Add(time.Duration(at)*store.FineStep - 6*24*time.Hour), Kind: "series", Key: "up", Value: float64(at),
		})
	}
	count, err := l.AppendSamples(t.Context(), samples)
	require.NoError(t, err)
	assert.Equal(t, store.Appended{Kept: 1728}, count)
	l.clock.Advance(time.Hour)
	assert.Equal(t, store.Maintenance{HoursRolled: 144}, l.maintain(t))
	l.clock.Advance(24*time.Hour + 30*time.Minute)
	assert.Equal(t, store.Maintenance{SamplesDeleted: 12}, l.maintain(t), "whole hours only")
	l.clock.Advance(30 * 24 * time.Hour)
	assert.Equal(t, store.Maintenance{SamplesDeleted: 1716}, l.maintain(t))
	assert.Empty(t, l.points(t, "up", store.FineStep))
	assert.Len(t, l.points(t, "up", store.CoarseStep), 144)
	l.clock.Advance(55 * 24 * time.Hour)
	done := l.maintain(t)
	assert.Positive(t, done.SamplesDeleted)
	assert.Zero(t, done.SeriesDeleted)
	l.clock.Advance(10 * 24 * time.Hour)
	assert.Equal(t, 144-done.SamplesDeleted, l.maintain(t).SamplesDeleted)
	keys, err := l.ListHistoryKeys(t.Context(), "series", store.PageRequest{})
	require.NoError(t, err)
	assert.Empty(t, keys.Items, "a series without samples makes room for others")
}
