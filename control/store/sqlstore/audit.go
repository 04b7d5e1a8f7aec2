package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/phoenix-platform/phoenix/control/store"
)

const auditColumns = "seq, at, principal, action, outcome, resource, namespace, origin, request_id, detail, before_sha256, after_sha256, previous, hash"

func scanRecord(row scanner) (store.AuditRecord, error) {
	var a store.AuditRecord
	var detail string
	err := row.Scan(&a.Seq, timeColumn{&a.Time}, &a.Principal, &a.Action, &a.Outcome, &a.Resource, &a.Namespace, &a.Origin, &a.RequestID,
		&detail, digestColumn{&a.Before}, digestColumn{&a.After}, digestColumn{&a.Previous}, digestColumn{&a.Hash})
	if err == nil && detail != "" {
		if err = json.Unmarshal([]byte(detail), &a.Detail); err != nil {
			err = fmt.Errorf("%w: detail of audit entry %d: %w", store.ErrCorrupt, a.Seq, err)
		}
	}
	return a, err
}

// about fills in what the store knows better than the caller.
func about(entry store.Entry, resource, namespace string) store.Entry {
	entry.Resource, entry.Namespace, entry.Outcome = resource, namespace, store.OutcomeDone
	return entry
}

// AppendAudit implements store.AuditWriter.
func (t *tx) AppendAudit(ctx context.Context, entry store.Entry) (store.AuditRecord, error) {
	if entry.Outcome == "" {
		entry.Outcome = store.OutcomeDone
	}
	if err := entry.Check(); err != nil {
		return store.AuditRecord{}, err
	}
	return t.record(ctx, entry, store.Digest{}, store.Digest{})
}

// record appends a checked entry to the log.
func (t *tx) record(ctx context.Context, entry store.Entry, before, after store.Digest) (store.AuditRecord, error) {
	a := store.AuditRecord{Time: t.now, Entry: entry, Before: before, After: after}
	t.head.chain.Append(&a)
	return a, t.saveRecord(ctx, a)
}

func (t *tx) saveRecord(ctx context.Context, a store.AuditRecord) error {
	detail := ""
	if len(a.Detail) > 0 {
		text, err := json.Marshal(a.Detail)
		if err != nil {
			return fmt.Errorf("detail of an audit entry: %w", err)
		}
		detail = string(text)
	}
	_, err := t.exec(ctx, "INSERT INTO audit ("+auditColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
		int64(a.Seq), micros(a.Time), a.Principal, a.Action, string(a.Outcome), a.Resource, a.Namespace, a.Origin, a.RequestID, //nolint:gosec // far below
		detail, a.Before[:], a.After[:], a.Previous[:], a.Hash[:])
	if err != nil {
		return fmt.Errorf("append to the audit log: %w", err)
	}
	return nil
}

// ListAudit implements store.AuditReader.
func (r reader) ListAudit(ctx context.Context, query store.AuditQuery) (store.Page[store.AuditRecord], error) {
	if err := checkFilters(append([]string{query.Principal, query.Action, query.Resource}, query.Namespaces...)...); err != nil {
		return store.Page[store.AuditRecord]{}, err
	}
	l := listing[store.AuditRecord]{
		table: "audit", columns: auditColumns, order: []string{"at", "seq"}, parts: []part{intPart, intPart}, newest: true,
		scan: scanRecord,
		key:  func(a store.AuditRecord) []any { return []any{micros(a.Time), int64(a.Seq)} }, //nolint:gosec // far below
	}
	if !query.From.IsZero() {
		l.where.compare("at", ">=", query.From.UnixMicro())
	}
	if !query.To.IsZero() {
		l.where.compare("at", "<", query.To.UnixMicro())
	}
	l.where.equal("principal", query.Principal)
	l.where.equal("action", query.Action)
	l.where.equal("resource", query.Resource)
	among(&l.where, "namespace", query.Namespaces)
	return l.page(ctx, r, query.PageRequest)
}

// VerifyAudit implements store.AuditReader.
func (r reader) VerifyAudit(ctx context.Context, span store.AuditRange) (store.AuditProof, error) {
	var proof store.AuditProof
	err := r.patientView(ctx, func(r reader) error {
		h, err := r.readHead(ctx, "")
		if err != nil {
			return err
		}
		if proof, err = r.verify(ctx, span, h.chain); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return store.AuditProof{}, fmt.Errorf("verify the audit log: %w", err)
	}
	return proof, nil
}

// verify walks over the part of the log that ends at end or before.
func (r reader) verify(ctx context.Context, span store.AuditRange, end store.Chain) (store.AuditProof, error) {
	first, last := max(span.First, 1), span.Last
	if last == 0 {
		last = end.Seq
	}
	if last > end.Seq || first > last+1 || first > last && end.Seq > 0 {
		return store.AuditProof{}, &store.InvalidError{
			Field: "range", Reason: fmt.Sprintf("%d to %d: the log has %d entries", first, last, end.Seq),
		}
	}
	var chain store.Chain
	if first > 1 { // where the first record has to be linked to
		chain.Seq = first - 1
		err := r.one(ctx, "SELECT hash FROM audit WHERE seq = $1", []any{int64(chain.Seq)}, digestColumn{&chain.Hash}) //nolint:gosec // far below
		if errors.Is(err, store.ErrNotFound) {
			return store.AuditProof{}, &store.ChainError{Seq: chain.Seq, Reason: "it is missing"}
		} else if err != nil {
			return store.AuditProof{}, err
		}
	}
	err := r.each(ctx, "SELECT "+auditColumns+" FROM audit WHERE seq BETWEEN $1 AND $2 ORDER BY seq",
		[]any{int64(first), int64(last)}, //nolint:gosec // far below
		func(row scanner) error { return checkRow(row, &chain) })
	switch {
	case err != nil:
		return store.AuditProof{}, err
	case chain.Seq != last:
		return store.AuditProof{}, &store.ChainError{Seq: chain.Seq + 1, Reason: "it is missing"}
	case last < end.Seq:
		return store.AuditProof{AuditRange: store.AuditRange{First: first, Last: last}, Hash: chain.Hash}, nil
	case chain != end:
		return store.AuditProof{}, &store.ChainError{Seq: last, Reason: "it is not the last one that was written"}
	}
	return store.AuditProof{AuditRange: store.AuditRange{First: first, Last: last}, Hash: chain.Hash}, r.nothingBeyond(ctx, last)
}

func checkRow(row scanner, chain *store.Chain) error {
	record, err := scanRecord(row)
	if err != nil {
		return &store.ChainError{Seq: chain.Seq + 1, Reason: err.Error()}
	}
	return chain.Check(&record)
}

// nothingBeyond finds records that nobody appended.
func (r reader) nothingBeyond(ctx context.Context, last uint64) error {
	var strange uint64
	err := r.one(ctx, "SELECT seq FROM audit WHERE seq > $1 OR seq < 1 LIMIT 1", []any{int64(last)}, &strange) //nolint:gosec // far below
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return &store.ChainError{Seq: strange, Reason: "it was added"}
}

// checkFilters refuses text that no stored text is equal to and that a database
// may not understand.
func checkFilters(texts ...string) error {
	for _, s := range texts {
		bad := func(c rune) bool { return unicode.IsControl(c) || c == utf8.MaxRune }
		for i, c := range s {
			if _, size := utf8.DecodeRuneInString(s[i:]); bad(c) || c == utf8.RuneError && size == 1 {
				return &store.InvalidError{Field: "filter", Reason: fmt.Sprintf("%q is not text", s)}
			}
		}
	}
	return nil
}
