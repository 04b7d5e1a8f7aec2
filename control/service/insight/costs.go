package insight

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/cost"
)

type costsServer struct {
	phoenixv1.UnimplementedCostsServer
	*insight
}

var _ phoenixv1.CostsServer = (*costsServer)(nil)

// maxModels bounds for how many price models a view keeps their bills.
const maxModels = 8

// bills are what one price model says of a view, each made when it is asked for.
type bills struct {
	total           func() cost.Bill
	metrics, groups func() []share // the dearest first
}

func (v *view) billsOf(p pricing) *bills {
	v.mu.Lock()
	defer v.mu.Unlock()
	if b := v.bills[p.key]; b != nil {
		return b
	}
	b := &bills{
		total:   sync.OnceValue(func() cost.Bill { return p.Price(v.usage()) }),
		metrics: sync.OnceValue(func() []share { return sharesOf(p.ByMetric(v.usage()).Shares, byMetrics, p.Priced()) }),
		groups:  sync.OnceValue(func() []share { return sharesOf(p.ByGroup(v.usage()).Shares, byGroups, p.Priced()) }),
	}
	if len(v.bills) < maxModels {
		v.bills[p.key] = b
	}
	return b
}

// GetCosts implements phoenixv1.CostsServer.
func (s *costsServer) GetCosts(ctx context.Context, r *phoenixv1.GetCostsRequest) (*phoenixv1.CostReport, error) {
	sc, err := s.scope(ctx, access.Get, access.Costs)
	if err != nil {
		return nil, err
	}
	var v violations
	point, model := v.text("point", r.GetPoint()), v.text("price_model", r.GetPriceModel())
	if err := v.err(); err != nil {
		return nil, err
	}
	stream, err := s.costView(ctx, sc, point, false)
	if err != nil {
		return nil, asFault(err)
	}
	prices, err := s.models.use(ctx, model)
	if err != nil {
		return nil, asFault(err)
	}
	answer := costReport(stream, prices)
	if sc.all && s.isBilled(ctx, stream) {
		if answer.Forecast, err = s.forecasts.of(ctx, stream, prices); err != nil {
			return nil, asFault(err)
		}
	}
	return answer, nil
}

// isBilled says whether the point is the one that the history is of.
func (in *insight) isBilled(ctx context.Context, v *view) bool {
	point, err := in.costPoint(ctx, everything)
	return err == nil && point == v.report.Point
}

func costReport(v *view, p pricing) *phoenixv1.CostReport {
	bill, usage := v.billsOf(p).total(), v.usage()
	answer := &phoenixv1.CostReport{
		Point: text(v.report.Point), PriceModel: p.Name, Currency: p.Currency, Priced: p.Priced(),
		At:     timestamppb.New(v.report.To),
		Series: float64(usage.Series()), SamplesPerSecond: samplesPerSecond(usage), Hosts: uint32(min(usage.Hosts, 1<<32-1)),
		Cost:     &phoenixv1.Amounts{Hour: bill.Hour.String(), Day: bill.Day.String(), Month: bill.Month.String()},
		Warnings: slices.Concat(v.warnings(), p.warnings(v)),
	}
	for _, line := range bill.Lines {
		answer.Lines = append(answer.Lines, &phoenixv1.BillLine{
			Component: line.Component, Quantity: float64(line.Quantity), Billed: float64(line.Billed), Month: line.Month.String(),
		})
	}
	return answer
}

func samplesPerSecond(u cost.Usage) float64 {
	total := 0.0
	for _, item := range u.Items {
		total += item.SamplesPerSecond
	}
	return total
}

// goodSpan is over how long a rate is measured without a word.
const goodSpan = 2 * time.Minute

// warnings say what to know before believing the numbers of a stream.
func (v *view) warnings() []string {
	var list []string
	c := &v.report
	if v.part {
		list = append(list, "These are the numbers of your namespaces alone, priced as if nobody else were billed: "+
			"tiers and included volumes are not shared out")
	}
	if counted := c.To.Sub(c.From); counted < c.Window-c.SubWindow {
		list = append(list, fmt.Sprintf("The window is not full yet: %s of %s are counted, so series may be missing",
			counted.Round(time.Second), c.Window))
	}
	switch {
	case v.over == 0:
		list = append(list, "The rate of samples is not known yet and counts as 0: it takes two reports at different times")
	case v.over < goodSpan:
		list = append(list, fmt.Sprintf("The rate of samples was measured over %s only", v.over.Round(time.Second)))
	}
	if o := c.Overflow; o != nil && o.Series > 0 {
		list = append(list, fmt.Sprintf("%d series are beyond the bounds of the cardinality processor: they are billed, but belong to no metric", o.Series))
	}
	return list
}

// warnings say what is wrong with pricing a stream by this model.
func (p pricing) warnings(v *view) []string {
	var list []string
	if p.warning != "" {
		list = append(list, p.warning)
	}
	if !p.Priced() {
		list = append(list, fmt.Sprintf("The price model %q has no prices: set yours with phoenixctl costs, or PUT /api/v1/priceModels/{name} and :activate it", p.Name))
		return list
	}
	if err := p.Fits(v.usage()); err != nil {
		list = append(list, err.Error())
	}
	for _, c := range p.Components {
		if v.hosts == 0 && (c.Kind == cost.KindHosts || c.IncludedPerHost > 0) {
			list = append(list, fmt.Sprintf("The component %q bills by hosts, and cost.hosts of the phoenix_control extension is 0", c.Name))
		}
	}
	return list
}
