package cost

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// ErrNoPointPrice says that a model has no price for what is sent, only for what
// is kept: series, metrics, hosts.
var ErrNoPointPrice = errors.New("bills neither samples nor ingested bytes, so that points have no price")

var (
	errPointSignal = errors.New("price models price metrics only: give points_per_second or bytes_per_second")
	errPointLittle = errors.New("is less than one point a month costs")
)

// PointPrices turns money into data points a second, and back, by what a model
// bills for samples and ingested bytes; what else is on the bill does not depend
// on how often something is sent. It is immutable.
type PointPrices struct {
	model   Model
	tariffs []tariff
	// total is how many samples a month the whole stream has.
	total uint64
	uses  []pointUse
}

// pointUse is how many points of a metric came, and the samples that the backend
// made of them.
type pointUse struct {
	metric          string
	points, samples float64
}

// NewPointPrices returns the prices of a model for a stream, of which the report
// says what samples points become, and the usage how many there are a month.
// Without them a point is taken for one sample.
func NewPointPrices(m Model, r report.Cardinality, u Usage) *PointPrices {
	m = m.WithDefaults()
	p := &PointPrices{model: m}
	for _, t := range m.tariffs(u.Hosts) {
		if t.Kind == KindSamples || t.Kind == KindIngestedBytes {
			p.tariffs = append(p.tariffs, t)
		}
	}
	for _, item := range u.Items {
		p.total = addUint(p.total, item.samples(m.HoursAMonth))
	}
	for _, one := range r.Metrics {
		points := float64(one.Points)
		p.uses = append(p.uses, pointUse{one.Name, points, points * seriesAStream(one)})
	}
	return p
}

// Currency is that of the amounts.
func (p *PointPrices) Currency() string { return p.model.Currency }

// Priced reports whether points have a price at all.
func (p *PointPrices) Priced() bool { return Model{Components: components(p.tariffs)}.Priced() }

func components(list []tariff) []Component {
	out := make([]Component, 0, len(list))
	for _, t := range list {
		out = append(out, t.Component)
	}
	return out
}

// PointsPerSecond is how many points a second of its group cost no more in a
// month than a budget's MonthlyCost. A group that is not everything shares no
// free quantity, for others use it too, and pays the tiers from the first: where
// more is cheaper it costs less than its budget.
func (p *PointPrices) PointsPerSecond(b policy.Budget) (float64, error) {
	switch {
	case b.Signal != policy.SignalMetrics:
		return 0, errPointSignal
	case !p.Priced():
		return 0, fmt.Errorf("the active price model %q %w", p.model.Name, ErrNoPointPrice)
	}
	each, err := p.samplesPerPoint(b.Match.Metric)
	if err != nil {
		return 0, err
	}
	tariffs := p.tariffs
	if everything := len(b.Match.Resource) == 0 && (b.Match.Metric == "" || b.Match.Metric == "*"); !everything {
		tariffs = slices.Clone(tariffs)
		for i := range tariffs {
			tariffs[i].Included, tariffs[i].IncludedPerHost = 0, 0
		}
	}
	samples := mostSamples(tariffs, moneyOf(b.MonthlyCost))
	if samples == 0 {
		return 0, fmt.Errorf("%w, %s %s by the active price model %q", errPointLittle,
			costOf(tariffs, 1), p.model.Currency, p.model.Name)
	}
	return roundDown(float64(samples) / (float64(p.model.HoursAMonth) * 3600) / each), nil
}

// roundDown keeps six digits: a budget is no more exact than that.
func roundDown(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v))-5)
	return math.Floor(v/unit) * unit
}

// Saving is what it saves in a month, at the size that the stream has, to leave
// out so many points a second of metrics that match a pattern.
func (p *PointPrices) Saving(pattern string, pointsPerSecond float64) (Money, error) {
	each, err := p.samplesPerPoint(pattern)
	if err != nil {
		return 0, err
	}
	gone := toUint(pointsPerSecond * each * float64(p.model.HoursAMonth) * 3600)
	total := max(p.total, gone) // the stream may be counted behind the sampler
	return costOf(p.tariffs, total).minus(costOf(p.tariffs, total-gone)), nil
}

// samplesPerPoint is how many samples the backend makes of a point of the metrics
// that match, on average: many of one of a classic histogram. It is rounded up to
// two digits, so that what follows from it does not change all the time.
func (p *PointPrices) samplesPerPoint(pattern string) (float64, error) {
	if pattern == "" {
		pattern = "*"
	}
	wanted, err := match.Compile(pattern)
	if err != nil {
		return 0, fmt.Errorf("match.metric: %w", err)
	}
	var points, samples float64
	for _, u := range p.uses {
		if wanted.Match(u.metric) {
			points, samples = points+u.points, samples+u.samples
		}
	}
	if !(points > 0 && samples > points) {
		return 1, nil
	}
	each := samples / points
	unit := math.Pow(10, math.Floor(math.Log10(each))-1)
	return math.Ceil(each/unit-1e-9) * unit, nil
}

// costOf is what so many samples a month cost.
func costOf(tariffs []tariff, samples uint64) Money {
	var sum Money
	for _, t := range tariffs {
		sum = sum.plus(t.cost(t.load("", 0, samples, false)))
	}
	return sum
}

// mostSamples is the largest number of samples a month up to which no number
// costs more than the limit. Between the bends of its tariffs the cost is a
// straight line.
func mostSamples(tariffs []tariff, limit Money) uint64 {
	bends := []uint64{math.MaxUint64}
	for _, t := range tariffs {
		for _, b := range t.bends() {
			if t.Kind == KindIngestedBytes {
				b /= max(t.BytesPerSample, 1)
			}
			bends = append(bends, b, addUint(b, 1))
		}
	}
	slices.Sort(bends)
	var low uint64
	for _, high := range slices.Compact(bends) {
		if costOf(tariffs, high) <= limit {
			low = high
			continue
		}
		for high-low > 1 {
			if middle := low + (high-low)/2; costOf(tariffs, middle) <= limit {
				low = middle
			} else {
				high = middle
			}
		}
		return low
	}
	return low
}

// moneyOf is an amount that is written as a number.
func moneyOf(amount float64) Money {
	switch scaled := math.Round(amount * float64(Unit)); {
	case !(scaled > 0):
		return 0
	case scaled >= math.MaxInt64:
		return math.MaxInt64
	default:
		return Money(scaled)
	}
}
