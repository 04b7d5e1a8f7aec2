package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/report"
)

// samplerRegistry knows which processors sample. The zero value is empty.
type samplerRegistry struct {
	arrivals[report.SamplerRegistration]
}

func (c *samplerRegistry) register(r report.SamplerRegistration) (unregister func(), err error) {
	if r.Component == "" {
		err = errors.Join(err, errors.New("register sampler: the component has no id"))
	}
	if r.Source == nil {
		err = errors.Join(err, fmt.Errorf("register sampler %q: there is no source", r.Component))
	}
	if err != nil {
		return nil, err
	}
	return c.add(r), nil
}

// list returns the instances by component. Those of one component that share a
// source are one.
func (c *samplerRegistry) list() []report.SamplerRegistration {
	all := c.sorted(func(a, b report.SamplerRegistration) int { return cmp.Compare(a.Component, b.Component) })
	var list []report.SamplerRegistration
	for _, r := range all {
		if !slices.ContainsFunc(list, func(s report.SamplerRegistration) bool {
			return s.Component == r.Component && sameSource(s.Source, r.Source)
		}) {
			list = append(list, r)
		}
	}
	return list
}

// ask asks all instances, outside the lock. What could be asked is returned
// beside an error.
func (c *samplerRegistry) ask(ctx context.Context) ([]report.Sampling, error) {
	list := c.list()
	answers := make([]report.Sampling, 0, len(list))
	var errs error
	for _, r := range list {
		err := ctx.Err()
		var answer report.Sampling
		if err == nil {
			answer, err = r.Source.Sampling(ctx)
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("sampling of %q: %w", r.Component, err))
			continue
		}
		answer.Component = r.Component
		answers = append(answers, answer)
	}
	return answers, errs
}

// RegisterSampler implements report.SamplerRegistry. The returned function may be
// called more than once and after Shutdown.
func (p *Plane) RegisterSampler(r report.SamplerRegistration) (unregister func(), err error) {
	if unregister, err = p.samplers.register(r); err == nil {
		p.logger.Debug("Sampler registered", zap.String("component", r.Component))
	}
	return unregister, err
}

// Sampling asks all processors that sample, sorted by component. What could be
// asked is returned beside an error.
func (p *Plane) Sampling(ctx context.Context) ([]report.Sampling, error) { return p.samplers.ask(ctx) }

// samplings is Sampling for those who take what there is.
func (p *Plane) samplings(ctx context.Context) []report.Sampling {
	answers, err := p.Sampling(ctx)
	if err != nil && ctx.Err() == nil {
		p.logger.Warn("Not every processor says what it leaves out", zap.Error(err))
	}
	return answers
}

// lag is how many versions the processor that lags most is behind.
func (p *Plane) lag(published uint64) uint64 {
	lag := p.consolidation.lag(published)
	for _, r := range p.samplers.list() {
		lag = max(lag, less(published, r.Source.PolicyVersion()))
	}
	return lag
}

// The types of events about budgets.
const (
	eventFloorReached = "sampler.floor_reached"
	eventFloorLeft    = "sampler.floor_left"
)

// floorEvery is how often it is looked whether budgets are kept.
const floorEvery = 5 * time.Second

// floor names a budget in a processor.
type floor struct{ component, budget string }

// floors remembers which budgets are exceeded at their floor, and the namespaces
// that they belong to. It is used by one goroutine.
type floors struct{ reached map[floor]string }

// look returns the events about what changed since the last look. A processor
// that is gone is forgotten; a budget that is gone is not exceeded any more.
func (f *floors) look(reports []report.Sampling) []bus.Event {
	var events []bus.Event
	now, components, budgets := map[floor]string{}, map[string]bool{}, map[floor]bool{}
	for i := range reports {
		components[reports[i].Component] = true
		for _, b := range reports[i].Budgets {
			at := floor{reports[i].Component, b.Name}
			budgets[at] = true
			if _, twice := now[at]; twice || !b.FloorReached {
				continue
			}
			namespace, told := f.reached[at]
			if !told && !b.Static {
				namespace, _, _ = strings.Cut(b.Name, "/")
			}
			if now[at] = namespace; !told {
				events = append(events, at.event(eventFloorReached, namespace,
					fmt.Sprintf("The budget %s of %s is exceeded and its level is at the floor %g: %.4g %s a second go on, %.4g may",
						b.Name, at.component, b.Floor, b.Out, b.Unit, b.Target)))
			}
		}
	}
	for at, namespace := range f.reached {
		message := fmt.Sprintf("The budget %s of %s is kept again", at.budget, at.component)
		if !budgets[at] {
			message = fmt.Sprintf("The budget %s of %s is not in force any more", at.budget, at.component)
		}
		if _, still := now[at]; !still && components[at.component] {
			events = append(events, at.event(eventFloorLeft, namespace, message))
		}
	}
	slices.SortStableFunc(events, func(a, b bus.Event) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Message, b.Message))
	})
	f.reached = now
	return events
}

func (f floor) event(event, namespace, message string) bus.Event {
	return bus.Event{
		Type: event, Namespace: namespace, Resource: "samplers/" + f.component, Message: message,
		Detail: map[string]string{"component": f.component, "budget": f.budget},
	}
}

// watchFloors tells watchers of budgets that are exceeded at their floor, until
// ctx ends.
func (p *Plane) watchFloors(ctx context.Context) {
	tick := time.NewTicker(floorEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		reports, err := p.Sampling(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // who did not answer is not known to keep its budgets; samplings tells
		}
		for _, event := range p.floors.look(reports) {
			event.Time = p.settings.Now()
			p.events.Publish(event)
		}
	}
}

// priceEvery is how often prices are looked at that nobody here changed.
const priceEvery = time.Minute

// followPrices publishes budgets that are money again when prices change, or what
// samples the points of the stream become, until ctx ends.
func (p *Plane) followPrices(ctx context.Context) {
	tick := time.NewTicker(priceEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.pricesChanged:
		}
		err := p.within(ctx, p.reprice)
		if err != nil && !failing && ctx.Err() == nil {
			p.logger.Warn("Prices cannot be looked at, budgets stay as they are", zap.Error(err))
		}
		failing = err != nil
	}
}

// priceModelChanged makes followPrices look at once.
func (p *Plane) priceModelChanged() {
	select {
	case p.pricesChanged <- struct{}{}:
	default: // it will
	}
}

// reprice gives the publisher the prices of now.
func (p *Plane) reprice(ctx context.Context) error {
	prices, err := p.insight.PointPrices(ctx)
	if err != nil {
		return err
	}
	return p.publisher.SetPrices(ctx, prices)
}
