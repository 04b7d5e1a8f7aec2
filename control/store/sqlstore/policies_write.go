package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phoenix-platform/phoenix/control/store"
)

// CreatePolicy implements store.PolicyWriter.
func (t *tx) CreatePolicy(ctx context.Context, n store.NewPolicy, entry store.Entry) (store.Policy, error) {
	if n.State == "" {
		n.State = store.StateDraft
	}
	entry = about(entry, n.Resource(), n.Namespace)
	if err := errors.Join(n.Check(), entry.Check()); err != nil {
		return store.Policy{}, err
	}
	switch _, err := t.GetPolicy(ctx, n.PolicyKey); {
	case err == nil:
		return store.Policy{}, fmt.Errorf("%s: %w", n.Resource(), store.ErrExists)
	case !errors.Is(err, store.ErrNotFound):
		return store.Policy{}, err
	}
	p := store.Policy{
		PolicyKey: n.PolicyKey, Spec: blob(n.Spec), SpecSHA256: store.SumSHA256(n.Spec), State: n.State,
		CreatedAt: t.now, CreatedBy: entry.Principal,
	}
	err := t.one(ctx, "SELECT COALESCE(MAX(revision), 0) FROM policy_revisions WHERE namespace = $1 AND name = $2",
		[]any{p.Namespace, p.Name}, &p.Revision)
	if err == nil && n.RolledBackTo > p.Revision {
		err = fmt.Errorf("revision %d: %w", n.RolledBackTo, store.ErrNotFound)
	}
	if err == nil {
		p, err = t.savePolicy(ctx, p, change{entry: entry, rolledBackTo: n.RolledBackTo})
	}
	if err != nil {
		return store.Policy{}, fmt.Errorf("create %s: %w", n.Resource(), err)
	}
	return p, nil
}

// UpdatePolicy implements store.PolicyWriter.
func (t *tx) UpdatePolicy(ctx context.Context, u store.PolicyUpdate, entry store.Entry) (store.Policy, error) {
	entry = about(entry, u.Resource(), u.Namespace)
	if err := errors.Join(u.Check(), entry.Check()); err != nil {
		return store.Policy{}, err
	}
	before, err := t.presentPolicy(ctx, u.PolicyKey, u.If)
	if err != nil {
		return store.Policy{}, err
	}
	after := before
	if u.Spec != nil {
		after.Spec = u.Spec
	}
	if u.State != "" {
		after.State = u.State
	}
	return t.changePolicy(ctx, before, after, change{entry: entry})
}

// RollbackPolicy implements store.PolicyWriter.
func (t *tx) RollbackPolicy(ctx context.Context, b store.PolicyRollback, entry store.Entry) (store.Policy, error) {
	entry = about(entry, b.Resource(), b.Namespace)
	if err := errors.Join(b.Check(), entry.Check()); err != nil {
		return store.Policy{}, err
	}
	before, err := t.presentPolicy(ctx, b.PolicyKey, b.If)
	if err != nil {
		return store.Policy{}, err
	}
	old, err := t.GetPolicyRevision(ctx, b.PolicyKey, b.To)
	if err != nil {
		return store.Policy{}, err
	}
	if old.State == store.StateDeleted {
		return store.Policy{}, &store.InvalidError{Field: "to", Reason: fmt.Sprintf("revision %d is a deletion", b.To)}
	}
	after := before
	after.Spec, after.State = old.Spec, old.State
	if b.State != "" {
		after.State = b.State
	}
	return t.changePolicy(ctx, before, after, change{entry: entry, rolledBackTo: b.To})
}

// DeletePolicy implements store.PolicyWriter.
func (t *tx) DeletePolicy(ctx context.Context, key store.PolicyKey, condition store.Revision, entry store.Entry) error {
	entry = about(entry, key.Resource(), key.Namespace)
	if err := errors.Join(key.Check(), entry.Check()); err != nil {
		return err
	}
	p, err := t.presentPolicy(ctx, key, condition)
	if err != nil {
		return err
	}
	before := p.Digest()
	t.head.version++
	p.Revision++
	p.Version, p.State, p.UpdatedAt, p.UpdatedBy = t.head.version, store.StateDeleted, t.now, entry.Principal
	p.Spec, p.SpecSHA256 = []byte{}, store.SumSHA256(nil)
	_, err = t.exec(ctx, "DELETE FROM policies WHERE namespace = $1 AND name = $2", p.Namespace, p.Name)
	if err == nil {
		err = t.saveRevision(ctx, p, 0)
	}
	if err == nil {
		_, err = t.record(ctx, entry, before, store.Digest{})
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", key.Resource(), err)
	}
	return nil
}

