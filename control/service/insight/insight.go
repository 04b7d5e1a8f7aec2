package insight

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service"
)

// ErrUnknownPoint is wrapped by the error of Settings.Cardinality for a measuring
// point that does not exist.
var ErrUnknownPoint = errors.New("unknown measuring point")

// Settings is what New needs.
type Settings struct {
	// Core is shared by all services. Required.
	Core *service.Core
	// Points lists the measuring points by name. Required.
	Points func() []string
	// Cardinality asks one measuring point, or all of them if the name is empty.
	// It wraps ErrUnknownPoint if a named one does not exist. Required.
	Cardinality func(ctx context.Context, point string, q report.CardinalityQuery) ([]report.Cardinality, error)
	// Consolidation asks every tag_consolidation processor. What could be asked is
	// returned beside an error. Required.
	Consolidation func(context.Context) ([]report.Consolidation, error)
	// Engaged says whether the kill switch is, by whatever means. Required.
	Engaged func() bool
	// NamespaceAttribute is the resource attribute that says to which namespace
	// telemetry belongs. Default: none, whoever sees anything sees all.
	NamespaceAttribute string
	// CostPoint is the measuring point whose stream is billed. Default: ingest if
	// there is one, else the first by name.
	CostPoint string
	// Hosts is how many hosts price models by host bill.
	Hosts uint64
	// PriceModelChanged is told, after the commit, that somebody changed a price
	// model, or which one is active. It does not wait. Default: nobody is.
	PriceModelChanged func()
	// MaxAge is how old a report may be before the next one is made. Default: 1s.
	MaxAge time.Duration
}

// Services are the servers of this package. They share their caches.
type Services struct {
	Cardinality phoenixv1.CardinalityServer
	Costs       phoenixv1.CostsServer
	Savings     phoenixv1.SavingsServer
	PriceModels phoenixv1.PriceModelsServer

	insight *insight
}

// insight is what the servers share.
type insight struct {
	Settings
	work      *workers
	reports   *reports
	models    *models
	labels    *labelCosts
	forecasts *forecasts
	applied   fresh[*applied]
}

const defaultMaxAge = time.Second

// New returns the services. They hold no goroutine before the first request;
// Close waits for those that came since.
func New(s Settings) *Services {
	if s.MaxAge <= 0 {
		s.MaxAge = defaultMaxAge
	}
	if s.PriceModelChanged == nil {
		s.PriceModelChanged = func() {}
	}
	in := &insight{Settings: s, work: newWorkers(s.Core.Logger)}
	in.reports = newReports(s, in.work)
	in.models = &models{insight: in, active: fresh[pricing]{least: s.MaxAge}}
	in.labels = &labelCosts{insight: in}
	in.forecasts = &forecasts{insight: in, last: fresh[*cost.Forecast]{least: max(forecastAge, s.MaxAge)}}
	in.applied = fresh[*applied]{least: s.MaxAge}
	return &Services{
		Cardinality: &cardinalityServer{insight: in},
		Costs:       &costsServer{insight: in},
		Savings:     &savingsServer{insight: in},
		PriceModels: &priceModelsServer{insight: in},
		insight:     in,
	}
}

// Close ends what is being computed and waits for it. It may be called twice.
func (s *Services) Close() { s.insight.work.close() }

// scope is what a caller sees of the stream.
type scope struct {
	// all is everything. Otherwise only the groups of these namespaces, of points
	// that are grouped by the attribute.
	all        bool
	attribute  string
	namespaces access.Namespaces
	// key names the scope in caches: empty if it is all.
	key string
}

// scope decides whether the caller may do this, and what they then see.
func (in *insight) scope(ctx context.Context, v access.Verb, r access.Resource) (scope, error) {
	visible := in.Core.Guard.Visible(call.From(ctx).Principal, v, r)
	switch {
	case visible.Empty():
		if err := in.Core.Authorize(ctx, v, r, ""); err != nil {
			return scope{}, err
		}
		return scope{}, fault.New(fault.Forbidden, "there is no namespace that you see")
	case visible.All() || in.NamespaceAttribute == "":
		return scope{all: true}, nil
	}
	names := visible.Filter()
	slices.Sort(names)
	return scope{
		attribute: in.NamespaceAttribute, namespaces: visible,
		key: strings.Join(slices.Compact(names), "\x00"),
	}, nil
}

