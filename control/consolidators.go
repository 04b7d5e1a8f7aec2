package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/phoenix-platform/phoenix/control/report"
)

// consolidationRegistry knows which processors apply rules. The zero value is
// empty.
type consolidationRegistry struct {
	mu sync.Mutex
	// sources has one entry for each instance, under its number of arrival.
	sources map[uint64]report.ConsolidationRegistration
	arrived uint64
}

// register adds an instance until the returned function is called.
func (c *consolidationRegistry) register(r report.ConsolidationRegistration) (unregister func(), err error) {
	if err := checkConsolidation(r); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sources == nil {
		c.sources = map[uint64]report.ConsolidationRegistration{}
	}
	c.arrived++
	id := c.arrived
	c.sources[id] = r
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.sources, id)
	}, nil
}

func checkConsolidation(r report.ConsolidationRegistration) error {
	var errs error
	if r.Component == "" {
		errs = errors.Join(errs, errors.New("register consolidation: the component has no id"))
	}
	if r.Role == "" {
		errs = errors.Join(errs, fmt.Errorf("register consolidation of %q: there is no role", r.Component))
	}
	if r.Source == nil {
		errs = errors.Join(errs, fmt.Errorf("register consolidation of %q: there is no source", r.Component))
	}
	return errs
}

// list returns the instances by component, in order of arrival.
func (c *consolidationRegistry) list() []report.ConsolidationRegistration {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := slices.Sorted(maps.Keys(c.sources))
	list := make([]report.ConsolidationRegistration, 0, len(ids))
	for _, id := range ids {
		list = append(list, c.sources[id])
	}
	slices.SortStableFunc(list, func(a, b report.ConsolidationRegistration) int { return cmp.Compare(a.Component, b.Component) })
	return list
}

// ask asks all instances, outside the lock. What could be asked is returned
// beside an error.
func (c *consolidationRegistry) ask(ctx context.Context) ([]report.Consolidation, error) {
	list := c.list()
	answers := make([]report.Consolidation, 0, len(list))
	var errs error
	for _, r := range list {
		err := ctx.Err()
		var answer report.Consolidation
		if err == nil {
			answer, err = r.Source.Consolidation(ctx)
		}
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("consolidation of %q: %w", r.Component, err))
			continue
		}
		answer.Component, answer.Role = r.Component, r.Role
		answers = append(answers, answer)
	}
	return answers, errs
}

// lag is how many versions the instance that lags most is behind. While there is
// none, nothing lags.
func (c *consolidationRegistry) lag(published uint64) uint64 {
	var lag uint64
	for _, r := range c.list() {
		lag = max(lag, less(published, r.Source.PolicyVersion()))
	}
	return lag
}
