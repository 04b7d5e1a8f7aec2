package cost

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/phoenix-platform/phoenix/control/report"
)

// The kinds of backends that a report is made for.
const (
	backendPrometheus = "prometheus"
	backendOTLP       = "otlp"
)

// The types of metrics in a report.
const (
	typeGauge                = "gauge"
	typeSum                  = "sum"
	typeHistogram            = "histogram"
	typeExponentialHistogram = "exponential_histogram"
	typeSummary              = "summary"
	typeMixed                = "mixed"
)

var metricTypes = []string{typeGauge, typeSum, typeHistogram, typeExponentialHistogram, typeSummary, typeMixed}

// Key names what is billed: one metric of one budget group.
type Key struct {
	// Metric is the OTLP name, Group the budget group, both as in the report.
	Metric, Group string
	// Overflow marks what the report has no entry for. Metric and Group are then
	// empty.
	Overflow bool
}

func compareKeys(a, b Key) int {
	if a.Overflow != b.Overflow {
		if a.Overflow {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Group, b.Group))
}

// Item is what one metric of one budget group uses.
type Item struct {
	Key
	// Type is the type of the metric, as in the report.
	Type string
	// Series is the number of backend series, StandardError one standard error of
	// it, 0 if it is exact.
	Series        uint64
	StandardError float64
	// SamplesPerSecond is how many samples the backend gets: a point of a classic
	// histogram is one for each of its series.
	SamplesPerSecond float64
}

// samples is how many there are in so many hours.
func (i Item) samples(hours uint64) uint64 {
	return toUint(i.SamplesPerSecond * 3600 * float64(hours))
}

// Usage is what is billed, at one time or on average over some.
type Usage struct {
	// Items have different keys.
	Items []Item
	// Hosts is the number of hosts that send.
	Hosts uint64
	// Backend is the kind of backend whose series are counted. Empty: not known.
	Backend string
}

// Rates are data points a second, as a report counts them.
type Rates map[Key]float64

// PointRates returns the data points a second between two reports of one
// measuring point. A count that fell began anew; it is then taken as it is,
// which is at least not too much.
func PointRates(before, after report.Cardinality) Rates {
	seconds := after.To.Sub(before.To).Seconds()
	rates := Rates{}
	if seconds <= 0 {
		return rates
	}
	earlier := map[Key]uint64{}
	for _, m := range before.Metrics {
		earlier[Key{Metric: m.Name, Group: m.Group}] = m.Points
	}
	increase := func(key Key, points uint64) {
		if was := earlier[key]; points >= was {
			points -= was
		}
		rates[key] = float64(points) / seconds
	}
	for _, m := range after.Metrics {
		increase(Key{Metric: m.Name, Group: m.Group}, m.Points)
	}
	if after.Overflow != nil {
		if before.Overflow != nil {
			earlier[Key{Overflow: true}] = before.Overflow.Points
		}
		increase(Key{Overflow: true}, after.Overflow.Points)
	}
	return rates
}

// NewUsage is the usage that a report and the rates beside it show. The report
// must hold all metrics (CardinalityQuery.Metric empty). Its span decides what
// is priced: the last sub-window for the cost of now, the whole window, or an
// average of several usages (Mean), for that of a month.
//
// A sample is what the backend stores at one time for one series. A point of a
// gauge, sum or exponential histogram is one; that of a histogram or summary is
// as many as the metric has backend series a stream.
func NewUsage(r report.Cardinality, rates Rates, hosts uint64) Usage {
	u := Usage{Hosts: hosts, Backend: r.Backend, Items: make([]Item, 0, len(r.Metrics)+1)}
	for _, m := range r.Metrics {
		key := Key{Metric: m.Name, Group: m.Group}
		u.Items = append(u.Items, Item{
			Key: key, Type: m.Type, Series: m.Series,
			StandardError:    m.RelativeError * float64(m.Series),
			SamplesPerSecond: rates[key] * seriesAStream(m),
		})
	}
	if o := r.Overflow; o != nil && o.Series > 0 {
		key := Key{Overflow: true}
		u.Items = append(u.Items, Item{
			Key: key, Type: typeMixed, Series: o.Series,
			StandardError:    overflowError * float64(o.Series),
			SamplesPerSecond: rates[key],
		})
	}
	return u
}

// overflowError is one standard error of the overflow's count of series: that of
// a sketch of precision 14, 1.04 ÷ √2¹⁴.
const overflowError = 0.0081

// seriesAStream is how many backend series a stream of the metric is.
func seriesAStream(m report.MetricCardinality) float64 {
	switch m.Type {
	case typeHistogram, typeSummary, typeMixed:
		if m.Streams > 0 && m.Series > m.Streams {
			return float64(m.Series) / float64(m.Streams)
		}
	}
	return 1
}

// Mean is the average of usages of one measuring point at different times. An
// item that is missing in one of them counts there as nothing.
func Mean(usages ...Usage) Usage {
	if len(usages) == 0 {
		return Usage{}
	}
	n := float64(len(usages))
	type sum struct {
		Item
		series float64
	}
	sums := map[Key]*sum{}
	hosts := 0.0
	for _, u := range usages {
		hosts += float64(u.Hosts)
		for _, item := range u.Items {
			s := sums[item.Key]
			if s == nil {
				s = &sum{Item: Item{Key: item.Key, Type: item.Type}}
				sums[item.Key] = s
			}
			s.series += float64(item.Series)
			s.SamplesPerSecond += item.SamplesPerSecond
			s.StandardError += item.StandardError // as if all erred the same way
		}
	}
	last := usages[len(usages)-1]
	mean := Usage{Hosts: toUint(hosts / n), Backend: last.Backend, Items: make([]Item, 0, len(sums))}
	for _, s := range sums {
		s.Series = toUint(s.series / n)
		s.StandardError /= n
		s.SamplesPerSecond /= n
		mean.Items = append(mean.Items, s.Item)
	}
	slices.SortFunc(mean.Items, func(a, b Item) int { return compareKeys(a.Key, b.Key) })
	return mean
}

// Grown is the usage if every item had so many times its series and samples.
func (u Usage) Grown(factor float64) Usage {
	u.Items = slices.Clone(u.Items)
	for i := range u.Items {
		item := &u.Items[i]
		item.Series = toUint(float64(item.Series) * factor)
		item.StandardError *= factor
		item.SamplesPerSecond *= factor
	}
	return u
}

// Series is the number of series of all items.
func (u Usage) Series() uint64 {
	sum := uint64(0)
	for _, item := range u.Items {
		sum = addUint(sum, item.Series)
	}
	return sum
}

// ErrBackend is wrapped by the error of Fits.
var ErrBackend = errors.New("series are counted for another kind of backend than is priced")

// Fits reports whether the model prices series of the kind that the usage
// counts. A model for OTLP streams makes nonsense of Prometheus series, where a
// histogram is a dozen, and the other way round.
func (m Model) Fits(u Usage) error {
	if m.Backend == "" || u.Backend == "" || m.Backend == u.Backend {
		return nil
	}
	return fmt.Errorf("%w: price model %q is for %s, the usage is counted for %s; set backend.kind of the cardinality processor",
		ErrBackend, m.Name, m.Backend, u.Backend)
}
