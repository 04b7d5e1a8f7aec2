package admin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/filter"
	"github.com/phoenix-platform/phoenix/control/store"
)

// audit implements the service Audit.
type audit struct {
	phoenixv1.UnimplementedAuditServer
	core *service.Core
}

// auditFields are the fields of the filter of ListAudit.
var auditFields = map[string]filter.Kind{
	"principal": filter.Text, "action": filter.Text, "resource": filter.Text, "namespace": filter.Text,
}

// ListAudit lists the records of the namespaces that the caller sees.
func (a *audit) ListAudit(ctx context.Context, req *phoenixv1.ListAuditRequest) (*phoenixv1.ListAuditResponse, error) {
	conditions, err := filter.Parse(req.GetFilter(), auditFields)
	if err != nil {
		return nil, err
	}
	query, namespace, err := auditQuery(req, conditions)
	if err != nil {
		return nil, err
	}
	if err := a.core.Authorize(ctx, access.List, access.Audit, namespace); err != nil {
		return nil, err
	}
	visible := a.core.Guard.Visible(call.From(ctx).Principal, access.List, access.Audit)
	if namespace != "" {
		visible = visible.Only([]string{namespace})
	}
	query.Namespaces = visible.Filter()
	list, err := a.core.Store.ListAudit(ctx, query)
	if err != nil {
		return nil, service.Fault(err)
	}
	answer := &phoenixv1.ListAuditResponse{NextPageToken: list.Next, Records: make([]*phoenixv1.AuditRecord, 0, len(list.Items))}
	for _, r := range list.Items {
		answer.Records = append(answer.Records, wireRecord(r))
	}
	return answer, nil
}

// auditQuery reads a request. The store looks records up by what they are equal
// to, so that nothing else can be asked.
func auditQuery(req *phoenixv1.ListAuditRequest, conditions []filter.Condition) (q store.AuditQuery, namespace string, err error) {
	f := fault.New(fault.Invalid, "the request is not accepted")
	fields := map[string]*string{
		"principal": &q.Principal, "action": &q.Action, "resource": &q.Resource, "namespace": &namespace,
	}
	for _, c := range conditions {
		value := fields[c.Field]
		problem := ""
		switch {
		case c.Op != filter.Equal, strings.Contains(c.Text, "*"):
			problem = c.Field + " can only be compared by = with a whole value"
		case *value != "":
			problem = c.Field + " is there twice"
		case c.Text == "":
			problem = c.Field + " is compared with nothing"
		}
		if problem != "" {
			f.Violations = append(f.Violations, fault.Violation{Field: "filter", Description: problem})
			continue
		}
		*value = c.Text
	}
	if at := req.GetFrom(); at != nil {
		q.From = at.AsTime()
	}
	if at := req.GetTo(); at != nil {
		q.To = at.AsTime()
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		f.Violations = append(f.Violations, fault.Violation{Field: "to", Description: "must be after from"})
	}
	q.PageRequest, err = page(req.GetPageSize(), req.GetPageToken())
	if paging, wrong := errors.AsType[*fault.Fault](err); wrong {
		f.Violations = append(f.Violations, paging.Violations...)
	}
	if len(f.Violations) > 0 {
		return store.AuditQuery{}, "", f
	}
	return q, namespace, nil
}

// VerifyAudit recomputes the chain of hashes. That it is broken is an answer,
// not an error.
func (a *audit) VerifyAudit(ctx context.Context, req *phoenixv1.VerifyAuditRequest) (*phoenixv1.VerifyAuditResponse, error) {
	if err := a.core.Authorize(ctx, access.Verify, access.Audit, ""); err != nil {
		return nil, err
	}
	asked, err := auditRange(req)
	if err != nil {
		return nil, err
	}
	proof, err := a.core.Store.VerifyAudit(ctx, asked)
	var broken *store.ChainError
	switch {
	case errors.As(err, &broken):
		return &phoenixv1.VerifyAuditResponse{
			First: req.GetFirst(), Last: req.GetLast(), BrokenAt: float64(broken.Seq), Reason: broken.Reason,
		}, nil
	case err != nil:
		return nil, service.Fault(err)
	}
	answer := &phoenixv1.VerifyAuditResponse{Intact: true, First: float64(proof.First), Last: float64(proof.Last)}
	if !proof.Hash.IsZero() {
		answer.Hash = proof.Hash.String()
	}
	return answer, nil
}

// auditRange reads sequence numbers, which JSON has as numbers.
func auditRange(req *phoenixv1.VerifyAuditRequest) (store.AuditRange, error) {
	f := fault.New(fault.Invalid, "the request is not accepted")
	whole := func(field string, n float64) uint64 {
		const largest = 1 << 53 // beyond it not every whole number is a double
		if !(n >= 0 && n <= largest) || n != math.Trunc(n) {
			f.Violations = append(f.Violations, fault.Violation{Field: field, Description: fmt.Sprintf("must be a whole number, got %g", n)})
			return 0
		}
		return uint64(n)
	}
	r := store.AuditRange{First: whole("first", req.GetFirst()), Last: whole("last", req.GetLast())}
	if len(f.Violations) == 0 && r.Last != 0 && r.First > r.Last {
		f.Violations = append(f.Violations, fault.Violation{Field: "last", Description: "must not be before first"})
	}
	if len(f.Violations) > 0 {
		return store.AuditRange{}, f
	}
	return r, nil
}

func wireRecord(r store.AuditRecord) *phoenixv1.AuditRecord {
	hash := func(d store.Digest) string {
		if d.IsZero() {
			return ""
		}
		return d.String()
	}
	return &phoenixv1.AuditRecord{
		Seq: float64(r.Seq), Time: timestamp(r.Time), Principal: r.Principal, Action: r.Action, Outcome: string(r.Outcome),
		Resource: r.Resource, Namespace: r.Namespace, Origin: r.Origin, RequestId: r.RequestID, Detail: r.Detail,
		Before: hash(r.Before), After: hash(r.After), Previous: hash(r.Previous), Hash: hash(r.Hash),
	}
}
