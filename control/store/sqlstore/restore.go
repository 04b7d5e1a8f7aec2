package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/archive"
)

// tables are all that a restore fills, besides head.
var tables = []string{
	"policies", "policy_revisions", "experiments", "experiment_states", "price_models", "api_keys", "audit", "responses", "facts", "series", "samples_fine", "samples_coarse",
}

// Restore implements store.Archiver.
func (s *Store) Restore(ctx context.Context, r io.Reader) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := t.checkEmpty(ctx); err != nil {
			return err
		}
		if patient := s.engine.Patient; patient != "" {
			if _, err := t.exec(ctx, patient); err != nil {
				return err
			}
		}
		f := filling{tx: t, series: map[seriesName]int64{}}
		if err := archive.Read(r, func(record archive.Record) error { return f.add(ctx, record) }); err != nil {
			return err
		}
		return f.end()
	})
	if err != nil {
		return fmt.Errorf("restore the store: %w", err)
	}
	return nil
}

func (t *tx) checkEmpty(ctx context.Context) error {
	if t.head != (head{}) {
		return store.ErrNotEmpty
	}
	for _, table := range tables {
		var there int64
		switch err := t.one(ctx, "SELECT 1 FROM "+table+" LIMIT 1", nil, &there); {
		case err == nil:
			return fmt.Errorf("%w: table %s has rows", store.ErrNotEmpty, table)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	return nil
}

// filling is a restore that is under way.
type filling struct {
	*tx
	head   *archive.Head
	chain  store.Chain
	series map[seriesName]int64
}

func (f *filling) add(ctx context.Context, r archive.Record) error {
	var err error
	switch {
	case r.Head != nil && f.head != nil, r.Head == nil && f.head == nil:
		err = errors.New("a backup has one head, and it comes first")
	case r.Head != nil:
		f.head = r.Head
	case r.Revision != nil:
		err = f.addRevision(ctx, r.Revision)
	case r.Policy != nil:
		err = f.addPolicy(ctx, r.Policy)
	case r.Experiment != nil:
		err = f.addExperiment(ctx, r.Experiment)
	case r.PriceModel != nil:
		err = f.addPriceModel(ctx, r.PriceModel)
	case r.APIKey != nil:
		err = f.addKey(ctx, r.APIKey)
	case r.Audit != nil:
		err = f.addAudit(ctx, r.Audit)
	case r.Response != nil:
		err = f.addResponse(ctx, r.Response)
	case r.Fact != nil:
		err = f.addFact(ctx, r.Fact)
	case r.History != nil:
		err = f.addHistory(ctx, r.History)
	}
	// What the database or the caller's context says stands as it is.
	if err == nil || *f.failed != nil || errors.Is(err, store.ErrChainBroken) {
		return err
	}
	return fmt.Errorf("%w backup: %w", store.ErrCorrupt, err)
}

// end checks what can only be known at the end, and sets the head.
func (f *filling) end() error {
	switch {
	case f.head == nil:
		return fmt.Errorf("%w backup: it has no head", store.ErrCorrupt)
	case f.chain.Seq != f.head.AuditSeq:
		return &store.ChainError{Seq: f.chain.Seq + 1, Reason: "it is missing"}
	case f.chain.Hash != f.head.AuditHash:
		return &store.ChainError{Seq: f.chain.Seq, Reason: "it is not the last one that was written"}
	case f.head.PolicyVersion > math.MaxInt64-store.VersionJump:
		return fmt.Errorf("%w backup: policies of version %d", store.ErrCorrupt, f.head.PolicyVersion)
	}
	f.tx.head = head{
		chain: f.chain, version: f.head.PolicyVersion + store.VersionJump, kill: store.KillSwitch(f.head.KillSwitch),
		rolledUntil: f.head.RolledUntil,
	}
	return nil
}

func (f *filling) addRevision(ctx context.Context, p *archive.Revision) error {
	key := store.PolicyKey{Namespace: p.Namespace, Name: p.Name}
	if err := (store.NewPolicy{PolicyKey: key, Spec: p.Spec, State: store.StateDraft}).Check(); err != nil {
		return err
	}
	if err := p.State.Check(); err != nil && p.State != store.StateDeleted {
		return err
	}
	return f.saveRevision(ctx, store.Policy{
		PolicyKey: key, Revision: p.Revision, Spec: blob(p.Spec), SpecSHA256: store.SumSHA256(p.Spec), State: p.State, Version: p.Version,
		UpdatedAt: p.At, UpdatedBy: p.By,
	}, p.RolledBackTo)
}

func (f *filling) addPolicy(ctx context.Context, p *archive.Policy) error {
	n, err := f.exec(ctx, "INSERT INTO policies ("+policyColumns+")"+
		" SELECT namespace, name, spec, spec_sha256, state, revision, version, $1, $2, made_at, made_by FROM policy_revisions"+
		" WHERE namespace = $3 AND name = $4 AND revision = $5 AND state <> $6",
		micros(p.CreatedAt), p.CreatedBy, p.Namespace, p.Name, int64(p.Revision), string(store.StateDeleted))
	if err == nil && n != 1 {
		err = fmt.Errorf("there is no revision %d of policy %q", p.Revision, p.Namespace+"/"+p.Name)
	}
	return err
}

func (f *filling) addExperiment(ctx context.Context, a *archive.Experiment) error {
	key := store.ExperimentKey{Namespace: a.Namespace, Name: a.Name}
	fresh := store.NewExperiment{ExperimentKey: key, Spec: a.Spec, State: a.State, Phase: a.Phase}
	update := store.ExperimentUpdate{ExperimentKey: key, Evidence: a.Evidence, PromotedPolicy: a.PromotedPolicy}
	if err := errors.Join(fresh.Check(), update.Check()); err != nil {
		return err
	}
	return f.saveExperiment(ctx, store.Experiment{
		ExperimentKey: key, Spec: a.Spec, SpecSHA256: store.SumSHA256(a.Spec), State: a.State, Evidence: a.Evidence,
		Phase: a.Phase, Active: a.Active, Revision: a.Revision, PromotedPolicy: a.PromotedPolicy,
		CreatedAt: a.CreatedAt, CreatedBy: a.CreatedBy, UpdatedAt: a.UpdatedAt, UpdatedBy: a.UpdatedBy,
	})
}

func (f *filling) addPriceModel(ctx context.Context, m *archive.PriceModel) error {
	if err := (store.PriceModelUpdate{Name: m.Name, Spec: m.Spec}).Check(); err != nil {
		return err
	}
	sum := store.SumSHA256(m.Spec)
	_, err := f.exec(ctx, "INSERT INTO price_models ("+priceColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		m.Name, blob(m.Spec), sum[:], int64(m.Revision), micros(m.CreatedAt), m.CreatedBy, micros(m.UpdatedAt), m.UpdatedBy)
	return err
}

func (f *filling) addKey(ctx context.Context, k *archive.APIKey) error {
	if err := (store.NewAPIKey{ID: k.ID, Name: k.Name, Hash: k.Hash, Scopes: k.Scopes, Namespaces: k.Namespaces}).Check(); err != nil {
		return err
	}
	return f.saveKey(ctx, store.APIKey{
		ID: k.ID, Name: k.Name, Hash: k.Hash, Scopes: k.Scopes, Namespaces: k.Namespaces, CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy,
		ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, RevokedBy: k.RevokedBy, LastUsedAt: k.LastUsedAt,
	})
}

func (f *filling) addAudit(ctx context.Context, a *archive.Audit) error {
	record := store.AuditRecord{
		Seq: a.Seq, Time: a.Time, Before: a.Before, After: a.After, Previous: a.Previous, Hash: a.Hash,
		Entry: store.Entry{
			Principal: a.Principal, Action: a.Action, Outcome: a.Outcome, Resource: a.Resource, Namespace: a.Namespace,
			Origin: a.Origin, RequestID: a.RequestID, Detail: a.Detail,
		},
	}
	if err := errors.Join(record.Check(), f.chain.Check(&record)); err != nil {
		return err
	}
	return f.saveRecord(ctx, record)
}

func (f *filling) addResponse(ctx context.Context, a *archive.Response) error {
	response := store.Response{
		IdempotencyKey: store.IdempotencyKey{Principal: a.Principal, Key: a.Key}, Request: a.Request, Status: a.Status, Body: a.Body,
		CreatedAt: a.CreatedAt, ExpiresAt: a.ExpiresAt,
	}
	if err := response.Check(); err != nil {
		return err
	}
	return f.saveResponse(ctx, response)
}

func (f *filling) addFact(ctx context.Context, a *archive.Fact) error {
	if err := (store.FactUpdate{Key: a.Key, Value: a.Value}).Check(); err != nil {
		return err
	}
	_, err := f.exec(ctx, "INSERT INTO facts ("+factColumns+") VALUES ($1, $2, $3, $4, $5)",
		a.Key, blob(a.Value), int64(a.Revision), micros(a.UpdatedAt), a.UpdatedBy)
	return err
}

func (f *filling) addHistory(ctx context.Context, h *archive.History) error {
	if err := (store.Sample{Kind: h.Kind, Key: h.Key}).Check(); err != nil {
		return err
	}
	name := seriesName{h.Kind, h.Key}
	id := f.series[name]
	if id == 0 {
		err := f.one(ctx, "INSERT INTO series (kind, series_key) VALUES ($1, $2) RETURNING id", []any{h.Kind, h.Key}, &id)
		if err != nil {
			return err
		}
		f.series[name] = id
	}
	fine := bulk{table: "samples_fine", columns: "series_id, at, value"}
	for _, p := range h.Fine {
		fine.rows = append(fine.rows, []any{id, p.At, p.Value})
	}
	coarse := bulk{table: "samples_coarse", columns: "series_id, at, mean, low, high, count"}
	for _, p := range h.Coarse {
		coarse.rows = append(coarse.rows, []any{id, p.At, p.Mean, p.Low, p.High, p.Count})
	}
	return errors.Join(fine.insert(ctx, f.reader), coarse.insert(ctx, f.reader))
}
