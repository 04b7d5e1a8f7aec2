package cost

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func hours(n int, value func(hour int) float64) []Sample {
	list := make([]Sample, 0, n)
	for h := range n {
		list = append(list, Sample{noon.Add(time.Duration(h) * time.Hour), value(h)})
	}
	return list
}

func TestTheilSenFindsTheLine(t *testing.T) {
	line, err := TheilSen(hours(48, func(h int) float64 { return 1000 + 5*float64(h) }))
	require.NoError(t, err)
	assert.InDelta(t, 120, line.PerDay.Expected, 1e-9)
	assert.InDelta(t, 120, line.PerDay.Low, 1e-9)
	assert.InDelta(t, 1000+5*96, line.At(noon.Add(96*time.Hour)).Expected, 1e-9)
	assert.InDelta(t, 1000, line.At(noon).High, 1e-9)
}

// By hand: the slopes between the 28 pairs of 0 1 2 3 4 5 6 100 are 21 times 1 a
// day and 7 larger ones. Kendall's variance is 8·7·21 ÷ 18 = 65.3, so (28 ± 15.84) ÷ 2
// leaves ranks 6 and 23 of 28.
func TestTheilSenByHand(t *testing.T) {
	var samples []Sample
	for day, v := range []float64{0, 1, 2, 3, 4, 5, 6, 100} {
		samples = append(samples, Sample{noon.AddDate(0, 0, day), v})
	}
	line, err := TheilSen(samples)
	require.NoError(t, err)
	assert.Equal(t, Range[float64]{1, 1, (100.0 - 1) / 6}, line.PerDay)
	assert.InDelta(t, 4, line.At(noon.AddDate(0, 0, 4)).Expected, 1e-9, "an outage does not bend it")
}

// By hand: the slopes between the squares of 0 to 7 are the sums of two different
// numbers; in order, the 6th is 4, the 14th and 15th are 7, the 23rd is 10.
func TestSensIntervalByHand(t *testing.T) {
	var samples []Sample
	for day := range 8 {
		samples = append(samples, Sample{noon.AddDate(0, 0, day), float64(day * day)})
	}
	line, err := TheilSen(samples)
	require.NoError(t, err)
	assert.Equal(t, Range[float64]{4, 7, 10}, line.PerDay)
	// The residuals from 7 a day around day 4: 28 22 18 16 16 18 22 28
	assert.Equal(t, noon.AddDate(0, 0, 4), line.Middle)
	assert.InDelta(t, 20, line.Level, 1e-9)
	assert.Equal(t, Range[float64]{24, 27, 30}, line.At(noon.AddDate(0, 0, 5)))
	assert.Equal(t, Range[float64]{10, 13, 16}, line.At(noon.AddDate(0, 0, 3)))
}

func TestTheilSenIsNotBentByAQuarterOfOutliers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slope := rapid.Float64Range(-50, 50).Draw(t, "slope")
		samples := hours(40, func(h int) float64 { return slope * float64(h) })
		for range 10 {
			samples[rapid.IntRange(0, 39).Draw(t, "which")].Value = rapid.Float64Range(-1e6, 1e6).Draw(t, "outlier")
		}
		line, err := TheilSen(samples)
		require.NoError(t, err)
		require.InDelta(t, 0, line.PerDay.Expected-24*slope, 1e-6)
	})
}

// Of intervals of 95 %, that many hold the true slope if the noise is independent.
func TestSensIntervalHoldsTheSlope(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const trials = 400
	hits := 0
	for range trials {
		line, err := TheilSen(hours(60, func(h int) float64 { return 3*float64(h) + 40*random.NormFloat64() }))
		require.NoError(t, err)
		if line.PerDay.Low <= 72 && 72 <= line.PerDay.High {
			hits++
		}
	}
	assert.InDelta(t, 0.95*trials, hits, 3*math.Sqrt(0.95*0.05*trials))
}

func TestLongHistoriesAreThinned(t *testing.T) {
	line, err := TheilSen(hours(2016, func(h int) float64 { return float64(2 * h) }))
	require.NoError(t, err)
	assert.InDelta(t, 48, line.PerDay.Expected, 1)
	assert.Len(t, thin(hours(2016, func(int) float64 { return 0 })), 404) // medians of five
}