// presentPolicy returns a policy whose revision is the one that the caller
// wants.
func (t *tx) presentPolicy(ctx context.Context, key store.PolicyKey, condition store.Revision) (store.Policy, error) {
	p, err := t.GetPolicy(ctx, key)
	if err == nil && condition != store.Any && condition != p.Revision {
		err = &store.ConflictError{Resource: key.Resource(), Present: p.Revision}
	}
	return p, err
}

// change is why a policy becomes another.
type change struct {
	entry        store.Entry
	before       store.Digest
	rolledBackTo store.Revision
}

// changePolicy makes a revision if there is a difference.
func (t *tx) changePolicy(ctx context.Context, before, after store.Policy, why change) (store.Policy, error) {
	var err error
	why.before = before.Digest()
	if bytes.Equal(before.Spec, after.Spec) && before.State == after.State {
		after = before
		_, err = t.record(ctx, why.entry, why.before, why.before)
	} else {
		after, err = t.savePolicy(ctx, after, why)
	}
	if err != nil {
		return store.Policy{}, fmt.Errorf("change %s: %w", before.Resource(), err)
	}
	return after, nil
}

// savePolicy writes the revision that follows p.Revision, with its audit entry.
func (t *tx) savePolicy(ctx context.Context, p store.Policy, why change) (store.Policy, error) {
	t.head.version++
	p.Revision++
	p.Version, p.UpdatedAt, p.UpdatedBy = t.head.version, t.now, why.entry.Principal
	p.Spec, p.SpecSHA256 = blob(p.Spec), store.SumSHA256(p.Spec)
	_, err := t.exec(ctx, "INSERT INTO policies ("+policyColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"+
		" ON CONFLICT (namespace, name) DO UPDATE SET spec = excluded.spec, spec_sha256 = excluded.spec_sha256, state = excluded.state,"+
		" revision = excluded.revision, version = excluded.version, updated_at = excluded.updated_at, updated_by = excluded.updated_by",
		p.Namespace, p.Name, p.Spec, p.SpecSHA256[:], string(p.State), int64(p.Revision), int64(p.Version), //nolint:gosec // far below
		micros(p.CreatedAt), p.CreatedBy, micros(p.UpdatedAt), p.UpdatedBy)
	if err == nil {
		err = t.saveRevision(ctx, p, why.rolledBackTo)
	}
	if err == nil {
		_, err = t.record(ctx, why.entry, why.before, p.Digest())
	}
	return p, err
}

func (t *tx) saveRevision(ctx context.Context, p store.Policy, rolledBackTo store.Revision) error {
	_, err := t.exec(ctx, "INSERT INTO policy_revisions ("+revisionColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		p.Namespace, p.Name, int64(p.Revision), p.Spec, p.SpecSHA256[:], string(p.State), int64(p.Version), //nolint:gosec // far below
		micros(p.UpdatedAt), p.UpdatedBy, int64(rolledBackTo))
	return err
}

// SetKillSwitch implements store.PolicyWriter.
func (t *tx) SetKillSwitch(ctx context.Context, u store.KillSwitchUpdate, entry store.Entry) (store.KillSwitch, error) {
	entry = about(entry, store.KillSwitchResource, "")
	if err := errors.Join(u.Check(), entry.Check()); err != nil {
		return store.KillSwitch{}, err
	}
	before, after := t.head.kill, t.head.kill
	if before.On != u.On || before.Reason != u.Reason {
		t.head.version++
		after = store.KillSwitch{On: u.On, Reason: u.Reason, At: t.now, By: entry.Principal, Version: t.head.version}
		if !u.At.IsZero() {
			after.At = u.At.UTC().Truncate(time.Microsecond)
		}
	}
	t.head.kill = after
	if _, err := t.record(ctx, entry, before.Digest(), after.Digest()); err != nil {
		return store.KillSwitch{}, fmt.Errorf("turn the kill switch: %w", err)
	}
	return after, nil
}
