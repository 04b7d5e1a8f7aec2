package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// AuditReader reads the audit log.
type AuditReader interface {
	// ListAudit is sorted by time, the newest first.
	ListAudit(context.Context, AuditQuery) (Page[AuditRecord], error)
	// VerifyAudit recomputes a part of the log. The error is a *ChainError if it
	// was edited. Somebody who can write to the database can also write a whole
	// new log: to find that, note AuditProof.Hash elsewhere now and then, and
	// compare it with the proof of the same range later.
	VerifyAudit(context.Context, AuditRange) (AuditProof, error)
}

// AuditWriter adds to the audit log what changes nothing, such as a refusal.
type AuditWriter interface {
	AppendAudit(context.Context, Entry) (AuditRecord, error)
}

// Outcome says whether something was done.
type Outcome string

// The outcomes.
const (
	OutcomeDone    Outcome = "done"
	OutcomeRefused Outcome = "refused"
	OutcomeFailed  Outcome = "failed"
)

// Entry says who does something, and from where. A method that writes fills in
// Resource, Namespace and Outcome by itself.
type Entry struct {
	// Principal is who does it.
	Principal string
	// Action is what, such as policies.enforce.
	Action string
	// Outcome default: done.
	Outcome Outcome
	// Resource is to what, such as policies/shop/drop-pod; Namespace is that of
	// the resource.
	Resource, Namespace string
	// Origin is from where, such as the client's address; RequestID finds the
	// request in logs and traces.
	Origin, RequestID string
	// Detail is what else matters, such as force: at most 32 entries.
	Detail map[string]string
}

// AuditRecord is an entry of the audit log.
type AuditRecord struct {
	// Seq counts from 1 without gaps.
	Seq uint64
	// Time is that of the store's clock. With several replicas it may run
	// backwards by the difference of their clocks.
	Time time.Time
	Entry
	// Before and After are the Digests of what was changed, zero if there was
	// nothing before or is nothing after.
	Before, After Digest
	// Previous is the Hash of the record before; zero in the first.
	Previous Digest
	// Hash is SHA-256 over the bytes of Previous and Canonical.
	Hash Digest
}

// Canonical is the record as canonical JSON (RFC 8785) without its hashes.
// Fields that are empty are left out.
func (r AuditRecord) Canonical() []byte {
	o := object{
		"seq": r.Seq, "time": canonicalTime(r.Time),
		"principal": r.Principal, "action": r.Action, "outcome": string(r.Outcome),
	}
	for key, value := range map[string]string{
		"resource": r.Resource, "namespace": r.Namespace, "origin": r.Origin, "request_id": r.RequestID,
		"before": r.Before.text(), "after": r.After.text(),
	} {
		if value != "" {
			o[key] = value
		}
	}
	if len(r.Detail) > 0 {
		detail := object{}
		for key, value := range r.Detail {
			detail[key] = value
		}
		o["detail"] = detail
	}
	return o.append(nil)
}

// AuditQuery selects records. Everything that is given must hold.
type AuditQuery struct {
	// From is inclusive, To exclusive. Default: no bound.
	From, To time.Time
	// Principal, Action and Resource are exact. Default: all.
	Principal, Action, Resource string
	// Namespaces are the only ones looked at. Default: all, also records that
	// have none. An empty list that is not nil selects nothing.
	Namespaces []string
	PageRequest
}

// AuditRange is a part of the log by sequence numbers, both inclusive.
type AuditRange struct {
	// First default: the first record. Last default: the last record.
	First, Last uint64
}

// AuditProof says what was verified.
type AuditProof struct {
	AuditRange
	// Hash is that of the last record of the range; zero if the log is empty.
	Hash Digest
}

// Chain is the end of an audit log. The zero value is an empty log.
type Chain struct {
	Seq  uint64
	Hash Digest
}

// Append links a record to the end: it sets Seq, Previous and Hash.
func (c *Chain) Append(r *AuditRecord) {
	r.Seq = c.Seq + 1
	r.Previous = c.Hash
	r.Hash = r.hash()
	c.Seq, c.Hash = r.Seq, r.Hash
}

// Check moves the end to a record that was read, or says why it does not
// follow. The error is a *ChainError.
func (c *Chain) Check(r *AuditRecord) error {
	expected := c.Seq + 1
	switch {
	case r.Seq != expected:
		return &ChainError{Seq: expected, Reason: fmt.Sprintf("it is missing, entry %d follows", r.Seq)}
	case r.Previous != c.Hash:
		return &ChainError{Seq: r.Seq, Reason: "it does not follow the entry before"}
	case r.Hash != r.hash():
		return &ChainError{Seq: r.Seq, Reason: "its content is not what was written"}
	}
	c.Seq, c.Hash = r.Seq, r.Hash
	return nil
}

func (r AuditRecord) hash() Digest {
	return SumSHA256(append(r.Previous[:], r.Canonical()...))
}

// Check says what of the entry cannot be stored.
func (e Entry) Check() error {
	errs := errors.Join(
		checkText("principal", e.Principal, true),
		checkText("action", e.Action, true),
		checkText("resource", e.Resource, false),
		checkText("namespace", e.Namespace, false),
		checkText("origin", e.Origin, false),
		checkText("request_id", e.RequestID, false),
	)
	switch e.Outcome {
	case OutcomeDone, OutcomeRefused, OutcomeFailed:
	default:
		errs = errors.Join(errs, &InvalidError{"outcome", fmt.Sprintf("%q is none", e.Outcome)})
	}
	if len(e.Detail) > maxDetail {
		errs = errors.Join(errs, &InvalidError{"detail", fmt.Sprintf("has %d entries, more than %d", len(e.Detail), maxDetail)})
	}
	for key, value := range e.Detail {
		errs = errors.Join(errs, checkText("detail", key, true), checkProse("detail."+key, value))
	}
	return errs
}
