package insight

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Observation is what the whole stream is and costs at one moment, for the
// history and the metrics of the control plane.
type Observation struct {
	// At is when the stream was looked at.
	At time.Time
	// Total is the stream, Metrics its metrics over all groups, those with most
	// series first.
	Total   StreamObservation
	Metrics []StreamObservation
	// NewPerMinute is how many backend series come a minute that were not there.
	NewPerMinute float64
	// PriceModel and Currency are those of the amounts; without Priced they mean
	// nothing.
	PriceModel, Currency string
	Priced               bool
	// Model is the price model.
	Model cost.Model
	// Billed is what the measuring point counts whose stream is billed. It is
	// shared, and not to be written to.
	Billed report.Cardinality
	// Policies are those of which something is measured, the largest saving first;
	// SavingMonth is what those enforced save together.
	Policies    []PolicyObservation
	SavingMonth float64
}

// PointPrices are what the points of the stream cost by the active price model.
// Without a measuring point each of them is a sample.
func (s *Services) PointPrices(ctx context.Context) (*cost.PointPrices, error) {
	prices, err := s.insight.models.use(ctx, "")
	if err != nil {
		return nil, err
	}
	v, err := s.insight.costView(ctx, everything, "", false)
	var f *fault.Fault
	switch {
	case err == nil:
		return cost.NewPointPrices(prices.Model, v.report, v.usage()), nil
	case errors.As(asFault(err), &f) && f.Reason == fault.NotFound:
		return cost.NewPointPrices(prices.Model, report.Cardinality{}, cost.Usage{Hosts: s.insight.Hosts}), nil
	}
	return nil, err
}

// StreamObservation is the stream, or a metric.
type StreamObservation struct {
	// Metric is the OTLP name, empty for the whole stream.
	Metric string
	Series uint64
	// SamplesPerSecond counts for something if Sampled is set: a rate takes two
	// reports.
	SamplesPerSecond float64
	Sampled          bool
	// Month is the bill, or the metric's share of it by equal shares.
	Month float64
}

// PolicyObservation is what a policy saves as measured.
type PolicyObservation struct {
	store.PolicyKey
	State store.PolicyState
	// Series and Month are what is expected.
	Series, Month float64
}

// Observe looks at the whole stream and all policies in force. It lists at most
// top metrics. Without a measuring point there is no error and no At.
func (s *Services) Observe(ctx context.Context, top int) (Observation, error) {
	t, err := s.insight.tillFor(ctx, everything)
	if err != nil || t.stream == nil {
		return Observation{}, err
	}
	o := Observation{
		At: t.stream.report.To, PriceModel: t.prices.Name, Currency: t.prices.Currency, Priced: t.prices.Priced(),
		Model: t.prices.Model, Billed: t.stream.report,
	}
	t.observeStream(&o, top)
	if err := t.observePolicies(ctx, &o); err != nil {
		return Observation{}, err
	}
	return o, nil
}

func (t *till) observeStream(o *Observation, top int) {
	v := t.stream
	b, usage := v.billsOf(t.prices), v.usage()
	o.Total = StreamObservation{
		Series: usage.Series(), SamplesPerSecond: samplesPerSecond(usage), Sampled: v.over > 0, Month: units(b.total().Month),
	}
	index := map[string]int{}
	for _, one := range b.metrics() {
		share := one.cost
		if share.Overflow {
			continue
		}
		i, known := index[share.Metric]
		if !known {
			i = len(o.Metrics)
			index[share.Metric] = i
			o.Metrics = append(o.Metrics, StreamObservation{Metric: share.Metric, Sampled: v.over > 0})
		}
		m := &o.Metrics[i]
		m.Series += share.Series
		m.SamplesPerSecond += share.SamplesPerSecond
		m.Month += units(share.Average)
	}
	slices.SortFunc(o.Metrics, func(a, b StreamObservation) int {
		return cmp.Or(cmp.Compare(b.Series, a.Series), strings.Compare(a.Metric, b.Metric))
	})
	o.Metrics = slices.Clone(o.Metrics[:min(top, len(o.Metrics))])
	for i := range v.report.Metrics {
		m := &v.report.Metrics[i]
		each := 1.0
		if m.Streams > 0 {
			each = float64(m.Series) / float64(m.Streams) // growth counts streams
		}
		o.NewPerMinute += finite(m.Growth.NewPerMinute) * each
	}
}

// observePolicies prices every policy by itself, and those enforced together:
// under prices with tiers that is not the sum.
func (t *till) observePolicies(ctx context.Context, o *Observation) error {
	set, err := t.Core.Store.PoliciesInForce(ctx)
	if err != nil {
		return err
	}
	together := map[int32]reduction{}
	given := assumptions(t.applied.interval)
	for _, p := range set.Policies {
		m := t.applied.of(p.PolicyKey)
		if m == nil {
			continue
		}
		one := PolicyObservation{PolicyKey: p.PolicyKey, State: p.State}
		for _, c := range m.metrics {
			one.Series += float64(c.saved())
		}
		list, _ := t.reductions(p, m)
		usage, effects := t.stream.ledger().withReductions(list)
		saving, err := t.prices.Saving(usage, effects, given)
		if err != nil {
			return err
		}
		one.Month = units(saving.Month.Expected)
		o.Policies = append(o.Policies, one)
		if p.State == store.StateEnforced && !t.Engaged() {
			for _, r := range list {
				sum := together[r.item]
				together[r.item] = reduction{r.item, sum.saved + r.saved, sum.variance + r.variance, sum.added + r.added}
			}
		}
	}
	slices.SortFunc(o.Policies, func(a, b PolicyObservation) int {
		return cmp.Or(cmp.Compare(b.Series, a.Series), strings.Compare(a.Resource(), b.Resource()))
	})
	all := make([]reduction, 0, len(together))
	for _, r := range together {
		all = append(all, r)
	}
	usage, effects := t.stream.ledger().withReductions(all)
	saving, err := t.prices.Saving(usage, effects, given)
	o.SavingMonth = units(saving.Month.Expected)
	return err
}

// units is an amount as a number, for charts.
func units(m cost.Money) float64 { return float64(m) / float64(cost.Unit) }
