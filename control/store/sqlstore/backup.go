package sqlstore

import (
	"context"
	"fmt"
	"io"

	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/archive"
)

// Backup implements store.Archiver.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	err := s.patientView(ctx, func(r reader) error {
		out, err := archive.NewWriter(w, s.now())
		if err != nil {
			return err
		}
		for _, dump := range []func(context.Context, reader, *archive.Writer) error{
			dumpHead, dumpRevisions, dumpPolicies, dumpExperiments, dumpPriceModels, dumpKeys, dumpAudit, dumpResponses, dumpFacts, dumpHistory,
		} {
			if err := dump(ctx, r, out); err != nil {
				return err
			}
		}
		return out.Close()
	})
	if err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	return nil
}

// dumpRows writes a record for each row.
func dumpRows[T any](
	ctx context.Context, r reader, out *archive.Writer, query string, scan func(scanner) (T, error), record func(T) archive.Record,
) error {
	return r.each(ctx, query, nil, func(row scanner) error {
		item, err := scan(row)
		if err != nil {
			return r.note(ctx, err)
		}
		return out.Write(record(item))
	})
}

func dumpHead(ctx context.Context, r reader, out *archive.Writer) error {
	h, err := r.readHead(ctx, "")
	if err != nil {
		return err
	}
	return out.Write(archive.Record{Head: &archive.Head{
		PolicyVersion: h.version, AuditSeq: h.chain.Seq, AuditHash: h.chain.Hash, RolledUntil: h.rolledUntil,
		KillSwitch: archive.KillSwitch(h.kill),
	}})
}

func dumpRevisions(ctx context.Context, r reader, out *archive.Writer) error {
	query := "SELECT " + revisionColumns + " FROM policy_revisions ORDER BY namespace, name, revision"
	return dumpRows(ctx, r, out, query, scanRevision, func(p store.PolicyRevision) archive.Record {
		return archive.Record{Revision: &archive.Revision{
			Namespace: p.Namespace, Name: p.Name, Revision: p.Revision, Spec: p.Spec, State: p.State, Version: p.Version,
			At: p.At, By: p.By, RolledBackTo: p.RolledBackTo,
		}}
	})
}

func dumpPolicies(ctx context.Context, r reader, out *archive.Writer) error {
	query := "SELECT " + policyColumns + " FROM policies ORDER BY namespace, name"
	return dumpRows(ctx, r, out, query, scanPolicy, func(p store.Policy) archive.Record {
		return archive.Record{Policy: &archive.Policy{
			Namespace: p.Namespace, Name: p.Name, Revision: p.Revision, CreatedAt: p.CreatedAt, CreatedBy: p.CreatedBy,
		}}
	})
}

func dumpExperiments(ctx context.Context, r reader, out *archive.Writer) error {
	query := "SELECT " + experimentColumns + ", evidence FROM " + experimentTable + " ORDER BY namespace, name"
	return dumpRows(ctx, r, out, query, scanWhole, func(e store.Experiment) archive.Record {
		return archive.Record{Experiment: &archive.Experiment{
			Namespace: e.Namespace, Name: e.Name, Spec: e.Spec, State: e.State, Evidence: e.Evidence, Phase: e.Phase, Active: e.Active,
			Revision: e.Revision, PromotedPolicy: e.PromotedPolicy,
			CreatedAt: e.CreatedAt, CreatedBy: e.CreatedBy, UpdatedAt: e.UpdatedAt, UpdatedBy: e.UpdatedBy,
		}}
	})
}

func dumpPriceModels(ctx context.Context, r reader, out *archive.Writer) error {
	query := "SELECT " + priceColumns + " FROM price_models ORDER BY name"
	return dumpRows(ctx, r, out, query, scanPriceModel, func(m store.PriceModel) archive.Record {
		return archive.Record{PriceModel: &archive.PriceModel{
			Name: m.Name, Spec: m.Spec, Revision: m.Revision,
			CreatedAt: m.CreatedAt, CreatedBy: m.CreatedBy, UpdatedAt: m.UpdatedAt, UpdatedBy: m.UpdatedBy,
		}}
	})
}

