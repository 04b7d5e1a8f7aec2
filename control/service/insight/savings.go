package insight

import (
	"context"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service/filter"
	"github.com/phoenix-platform/phoenix/control/store"
)

type savingsServer struct {
	phoenixv1.UnimplementedSavingsServer
	*insight
}

var _ phoenixv1.SavingsServer = (*savingsServer)(nil)

var savingFields = map[string]filter.Kind{"state": filter.Text, "name": filter.Text, "namespace": filter.Text}

// scanSize is how many policies one look into the store takes.
const scanSize = 200

// ListSavings implements phoenixv1.SavingsServer.
func (s *savingsServer) ListSavings(ctx context.Context, r *phoenixv1.ListSavingsRequest) (*phoenixv1.ListSavingsResponse, error) {
	if err := s.Core.Authorize(ctx, access.List, access.Savings, r.GetNamespace()); err != nil {
		return nil, err
	}
	var v violations
	size, query := v.pageSize(r.GetPageSize()), digestOf(r, "page_token", "page_size")
	conditions := v.filter(r.GetFilter(), savingFields)
	after := v.page(r.GetPageToken(), query)
	if err := v.err(); err != nil {
		return nil, err
	}
	search := store.PolicyQuery{
		Namespaces:  s.Core.Guard.Visible(call.From(ctx).Principal, access.List, access.Savings).Filter(),
		States:      statesOf(conditions),
		PageRequest: store.PageRequest{Size: scanSize},
	}
	if r.GetNamespace() != "" {
		search.Namespaces = []string{r.GetNamespace()} // which is one of those, or this was refused
	}
	policies, next, err := s.page(ctx, search, conditions, after, size)
	if err != nil {
		return nil, asFault(err)
	}
	answer := &phoenixv1.ListSavingsResponse{}
	if next != nil {
		next.query = query
		answer.NextPageToken = next.token()
	}
	t, err := s.till(ctx)
	if err != nil {
		return nil, asFault(err)
	}
	for _, p := range policies {
		saving, err := t.saving(ctx, p)
		if err != nil {
			return nil, asFault(err)
		}
		answer.Savings = append(answer.Savings, saving)
	}
	return answer, nil
}

// statesOf are the states in force that meet the conditions. An empty list is
// none.
func statesOf(conditions []filter.Condition) []store.PolicyState {
	states := []store.PolicyState{store.StatePreview, store.StateEnforced}
	for _, c := range conditions {
		if c.Field == "state" {
			states = slices.DeleteFunc(states, func(s store.PolicyState) bool { return !c.MatchText(string(s)) })
		}
	}
	return states
}

// page goes through the policies in the store until it has enough of those that
// pass. The cursor holds the token of the store's page and the last policy that
// was taken, so that nothing is left out or repeated whatever comes and goes.
func (s *savingsServer) page(ctx context.Context, search store.PolicyQuery, conditions []filter.Condition, after *cursor, size int) (list []store.Policy, next *cursor, err error) {
	if after != nil {
		search.Token = after.point
	}
	for {
		found, err := s.Core.Store.ListPolicies(ctx, search)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range found.Items {
			place := rank{name: p.Namespace, group: p.Name, point: search.Token}
			if after != nil && compareNames(place, after.rank) <= 0 || !policyPasses(p, conditions) {
				continue
			}
			if len(list) == size {
				return list, after, nil
			}
			list = append(list, p)
			after = &cursor{rank: place}
		}
		if found.Next == "" {
			return list, nil, nil
		}
		search.Token = found.Next
	}
}

func compareNames(a, b rank) int {
	if c := strings.Compare(a.name, b.name); c != 0 {
		return c
	}
	return strings.Compare(a.group, b.group)
}

func policyPasses(p store.Policy, conditions []filter.Condition) bool {
	for _, c := range conditions {
		value := p.Name
		switch c.Field {
		case "namespace":
			value = p.Namespace
		case "state":
			value = string(p.State)
		}
		if !c.MatchText(value) {
			return false
		}
	}
	return true
}

// GetSaving implements phoenixv1.SavingsServer.
func (s *savingsServer) GetSaving(ctx context.Context, r *phoenixv1.GetSavingRequest) (*phoenixv1.PolicySaving, error) {
	if err := s.Core.Authorize(ctx, access.Get, access.Savings, r.GetNamespace()); err != nil {
		return nil, err
	}
	p, err := s.Core.Store.GetPolicy(ctx, store.PolicyKey{Namespace: r.GetNamespace(), Name: r.GetName()})
	if err != nil {
		return nil, asFault(err)
	}
	t, err := s.till(ctx)
	if err != nil {
		return nil, asFault(err)
	}
	saving, err := t.saving(ctx, p)
	return saving, asFault(err)
}