func TestForecast(t *testing.T) {
	var history []Observation
	for day := range 15 {
		// 100 new ones a day, of which 40 replace others.
		history = append(history, Observation{At: noon.AddDate(0, 0, day), Series: uint64(1000 + 60*day), New: 100})
	}
	f, err := Extrapolate(history, noon.AddDate(0, 0, 44))
	require.NoError(t, err)
	assert.InDelta(t, 1000+60*44, f.Series.Expected, 1e-6)
	assert.InDelta(t, 60, f.NetPerDay.Expected, 1e-9)
	assert.InDelta(t, 100, f.NewPerDay.Expected, 1e-9)

	m := one(Component{Name: "c", Kind: KindActiveSeries, Price: amount("0.01"), Included: 1840})
	u := Usage{Items: []Item{item("a", typeGauge, 1380, 0), item("b", typeGauge, 460, 0)}}
	assert.Equal(t, money("0"), m.Price(u).Month)
	assert.Equal(t, exact("18", "18", "18"), m.Forecast(u, f)) // 3,640 are 1,800 more

	for i := range history {
		history[i].Series = uint64(1000 - 60*i)
	}
	f, err = Extrapolate(history, noon.AddDate(0, 0, 44))
	require.NoError(t, err)
	assert.Zero(t, f.Series.Expected, "there is no less than none")
}

func TestForecastsNeedHistory(t *testing.T) {
	f := func(history []Observation, at time.Time, want string) {
		t.Helper()
		_, err := Extrapolate(history, at)
		require.ErrorIs(t, err, ErrHistory)
		assert.EqualError(t, err, "not enough history: "+want)
	}
	f(nil, noon, "0 of 8 samples")
	f(make([]Observation, 20), noon, "all samples are of one time")
	var day []Observation
	for h := range 25 {
		day = append(day, Observation{At: noon.Add(time.Duration(h) * time.Hour), Series: 5})
	}
	f(day, noon.AddDate(0, 0, 6), "24h0m0s of it do not reach 120h0m0s ahead, 30h0m0s would")
	_, err := Extrapolate(day, noon.AddDate(0, 0, 5))
	require.NoError(t, err)
}

func TestAnomalies(t *testing.T) {
	at := noon.AddDate(0, 0, 10)
	f := func(history []Sample, value, noise float64, want Anomaly) {
		t.Helper()
		got, err := Compare(history, at, value, noise)
		require.NoError(t, err)
		assert.InDelta(t, want.Score, got.Score, 1e-3)
		assert.InDelta(t, want.Scale, got.Scale, 1e-3)
		want.Score, got.Score, want.Scale, got.Scale = 0, 0, 0, 0
		assert.Equal(t, want, got)
	}
	days := func(values ...float64) []Sample {
		var list []Sample
		for i, v := range values {
			day := at.AddDate(0, 0, i-len(values))
			// Other hours are far off, and do not matter
			list = append(list, Sample{day, v - 0.1}, Sample{day.Add(20 * time.Minute), v}, Sample{day.Add(40 * time.Minute), v + 5}, Sample{day.Add(-time.Hour), 1e9})
		}
		return append(list, Sample{at.Add(-10 * time.Minute), 1e9}, Sample{at, 1e9}) // nor does today
	}
	// The deviations from 100 are 0 1 2 3 4 5 900: their median is 3
	usual := days(100, 101, 98, 103, 96, 105, 1000)
	f(usual, 101, 0, Anomaly{Score: 0, Median: 101, Days: 7, Scale: 1.4826 * 3})
	f(usual, 120, 0, Anomaly{Score: 19 / (1.4826 * 3), Unusual: true, Median: 101, Days: 7, Scale: 1.4826 * 3})
	f(usual, 85, 0, Anomaly{Score: -16 / (1.4826 * 3), Unusual: true, Median: 101, Days: 7, Scale: 1.4826 * 3})
	f(usual, 115, 10, Anomaly{Score: 1.4, Median: 101, Days: 7, Scale: 10})
	// Most days are alike: the mean deviation, 12 ÷ 7, takes over
	f(days(100, 100, 100, 100, 100, 100, 112), 110, 0, Anomaly{Score: 10 / (1.2533 * 12 / 7), Unusual: true, Median: 100, Days: 7, Scale: 1.2533 * 12 / 7})
	// All are
	same := days(100, 100, 100, 100, 100, 100, 100)
	f(same, 100, 0, Anomaly{Median: 100, Days: 7})
	f(same, 101, 0, Anomaly{Score: MaxScore, Unusual: true, Median: 100, Days: 7})
	f(same, 101, 2, Anomaly{Score: 0.5, Median: 100, Days: 7, Scale: 2})

	_, err := Compare(usual[:24], at, 1, 0)
	require.ErrorIs(t, err, ErrHistory)
	assert.EqualError(t, err, "not enough history: 6 of 7 days have values between 12:00 and 12:59")
}

func TestAnomaliesGoByTheLocalHour(t *testing.T) {
	zone := time.FixedZone("UTC+5:30", 5*3600+1800)
	at := time.Date(2026, time.March, 20, 9, 15, 0, 0, zone)
	var history []Sample
	for day := 1; day <= 7; day++ {
		history = append(history, Sample{at.AddDate(0, 0, -day).UTC(), 5})
	}
	a, err := Compare(history, at, 5, 0)
	require.NoError(t, err)
	assert.Equal(t, 7, a.Days)
}
