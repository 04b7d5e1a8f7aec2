package control

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/backend"
)

// arrivals are what has registered and not gone yet. The zero value is empty.
type arrivals[T any] struct {
	mu sync.Mutex
	// present has one entry for each instance, under its number of arrival.
	present map[uint64]T
	arrived uint64
}

// add takes in an instance until the returned function is called.
func (a *arrivals[T]) add(r T) (remove func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.present == nil {
		a.present = map[uint64]T{}
	}
	a.arrived++
	id := a.arrived
	a.present[id] = r
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.present, id)
	}
}

// sorted returns the instances in an order, equal ones in that of their arrival.
func (a *arrivals[T]) sorted(order func(a, b T) int) []T {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]T, 0, len(a.present))
	for _, id := range slices.Sorted(maps.Keys(a.present)) {
		list = append(list, a.present[id])
	}
	slices.SortStableFunc(list, order)
	return list
}

// routerRegistry knows who routes. The zero value is empty.
type routerRegistry struct {
	arrivals[report.RouterRegistration]
}

// routerSignals are the signals that can be routed.
var routerSignals = []string{"metrics", "traces", "logs"}

func (c *routerRegistry) register(r report.RouterRegistration) (unregister func(), err error) {
	if r.Component == "" {
		err = errors.Join(err, errors.New("register router: the component has no id"))
	}
	if !slices.Contains(routerSignals, r.Signal) {
		err = errors.Join(err, fmt.Errorf("register router %q: the signal must be one of %s, got %q",
			r.Component, strings.Join(routerSignals, ", "), r.Signal))
	}
	if r.Source == nil {
		err = errors.Join(err, fmt.Errorf("register router %q: there is no source", r.Component))
	}
	if err != nil {
		return nil, err
	}
	return c.add(r), nil
}

func (c *routerRegistry) list() []report.RouterRegistration {
	return c.sorted(func(a, b report.RouterRegistration) int {
		return cmp.Or(cmp.Compare(a.Component, b.Component), cmp.Compare(a.Signal, b.Signal))
	})
}

// armRegistry knows who measures the ends of arms. The zero value is empty.
type armRegistry struct {
	arrivals[report.ArmRegistration]
}

func (c *armRegistry) register(r report.ArmRegistration) (unregister func(), err error) {
	if r.Component == "" || r.Point == "" {
		err = errors.Join(err, fmt.Errorf("register arm: the component and the point must have names, got %q and %q", r.Component, r.Point))
	}
	if r.Arm != armBaseline && r.Arm != armCandidate {
		err = errors.Join(err, fmt.Errorf("register arm of %q: the arm must be %s or %s, got %q", r.Component, armBaseline, armCandidate, r.Arm))
	}
	if r.Source == nil {
		err = errors.Join(err, fmt.Errorf("register arm of %q: there is no source", r.Component))
	}
	if err != nil {
		return nil, err
	}
	return c.add(r), nil
}

func (c *armRegistry) list() []report.ArmRegistration {
	return c.sorted(func(a, b report.ArmRegistration) int {
		return cmp.Or(cmp.Compare(a.Component, b.Component), cmp.Compare(a.Point, b.Point))
	})
}

// backend is what is known of the database behind a measuring point.
func (c *armRegistry) backend(point string) backend.PrometheusSettings {
	for _, r := range c.list() {
		if r.Point == point {
			return backend.PrometheusSettings(r.Backend)
		}
	}
	return backend.PrometheusSettings{}
}
