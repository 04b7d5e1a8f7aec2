package insight

import (
	"context"
	"errors"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/store"
)

const (
	// ahead is how far a forecast reaches.
	ahead = 30 * 24 * time.Hour
	// forecastAge is how old a forecast may be: it comes from values an hour apart.
	forecastAge = time.Minute
)

// forecasts keeps where the stream leads.
type forecasts struct {
	*insight
	last fresh[*cost.Forecast]
}

// of prices the forecast; nil without history enough.
func (f *forecasts) of(ctx context.Context, v *view, p pricing) (*phoenixv1.CostForecast, error) {
	growth, err := f.last.get(ctx, f.work, f.extrapolate)
	if err != nil || growth == nil {
		return nil, err
	}
	return &phoenixv1.CostForecast{
		At:     timestamppb.New(growth.At),
		Series: wireInterval(growth.Series), Month: wireMoney(p.Forecast(v.usage(), *growth)),
		NetPerDay: wireInterval(growth.NetPerDay), NewPerDay: wireInterval(growth.NewPerDay),
	}, nil
}

func wireInterval(r cost.Range[float64]) *phoenixv1.Interval {
	return &phoenixv1.Interval{Low: finite(r.Low), Expected: finite(r.Expected), High: finite(r.High)}
}

// extrapolate reads the history of the total by the hour.
func (f *forecasts) extrapolate(ctx context.Context) (*cost.Forecast, error) {
	series, err := f.hours(ctx, KindSeries)
	if err != nil {
		return nil, err
	}
	first, err := f.hours(ctx, KindNewSeries)
	if err != nil {
		return nil, err
	}
	came := make(map[time.Time]float64, len(first))
	for _, p := range first {
		came[p.Time] = p.Mean * float64(store.CoarseStep/store.FineStep)
	}
	history := make([]cost.Observation, 0, len(series))
	for _, p := range series {
		history = append(history, cost.Observation{
			At: p.Time, Series: uint64(math.Round(max(p.Mean, 0))), New: uint64(math.Round(max(came[p.Time], 0))),
		})
	}
	growth, err := cost.Extrapolate(history, f.Core.Now().Add(ahead))
	if errors.Is(err, cost.ErrHistory) {
		return nil, nil //nolint:nilnil // as documented
	}
	return &growth, err
}

func (f *forecasts) hours(ctx context.Context, kind string) ([]store.HistoryPoint, error) {
	return f.Core.Store.GetHistory(ctx, store.HistoryQuery{Kind: kind, Key: TotalKey, Step: store.CoarseStep})
}