// everything is the scope of the plane itself.
var everything = scope{all: true}

// shows says whether any of a point can be seen.
func (s scope) shows(groupBy string) bool { return s.all || groupBy == s.attribute }

// covers says whether a group can be seen.
func (s scope) covers(group string) bool { return s.all || s.namespaces.Contains(group) }

// views returns what the caller sees of one point, or of all that they see, by
// name. A point that they do not see is as one that does not exist.
func (in *insight) views(ctx context.Context, sc scope, point string, since time.Duration, detail bool) ([]*view, error) {
	names := in.Points()
	if point != "" {
		if !slices.Contains(names, point) {
			return nil, in.unknownPoint(ctx, sc, point)
		}
		names = []string{point}
	}
	var views []*view
	for _, name := range names {
		v, err := in.reports.get(ctx, sc, name, since, detail)
		switch {
		case errors.Is(err, ErrUnknownPoint) && point == "":
			continue // it went meanwhile
		case err != nil:
			return nil, err
		case v != nil:
			views = append(views, v.within(sc))
		}
	}
	if point != "" && len(views) == 0 {
		return nil, in.unknownPoint(ctx, sc, point)
	}
	return views, nil
}

func (in *insight) unknownPoint(ctx context.Context, sc scope, point string) error {
	var names []string
	for _, name := range in.Points() {
		if v, err := in.reports.get(ctx, sc, name, 0, false); err == nil && v != nil {
			names = append(names, name)
		}
	}
	known := "known are " + strings.Join(names, ", ")
	switch {
	case len(names) == 0 && !sc.all:
		known = "none is grouped by " + sc.attribute + ", so that a namespace could see its part"
	case len(names) == 0:
		known = "none is registered: give a cardinality processor the option `control`"
	}
	return fault.New(fault.NotFound, ErrUnknownPoint.Error()+" "+quote(point)+"; "+known)
}

// costView is the view of the point whose stream is billed.
func (in *insight) costView(ctx context.Context, sc scope, point string, detail bool) (*view, error) {
	if point == "" {
		var err error
		if point, err = in.costPoint(ctx, sc); err != nil {
			return nil, err
		}
	}
	views, err := in.views(ctx, sc, point, 0, detail)
	if err != nil {
		return nil, err
	}
	return views[0], nil
}

// defaultCostPoint is where all that comes in is counted.
const defaultCostPoint = "ingest"

// costPoint chooses the point that is billed when none is asked for: the
// configured one, unless the caller does not see it.
func (in *insight) costPoint(ctx context.Context, sc scope) (string, error) {
	names := in.Points()
	if len(names) == 0 {
		return "", fault.New(fault.NotFound, "nothing is measured, so nothing has a cost: give a cardinality processor the option `control`")
	}
	wanted := in.CostPoint
	if wanted == "" && slices.Contains(names, defaultCostPoint) {
		wanted = defaultCostPoint
	}
	if i := slices.Index(names, wanted); i > 0 {
		names = slices.Concat([]string{wanted}, names[:i], names[i+1:])
	} else if i < 0 && wanted != "" {
		return "", fault.New(fault.NotFound, "the measuring point "+quote(wanted)+", whose stream is billed, is not registered")
	}
	for _, name := range names {
		if sc.all {
			return name, nil
		}
		v, err := in.reports.get(ctx, sc, name, 0, false)
		if err != nil {
			return "", err
		}
		if v != nil {
			return name, nil
		}
	}
	return "", fault.New(fault.NotFound, "no measuring point is grouped by "+sc.attribute+", so that a namespace could see its part of the bill")
}
