package insight

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/cost"
)

// The dimensions that a bill is divided by.
const (
	byMetrics = "metrics"
	byGroups  = "groups"
	byLabels  = "labels"
)

var dimensions = []string{byMetrics, byGroups, byLabels}

// ListCosts implements phoenixv1.CostsServer.
func (s *costsServer) ListCosts(ctx context.Context, r *phoenixv1.ListCostsRequest) (*phoenixv1.ListCostsResponse, error) {
	sc, err := s.scope(ctx, access.List, access.Costs)
	if err != nil {
		return nil, err
	}
	var v violations
	if !slices.Contains(dimensions, r.GetDimension()) {
		v.add("dimension", "must be one of %s, got %q", joinWords(dimensions), abbreviate(r.GetDimension()))
	}
	point, model := v.text("point", r.GetPoint()), v.text("price_model", r.GetPriceModel())
	pattern, size := v.text("name", r.GetName()), v.pageSize(r.GetPageSize())
	query := digestOf(r, "page_token", "page_size")
	after := v.page(r.GetPageToken(), query)
	if err := v.err(); err != nil {
		return nil, err
	}
	prices, err := s.models.use(ctx, model)
	if err != nil {
		return nil, asFault(err)
	}
	stream, err := s.costView(ctx, sc, point, false)
	if err != nil {
		return nil, asFault(err)
	}
	var list []share
	switch r.GetDimension() {
	case byLabels:
		if stream, list, err = s.labels.of(ctx, sc, stream.report.Point, prices); err != nil {
			return nil, asFault(err)
		}
	case byGroups:
		list = stream.billsOf(prices).groups()
	default:
		list = stream.billsOf(prices).metrics()
	}
	answer := &phoenixv1.ListCostsResponse{
		Point: text(stream.report.Point), PriceModel: prices.Name, Currency: prices.Currency, Priced: prices.Priced(),
		At: timestamppb.New(stream.report.To),
	}
	for i := range list {
		one := &list[i]
		if after != nil && one.rank.compare(after.rank) <= 0 || !matches(pattern, one.name) {
			continue
		}
		if len(answer.Shares) == size {
			answer.NextPageToken = cursor{query: query, rank: after.rank}.token()
			break
		}
		answer.Shares = append(answer.Shares, one.wire())
		after = &cursor{rank: one.rank} // the last one of the page
	}
	return answer, nil
}

// share is a part of the bill, with its place in the list: the dearest first,
// and of equal ones, such as where nothing has a price, that with most series.
type share struct {
	rank
	cost  *cost.Share
	label *cost.LabelCost
}

// overflowPoint tells the share of the overflow from a metric without a name.
const overflowPoint = "overflow"

// sharesOf puts the shares of metrics or groups in order.
func sharesOf(costs []cost.Share, dimension string, priced bool) []share {
	list := make([]share, 0, len(costs))
	for i := range costs {
		c := &costs[i]
		one := share{cost: c, rank: rank{value: float64(c.Average), name: c.Metric, group: c.Group}}
		if dimension == byGroups {
			one.name = c.Group
		}
		if c.Overflow {
			one.point = overflowPoint
		}
		if !priced {
			one.value = float64(c.Series)
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b share) int { return a.compare(b.rank) })
	return list
}

func (s *share) wire() *phoenixv1.CostShare {
	if s.label != nil {
		l := s.label
		return &phoenixv1.CostShare{
			Name:        text(l.Attribute),
			Metrics:     uint32(l.Metrics), //nolint:gosec // bounded by memory
			SeriesSaved: wireSeries(l.Saving.Series),
			MonthSaved:  wireMoney(l.Saving.Month),
			// What the bill would lose.
			MarginalMonth: l.Saving.Month.Expected.String(),
		}
	}
	c := s.cost
	w := &phoenixv1.CostShare{
		Name: text(s.name), Series: float64(c.Series), SamplesPerSecond: c.SamplesPerSecond,
		Month: c.Average.String(), MarginalMonth: c.Marginal.String(), Overflow: c.Overflow,
	}
	if c.Metric != "" {
		w.Group = text(c.Group)
	}
	return w
}

func wireSeries(r cost.Range[int64]) *phoenixv1.Interval {
	return &phoenixv1.Interval{Low: float64(r.Low), Expected: float64(r.Expected), High: float64(r.High)}
}

func wireMoney(r cost.Range[cost.Money]) *phoenixv1.MoneyInterval {
	return &phoenixv1.MoneyInterval{Low: r.Low.String(), Expected: r.Expected.String(), High: r.High.String()}
}

// labelCosts keeps what labels cost. For 10,000 metrics that takes most of a
// second, so it is made beside the requests, and the last answer serves as long.
type labelCosts struct {
	*insight
	mu   sync.Mutex
	kept map[labelKey]*fresh[*labelAnswer]
}

type labelKey struct{ point, scope, model string }

type labelAnswer struct {
	view   *view
	shares []share
}

const (
	// maxLabelCosts bounds how many answers are kept.
	maxLabelCosts = 16
)

func (l *labelCosts) of(ctx context.Context, sc scope, point string, p pricing) (*view, []share, error) {
	answer, err := l.slot(labelKey{point, sc.key, p.key}).get(ctx, l.work, func(ctx context.Context) (*labelAnswer, error) {
		v, err := l.costView(ctx, sc, point, true)
		if err != nil {
			return nil, err
		}
		costs, err := p.ByLabel(v.usage(), v.report, cost.Assumptions{})
		if err != nil {
			return nil, err
		}
		return &labelAnswer{view: v.withoutDetail(), shares: labelShares(costs, p.Priced())}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	return answer.view, answer.shares, nil
}

func labelShares(costs []cost.LabelCost, priced bool) []share {
	list := make([]share, 0, len(costs))
	for i := range costs {
		c := &costs[i]
		one := share{label: c, rank: rank{value: float64(c.Saving.Month.Expected), name: c.Attribute}}
		if !priced {
			one.value = float64(c.Saving.Series.Expected)
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b share) int { return a.compare(b.rank) })
	return list
}

// slot returns where an answer is kept, in place of what nobody asks for.
func (l *labelCosts) slot(key labelKey) *fresh[*labelAnswer] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.kept[key]; f != nil {
		return f
	}
	for k, f := range l.kept {
		if f.idle(kept) {
			delete(l.kept, k)
		}
	}
	f := &fresh[*labelAnswer]{least: l.MaxAge, used: time.Now()}
	if l.kept == nil {
		l.kept = map[labelKey]*fresh[*labelAnswer]{}
	}
	if len(l.kept) < maxLabelCosts {
		l.kept[key] = f
	}
	return f
}