func dumpKeys(ctx context.Context, r reader, out *archive.Writer) error {
	query := "SELECT " + keyColumns + " FROM api_keys ORDER BY id"
	return dumpRows(ctx, r, out, query, scanKey, func(k store.APIKey) archive.Record {
		return archive.Record{APIKey: &archive.APIKey{
			ID: k.ID, Name: k.Name, Hash: k.Hash, Scopes: k.Scopes, Namespaces: k.Namespaces, CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy,
			ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, RevokedBy: k.RevokedBy, LastUsedAt: k.LastUsedAt,
		}}
	})
}

func dumpAudit(ctx context.Context, r reader, out *archive.Writer) error {
	query := "SELECT " + auditColumns + " FROM audit ORDER BY seq"
	return dumpRows(ctx, r, out, query, scanRecord, func(a store.AuditRecord) archive.Record {
		return archive.Record{Audit: &archive.Audit{
			Seq: a.Seq, Time: a.Time, Principal: a.Principal, Action: a.Action, Outcome: a.Outcome, Resource: a.Resource,
			Namespace: a.Namespace, Origin: a.Origin, RequestID: a.RequestID, Detail: a.Detail,
			Before: a.Before, After: a.After, Previous: a.Previous, Hash: a.Hash,
		}}
	})
}

func dumpResponses(ctx context.Context, r reader, out *archive.Writer) error {
	query := "SELECT " + responseColumns + " FROM responses ORDER BY principal, request_key"
	return dumpRows(ctx, r, out, query, scanResponse, func(a store.Response) archive.Record {
		return archive.Record{Response: &archive.Response{
			Principal: a.Principal, Key: a.Key, Request: a.Request, Status: a.Status, Body: a.Body,
			CreatedAt: a.CreatedAt, ExpiresAt: a.ExpiresAt,
		}}
	})
}

func dumpFacts(ctx context.Context, r reader, out *archive.Writer) error {
	query := "SELECT " + factColumns + " FROM facts ORDER BY fact_key"
	return dumpRows(ctx, r, out, query, scanFact, func(f store.Fact) archive.Record {
		return archive.Record{Fact: &archive.Fact{
			Key: f.Key, Value: f.Value, Revision: f.Revision, UpdatedAt: f.UpdatedAt, UpdatedBy: f.UpdatedBy,
		}}
	})
}

// dumpHistory writes series by series, a bounded number of points in a record.
func dumpHistory(ctx context.Context, r reader, out *archive.Writer) error {
	part := archive.History{}
	flush := func() error {
		if len(part.Fine)+len(part.Coarse) == 0 {
			return nil
		}
		err := out.Write(archive.Record{History: &part})
		part = archive.History{}
		return err
	}
	// add makes room for a point of a series.
	add := func(kind, key string) error {
		if kind != part.Kind || key != part.Key || len(part.Fine)+len(part.Coarse) == archive.MaxPoints {
			if err := flush(); err != nil {
				return err
			}
		}
		part.Kind, part.Key = kind, key
		return nil
	}
	err := r.each(ctx, "SELECT s.kind, s.series_key, f.at, f.value FROM series s JOIN samples_fine f ON f.series_id = s.id"+
		" ORDER BY s.id, f.at", nil, func(row scanner) error {
		var kind, key string
		var p archive.Fine
		err := r.note(ctx, row.Scan(&kind, &key, &p.At, &p.Value))
		if err == nil {
			err = add(kind, key)
		}
		part.Fine = append(part.Fine, p)
		return err
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	err = r.each(ctx, "SELECT s.kind, s.series_key, c.at, c.mean, c.low, c.high, c.count FROM series s"+
		" JOIN samples_coarse c ON c.series_id = s.id ORDER BY s.id, c.at", nil, func(row scanner) error {
		var kind, key string
		var p archive.Coarse
		err := r.note(ctx, row.Scan(&kind, &key, &p.At, &p.Mean, &p.Low, &p.High, &p.Count))
		if err == nil {
			err = add(kind, key)
		}
		part.Coarse = append(part.Coarse, p)
		return err
	})
	if err != nil {
		return err
	}
	return flush()
}
