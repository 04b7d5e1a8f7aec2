package experiments

import (
	"context"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/filter"
	"github.com/phoenix-platform/phoenix/control/store"
)

const (
	// scanStep is how many experiments are read at once to find those that a
	// filter wants, scanMax how many for one page: a page may have fewer than were
	// asked for and still a next one.
	scanStep = 500
	scanMax  = 2000
)

var filterFields = map[string]filter.Kind{"phase": filter.Text, "name": filter.Text, "namespace": filter.Text}

// ListExperiments lists what the caller sees.
func (s *Service) ListExperiments(ctx context.Context, req *phoenixv1.ListExperimentsRequest) (*phoenixv1.ListExperimentsResponse, error) {
	if err := s.core.Authorize(ctx, access.List, access.Experiments, req.GetNamespace()); err != nil {
		return nil, err
	}
	var m mistakes
	if req.GetPageSize() > store.MaxPageSize {
		m.add("page_size", "must be between 1 and %d, got %d", store.MaxPageSize, req.GetPageSize())
		return nil, m.err()
	}
	conditions, err := filter.Parse(req.GetFilter(), filterFields)
	if err != nil {
		return nil, err
	}
	visible := s.core.Guard.Visible(call.From(ctx).Principal, access.List, access.Experiments)
	if req.GetNamespace() != "" {
		visible = visible.Only([]string{req.GetNamespace()})
	}
	q, rest := narrow(visible, conditions)
	q.PageRequest = store.PageRequest{Size: int(req.GetPageSize()), Token: req.GetPageToken()}
	list, err := s.scan(ctx, q, rest)
	if err != nil {
		return nil, service.Fault(err)
	}
	answer := &phoenixv1.ListExperimentsResponse{NextPageToken: list.Next}
	for _, e := range list.Items {
		answer.Experiments = append(answer.Experiments, s.brief(s.present(e)))
	}
	return answer, nil
}

// narrow makes a query of what the store can look for, and returns the
// conditions that remain.
func narrow(visible access.Namespaces, conditions []filter.Condition) (q store.ExperimentQuery, rest []filter.Condition) {
	for _, c := range conditions {
		exact := c.Op == filter.Equal && !strings.Contains(c.Text, "*")
		switch {
		case c.Field == "phase":
			if q.Phases == nil {
				q.Phases = allPhases()
			}
			q.Phases = slices.DeleteFunc(q.Phases, func(phase string) bool { return !c.MatchText(phase) })
			continue
		case c.Field == "namespace" && exact && c.Text != "":
			visible = visible.Only([]string{c.Text})
			continue
		case c.Field == "name" && c.Op == filter.Equal:
			if prefix, _, _ := strings.Cut(c.Text, "*"); len(prefix) > len(q.NamePrefix) {
				q.NamePrefix = prefix
			}
		}
		rest = append(rest, c)
	}
	q.Namespaces = visible.Filter()
	return q, rest
}

func allPhases() []string {
	list := make([]string, len(experiment.Phases))
	for i, p := range experiment.Phases {
		list[i] = string(p)
	}
	return list
}

// scan reads a page of the experiments that meet the conditions.
func (s *Service) scan(ctx context.Context, q store.ExperimentQuery, conditions []filter.Condition) (store.Page[store.Experiment], error) {
	if len(conditions) == 0 {
		return s.core.Store.ListExperiments(ctx, q)
	}
	var page store.Page[store.Experiment]
	want, err := q.Limit()
	if err != nil {
		return page, err
	}
	for scanned := 0; scanned < scanMax; scanned += scanStep {
		q.Size = scanStep
		list, err := s.core.Store.ListExperiments(ctx, q)
		if err != nil {
			return page, err
		}
		for i, e := range list.Items {
			if !meets(e, conditions) {
				continue
			}
			page.Items = append(page.Items, e)
			if len(page.Items) == want {
				page.Next, err = s.after(ctx, q, list, i)
				return page, err
			}
		}
		page.Next = list.Next
		if list.Next == "" {
			return page, nil
		}
		q.Token = list.Next
	}
	return page, nil
}

// after is the token of the page behind the i-th item of a list. Only the store
// makes tokens: it is asked for the part of the list that ends there.
func (s *Service) after(ctx context.Context, q store.ExperimentQuery, list store.Page[store.Experiment], i int) (string, error) {
	if i == len(list.Items)-1 {
		return list.Next, nil
	}
	q.Size = i + 1
	part, err := s.core.Store.ListExperiments(ctx, q)
	return part.Next, err
}

func meets(e store.Experiment, conditions []filter.Condition) bool {
	for _, c := range conditions {
		value := e.Name
		if c.Field == "namespace" {
			value = e.Namespace
		}
		if !c.MatchText(value) {
			return false
		}
	}
	return true
}
