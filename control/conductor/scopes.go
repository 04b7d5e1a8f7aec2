package conductor

import (
	"maps"
	"slices"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
)

// scopes finds those who may hold what a specification wants, without comparing
// it with all: whoever has another value of one attribute cannot.
type scopes map[experiment.Signal]*signalScopes

type signalScopes struct {
	all map[string]*run
	// byValue are those with a value of an attribute, total how many have it with
	// any.
	byValue map[attribute][]*run
	total   map[string]int
}

type attribute struct{ key, value string }

func (s scopes) of(signal experiment.Signal) *signalScopes {
	found := s[signal]
	if found == nil {
		found = &signalScopes{all: map[string]*run{}, byValue: map[attribute][]*run{}, total: map[string]int{}}
		s[signal] = found
	}
	return found
}

// set notes that a run holds its scope, or does not any more.
func (s scopes) set(r *run, holds bool) {
	in := s.of(r.spec.Signal)
	if known := in.all[r.spec.ID] == r; known == holds {
		return
	}
	if holds {
		in.all[r.spec.ID] = r
	} else {
		delete(in.all, r.spec.ID)
	}
	for key, value := range r.scope {
		a := attribute{key, value}
		if holds {
			in.byValue[a] = append(in.byValue[a], r)
			in.total[key]++
			continue
		}
		in.total[key]--
		in.byValue[a] = slices.DeleteFunc(in.byValue[a], func(other *run) bool { return other == r })
		if len(in.byValue[a]) == 0 {
			delete(in.byValue, a)
		}
	}
}

// near are those who hold a scope that a specification may overlap, by id.
func (s scopes) near(spec experiment.Spec) []experiment.Active {
	in := s.of(spec.WithDefaults().Signal)
	var candidates []*run
	fewest, found := len(in.all), false
	for key, value := range scopeOf(spec) {
		if same := in.byValue[attribute{key, value}]; in.total[key] == len(in.all) && len(same) <= fewest {
			candidates, fewest, found = same, len(same), true
		}
	}
	if candidates = slices.Clone(candidates); !found {
		candidates = slices.Collect(maps.Values(in.all))
	}
	slices.SortFunc(candidates, byID)
	list := make([]experiment.Active, 0, len(candidates))
	for _, r := range candidates {
		list = append(list, experiment.Active{ID: r.spec.ID, Spec: r.spec})
	}
	return list
}

// scopeOf is a scope with the levels of its attributes.
func scopeOf(spec experiment.Spec) map[string]string {
	scope := make(map[string]string, len(spec.Scope))
	for key, value := range spec.Scope {
		ref, err := policy.ParseAttributeRef(key)
		if err != nil {
			continue // Validate reports it
		}
		if ref.Level == policy.LevelAny {
			ref.Level = policy.LevelResource
		}
		scope[ref.String()] = value
	}
	return scope
}
