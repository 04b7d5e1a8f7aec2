package policies

import (
	"context"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/filter"
	"github.com/phoenix-platform/phoenix/control/store"
)

const (
	// scanStep is how many policies are read at once to find those that a filter
	// wants, scanMax how many for one page: a page may have fewer than were asked
	// for and still a next one.
	scanStep = 500
	scanMax  = 2000
)

var filterFields = map[string]filter.Kind{"state": filter.Text, "name": filter.Text, "namespace": filter.Text}

var allStates = []store.PolicyState{store.StateDraft, store.StatePreview, store.StateEnforced, store.StateDisabled}

// ListPolicies lists what the caller sees.
func (s *Service) ListPolicies(ctx context.Context, req *phoenixv1.ListPoliciesRequest) (*phoenixv1.ListPoliciesResponse, error) {
	if err := s.core.Authorize(ctx, access.List, access.Policies, req.GetNamespace()); err != nil {
		return nil, err
	}
	request, err := page(req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	conditions, err := filter.Parse(req.GetFilter(), filterFields)
	if err != nil {
		return nil, err
	}
	visible := s.core.Guard.Visible(call.From(ctx).Principal, access.List, access.Policies)
	if req.GetNamespace() != "" {
		visible = visible.Only([]string{req.GetNamespace()})
	}
	q, rest := narrow(visible, conditions)
	q.PageRequest = request
	list, err := s.scan(ctx, q, rest)
	if err != nil {
		return nil, service.Fault(err)
	}
	items, err := s.presentAll(ctx, list.Items)
	if err != nil {
		return nil, err
	}
	return &phoenixv1.ListPoliciesResponse{Policies: items, NextPageToken: list.Next}, nil
}

// page reads the paging of a list. Size 0 is the default of the store.
func page(size uint32, token string) (store.PageRequest, error) {
	var m mistakes
	if size > store.MaxPageSize {
		m.add("page_size", "must be between 1 and %d, got %d", store.MaxPageSize, size)
	}
	return store.PageRequest{Size: int(size), Token: token}, m.err()
}

// narrow makes a query of what the store can look for, and returns the
// conditions that remain.
func narrow(visible access.Namespaces, conditions []filter.Condition) (q store.PolicyQuery, rest []filter.Condition) {
	for _, c := range conditions {
		exact := c.Op == filter.Equal && !strings.Contains(c.Text, "*")
		switch {
		case c.Field == "state":
			if q.States == nil {
				q.States = slices.Clone(allStates)
			}
			q.States = slices.DeleteFunc(q.States, func(st store.PolicyState) bool { return !c.MatchText(string(st)) })
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

// scan reads a page of the policies that meet the conditions.
func (s *Service) scan(ctx context.Context, q store.PolicyQuery, conditions []filter.Condition) (store.Page[store.Policy], error) {
	if len(conditions) == 0 {
		return s.core.Store.ListPolicies(ctx, q)
	}
	var page store.Page[store.Policy]
	want, err := q.Limit()
	if err != nil {
		return page, err
	}
	for scanned := 0; scanned < scanMax; scanned += scanStep {
		q.Size = scanStep
		list, err := s.core.Store.ListPolicies(ctx, q)
		if err != nil {
			return page, err
		}
		for i, p := range list.Items {
			if !meets(p, conditions) {
				continue
			}
			page.Items = append(page.Items, p)
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
func (s *Service) after(ctx context.Context, q store.PolicyQuery, list store.Page[store.Policy], i int) (string, error) {
	if i == len(list.Items)-1 {
		return list.Next, nil
	}
	q.Size = i + 1
	part, err := s.core.Store.ListPolicies(ctx, q)
	return part.Next, err
}

func meets(p store.Policy, conditions []filter.Condition) bool {
	for _, c := range conditions {
		value := p.Name
		if c.Field == "namespace" {
			value = p.Namespace
		}
		if !c.MatchText(value) {
			return false
		}
	}
	return true
}

// ListPolicyRevisions lists the states that a policy had.
func (s *Service) ListPolicyRevisions(ctx context.Context, req *phoenixv1.ListPolicyRevisionsRequest) (*phoenixv1.ListPolicyRevisionsResponse, error) {
	k := key(req.GetNamespace(), req.GetName())
	if err := s.core.Authorize(ctx, access.Get, access.Policies, k.Namespace); err != nil {
		return nil, err
	}
	request, err := page(req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	if k.Check() != nil {
		return nil, service.Fault(store.ErrNotFound)
	}
	list, err := s.core.Store.ListPolicyRevisions(ctx, k, request)
	if err == nil && len(list.Items) == 0 && request.Token == "" {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, service.Fault(err)
	}
	answer := &phoenixv1.ListPolicyRevisionsResponse{NextPageToken: list.Next}
	for _, r := range list.Items {
		answer.Revisions = append(answer.Revisions, wireRevision(r))
	}
	return answer, nil
}

// GetPolicyRevision returns a state that a policy had.
func (s *Service) GetPolicyRevision(ctx context.Context, req *phoenixv1.GetPolicyRevisionRequest) (*phoenixv1.PolicyRevision, error) {
	k := key(req.GetNamespace(), req.GetName())
	if err := s.core.Authorize(ctx, access.Get, access.Policies, k.Namespace); err != nil {
		return nil, err
	}
	if k.Check() != nil {
		return nil, service.Fault(store.ErrNotFound)
	}
	r, err := s.core.Store.GetPolicyRevision(ctx, k, store.Revision(req.GetRevision()))
	if err != nil {
		return nil, service.Fault(err)
	}
	return wireRevision(r), nil
}
