package sqlstore

import (
	"context"
	"fmt"

	"github.com/phoenix-platform/phoenix/control/store"
)

const policyColumns = "namespace, name, spec, spec_sha256, state, revision, version, created_at, created_by, updated_at, updated_by"

func scanPolicy(row scanner) (store.Policy, error) {
	var p store.Policy
	err := row.Scan(&p.Namespace, &p.Name, blobColumn{&p.Spec}, digestColumn{&p.SpecSHA256}, &p.State, &p.Revision, &p.Version,
		timeColumn{&p.CreatedAt}, &p.CreatedBy, timeColumn{&p.UpdatedAt}, &p.UpdatedBy)
	return p, err
}

const revisionColumns = "namespace, name, revision, spec, spec_sha256, state, version, made_at, made_by, rolled_back_to"

func scanRevision(row scanner) (store.PolicyRevision, error) {
	var p store.PolicyRevision
	err := row.Scan(&p.Namespace, &p.Name, &p.Revision, blobColumn{&p.Spec}, digestColumn{&p.SpecSHA256}, &p.State, &p.Version,
		timeColumn{&p.At}, &p.By, &p.RolledBackTo)
	return p, err
}

// first returns the only row of a query, or store.ErrNotFound.
func first[T any](ctx context.Context, r reader, query string, args []any, scan func(scanner) (T, error)) (T, error) {
	items, err := collect(ctx, r, query, args, scan)
	if err != nil || len(items) > 0 {
		return append(items, *new(T))[0], err
	}
	return *new(T), store.ErrNotFound
}

// GetPolicy implements store.PolicyReader.
func (r reader) GetPolicy(ctx context.Context, key store.PolicyKey) (store.Policy, error) {
	if err := key.Check(); err != nil {
		return store.Policy{}, err
	}
	p, err := first(ctx, r, "SELECT "+policyColumns+" FROM policies WHERE namespace = $1 AND name = $2",
		[]any{key.Namespace, key.Name}, scanPolicy)
	if err != nil {
		return store.Policy{}, fmt.Errorf("%s: %w", key.Resource(), err)
	}
	return p, nil
}

// ListPolicies implements store.PolicyReader.
func (r reader) ListPolicies(ctx context.Context, query store.PolicyQuery) (store.Page[store.Policy], error) {
	if err := checkFilters(append([]string{query.NamePrefix}, query.Namespaces...)...); err != nil {
		return store.Page[store.Policy]{}, err
	}
	for _, state := range query.States {
		if err := state.Check(); err != nil {
			return store.Page[store.Policy]{}, err
		}
	}
	l := listing[store.Policy]{
		table: "policies", columns: policyColumns, order: []string{"namespace", "name"}, parts: []part{textPart, textPart},
		scan: scanPolicy, key: func(p store.Policy) []any { return []any{p.Namespace, p.Name} },
	}
	among(&l.where, "namespace", query.Namespaces)
	among(&l.where, "state", query.States)
	l.where.prefix("name", query.NamePrefix)
	return l.page(ctx, r, query.PageRequest)
}

// PoliciesInForce implements store.PolicyReader.
func (r reader) PoliciesInForce(ctx context.Context) (store.PolicySet, error) {
	var set store.PolicySet
	err := r.view(ctx, func(r reader) error {
		h, err := r.readHead(ctx, "")
		if err != nil {
			return err
		}
		set.Version, set.KillSwitch = h.version, h.kill
		set.Policies, err = collect(ctx, r,
			"SELECT "+policyColumns+" FROM policies WHERE state IN ($1, $2) ORDER BY namespace, name",
			[]any{string(store.StatePreview), string(store.StateEnforced)}, scanPolicy)
		return err
	})
	if err != nil {
		return store.PolicySet{}, fmt.Errorf("read the policies in force: %w", err)
	}
	return set, nil
}

// PolicyVersion implements store.PolicyReader.
func (r reader) PolicyVersion(ctx context.Context) (uint64, error) {
	h, err := r.readHead(ctx, "")
	if err != nil {
		return 0, fmt.Errorf("read the version of the policies: %w", err)
	}
	return h.version, nil
}

// GetKillSwitch implements store.PolicyReader.
func (r reader) GetKillSwitch(ctx context.Context) (store.KillSwitch, error) {
	h, err := r.readHead(ctx, "")
	if err != nil {
		return store.KillSwitch{}, fmt.Errorf("read the kill switch: %w", err)
	}
	return h.kill, nil
}

// GetPolicyRevision implements store.PolicyReader.
func (r reader) GetPolicyRevision(ctx context.Context, key store.PolicyKey, revision store.Revision) (store.PolicyRevision, error) {
	if err := key.Check(); err != nil {
		return store.PolicyRevision{}, err
	}
	p, err := first(ctx, r, "SELECT "+revisionColumns+" FROM policy_revisions WHERE namespace = $1 AND name = $2 AND revision = $3",
		[]any{key.Namespace, key.Name, int64(revision)}, scanRevision)
	if err != nil {
		return store.PolicyRevision{}, fmt.Errorf("revision %d of %s: %w", revision, key.Resource(), err)
	}
	return p, nil
}

// ListPolicyRevisions implements store.PolicyReader.
func (r reader) ListPolicyRevisions(
	ctx context.Context, key store.PolicyKey, request store.PageRequest,
) (store.Page[store.PolicyRevision], error) {
	if err := key.Check(); err != nil {
		return store.Page[store.PolicyRevision]{}, err
	}
	l := listing[store.PolicyRevision]{
		table: "policy_revisions", columns: revisionColumns, order: []string{"revision"}, parts: []part{intPart}, newest: true,
		scan: scanRevision, key: func(p store.PolicyRevision) []any { return []any{int64(p.Revision)} },
	}
	l.where.equal("namespace", key.Namespace)
	l.where.equal("name", key.Name)
	return l.page(ctx, r, request)
}
