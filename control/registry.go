package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service/insight"
)

// cardinalityRegistry knows who measures what. The zero value is empty.
type cardinalityRegistry struct {
	mu     sync.Mutex
	points map[string]*claimedPoint
}

// claimedPoint is a measuring point and the component that owns it.
type claimedPoint struct {
	component string
	// registrations has one entry for each instance, in order of arrival.
	registrations []*report.CardinalityRegistration
}

// register claims a point, or joins those of the same component.
func (c *cardinalityRegistry) register(r report.CardinalityRegistration) (unregister func(), err error) {
	if err := checkRegistration(r); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	claim := c.points[r.Point]
	switch {
	case claim == nil:
		claim = &claimedPoint{component: r.Component}
		if c.points == nil {
			c.points = map[string]*claimedPoint{}
		}
		c.points[r.Point] = claim
	case claim.component != r.Component:
		return nil, fmt.Errorf("point: %q is measured by %q already, so %q cannot measure it too; give one of them another `point`",
			r.Point, claim.component, r.Component)
	}
	entry := &r // its address is the identity of this registration
	claim.registrations = append(claim.registrations, entry)
	return func() { c.unregister(entry) }, nil
}

func checkRegistration(r report.CardinalityRegistration) error {
	var errs error
	if r.Component == "" {
		errs = errors.Join(errs, errors.New("register cardinality: the component has no id"))
	}
	if r.Point == "" {
		errs = errors.Join(errs, fmt.Errorf("register cardinality of %q: the point has no name", r.Component))
	}
	if r.Source == nil {
		errs = errors.Join(errs, fmt.Errorf("register cardinality of %q: there is no source", r.Component))
	}
	return errs
}

// unregister forgets one registration; a point without any is free again.
func (c *cardinalityRegistry) unregister(entry *report.CardinalityRegistration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	claim := c.points[entry.Point]
	if claim == nil {
		return
	}
	// An entry of an earlier claim on the same point is not found, so that a
	// second call of unregister does nothing.
	claim.registrations = slices.DeleteFunc(claim.registrations, func(e *report.CardinalityRegistration) bool { return e == entry })
	if len(claim.registrations) == 0 {
		delete(c.points, entry.Point)
	}
}

// question is a measuring point with the sources that have to be asked.
type question struct {
	point, component string
	sources          []report.CardinalitySource
}

// ask asks the sources outside the lock, so that a slow one holds up no
// component that starts or stops.
func (c *cardinalityRegistry) ask(ctx context.Context, point string, q report.CardinalityQuery) ([]report.Cardinality, error) {
	questions, err := c.questions(point)
	if err != nil {
		return nil, err
	}
	answers := make([]report.Cardinality, 0, len(questions))
	for _, question := range questions {
		parts := make([]report.Cardinality, 0, len(question.sources))
		for _, source := range question.sources {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("point %q: %w", question.point, err)
			}
			part, err := source.Cardinality(ctx, q)
			if err != nil {
				return nil, fmt.Errorf("point %q: %w", question.point, err)
			}
			parts = append(parts, part)
		}
		answer := sumCardinality(parts)
		answer.Point, answer.Component = question.point, question.component
		answers = append(answers, answer)
	}
	return answers, nil
}

// questions lists what has to be asked, sorted by point.
func (c *cardinalityRegistry) questions(point string) ([]question, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := slices.Sorted(maps.Keys(c.points))
	if point != "" {
		if c.points[point] == nil {
			return nil, fmt.Errorf("%w %q; %s", insight.ErrUnknownPoint, point, knownPoints(names))
		}
		names = []string{point}
	}
	questions := make([]question, 0, len(names))
	for _, name := range names {
		claim := c.points[name]
		questions = append(questions, question{
			point:     name,
			component: claim.component,
			sources:   distinctSources(claim.registrations),
		})
	}
	return questions, nil
}

func knownPoints(names []string) string {
	if len(names) == 0 {
		return "none is registered: give a cardinality processor the option `control`"
	}
	return "known are " + strings.Join(names, ", ")
}

// distinctSources leaves out sources that are there already: instances of one
// component share one source object. A source whose type cannot be compared is
// different from every other.
func distinctSources(registrations []*report.CardinalityRegistration) []report.CardinalitySource {
	var sources []report.CardinalitySource
	for _, r := range registrations {
		if !slices.ContainsFunc(sources, func(s report.CardinalitySource) bool { return sameSource(s, r.Source) }) {
			sources = append(sources, r.Source)
		}
	}
	return sources
}

func sameSource(a, b any) bool {
	// Comparing values of a type that has no equality, such as a func, panics.
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// names lists the measuring points.
func (c *cardinalityRegistry) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.points))
}
