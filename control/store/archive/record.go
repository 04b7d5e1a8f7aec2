// Package archive is the format of a backup, which every engine writes and
// reads: gzip over lines of JSON. The first line says the version of the
// format, each following one holds a record, the last one the number of records
// and the SHA-256 of all lines before it, line ends included. `zcat` shows it.
package archive

import (
	"time"

	"github.com/phoenix-platform/phoenix/control/store"
)

// Version is that of the format. It changes when an older program could not
// restore all that is in a backup. Version 2 has experiments.
const Version = 2

// maxLine bounds a line: the three blobs of an experiment in base64, with room
// for the rest.
const maxLine = 3*(store.MaxBlob/3*4) + 1<<20

// header is the first line.
type header struct {
	Version int       `json:"phoenix_store_backup"`
	Created time.Time `json:"created"`
}

// trailer is the last line.
type trailer struct {
	Records int          `json:"records"`
	SHA256  store.Digest `json:"sha256"`
}

// Record is one line: exactly one field is set.
type Record struct {
	// Head comes first.
	Head *Head `json:"head,omitempty"`
	// Revision comes before the Policy that is at this revision.
	Revision   *Revision   `json:"revision,omitempty"`
	Policy     *Policy     `json:"policy,omitempty"`
	Experiment *Experiment `json:"experiment,omitempty"`
	PriceModel *PriceModel `json:"price_model,omitempty"`
	APIKey     *APIKey     `json:"api_key,omitempty"`
	// Audit comes in order.
	Audit    *Audit    `json:"audit,omitempty"`
	Response *Response `json:"response,omitempty"`
	Fact     *Fact     `json:"fact,omitempty"`
	History  *History  `json:"history,omitempty"`
}

// Head is what there is once.
type Head struct {
	PolicyVersion uint64       `json:"policy_version"`
	AuditSeq      uint64       `json:"audit_seq"`
	AuditHash     store.Digest `json:"audit_hash"`
	KillSwitch    KillSwitch   `json:"kill_switch"`
	RolledUntil   int64        `json:"rolled_until"`
}

// KillSwitch is a store.KillSwitch.
type KillSwitch struct {
	On      bool      `json:"on"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at,omitzero"`
	By      string    `json:"by,omitempty"`
	Version uint64    `json:"version"`
}

// Revision is a store.PolicyRevision.
type Revision struct {
	Namespace    string            `json:"namespace"`
	Name         string            `json:"name"`
	Revision     store.Revision    `json:"revision"`
	Spec         []byte            `json:"spec"`
	State        store.PolicyState `json:"state"`
	Version      uint64            `json:"version"`
	At           time.Time         `json:"at"`
	By           string            `json:"by"`
	RolledBackTo store.Revision    `json:"rolled_back_to,omitempty"`
}

// Policy says which revision of a policy is the present one.
type Policy struct {
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	Revision  store.Revision `json:"revision"`
	CreatedAt time.Time      `json:"created_at"`
	CreatedBy string         `json:"created_by"`
}

// Experiment is a store.Experiment.
type Experiment struct {
	Namespace      string         `json:"namespace"`
	Name           string         `json:"name"`
	Spec           []byte         `json:"spec"`
	State          []byte         `json:"state"`
	Evidence       []byte         `json:"evidence"`
	Phase          string         `json:"phase"`
	Active         bool           `json:"active"`
	Revision       store.Revision `json:"revision"`
	PromotedPolicy string         `json:"promoted_policy,omitempty"`
	CreatedAt      time.Time      `json:"created_at"`
	CreatedBy      string         `json:"created_by"`
	UpdatedAt      time.Time      `json:"updated_at"`
	UpdatedBy      string         `json:"updated_by"`
}

// PriceModel is a store.PriceModel.
type PriceModel struct {
	Name      string         `json:"name"`
	Spec      []byte         `json:"spec"`
	Revision  store.Revision `json:"revision"`
	CreatedAt time.Time      `json:"created_at"`
	CreatedBy string         `json:"created_by"`
	UpdatedAt time.Time      `json:"updated_at"`
	UpdatedBy string         `json:"updated_by"`
}

// APIKey is a store.APIKey.
type APIKey struct {
	ID         string       `json:"id"`
	Name       string       `json:"name,omitempty"`
	Hash       store.Digest `json:"hash"`
	Scopes     []string     `json:"scopes,omitempty"`
	Namespaces []string     `json:"namespaces,omitempty"`
	CreatedAt  time.Time    `json:"created_at"`
	CreatedBy  string       `json:"created_by"`
	ExpiresAt  time.Time    `json:"expires_at,omitzero"`
	RevokedAt  time.Time    `json:"revoked_at,omitzero"`
	RevokedBy  string       `json:"revoked_by,omitempty"`
	LastUsedAt time.Time    `json:"last_used_at,omitzero"`
}

// Audit is a store.AuditRecord.
type Audit struct {
	Seq       uint64            `json:"seq"`
	Time      time.Time         `json:"time"`
	Principal string            `json:"principal"`
	Action    string            `json:"action"`
	Outcome   store.Outcome     `json:"outcome"`
	Resource  string            `json:"resource,omitempty"`
	Namespace string            `json:"namespace,omitempty"`
	Origin    string            `json:"origin,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
	Before    store.Digest      `json:"before,omitzero"`
	After     store.Digest      `json:"after,omitzero"`
	Previous  store.Digest      `json:"previous"`
	Hash      store.Digest      `json:"hash"`
}

// Response is a store.Response.
type Response struct {
	Principal string       `json:"principal"`
	Key       string       `json:"key"`
	Request   store.Digest `json:"request"`
	Status    int          `json:"status"`
	Body      []byte       `json:"body"`
	CreatedAt time.Time    `json:"created_at"`
	ExpiresAt time.Time    `json:"expires_at"`
}

// Fact is a store.Fact.
type Fact struct {
	Key       string         `json:"key"`
	Value     []byte         `json:"value"`
	Revision  store.Revision `json:"revision"`
	UpdatedAt time.Time      `json:"updated_at"`
	UpdatedBy string         `json:"updated_by"`
}

// MaxPoints bounds the points of a History.
const MaxPoints = 1000

// History is a part of a series. Fine has the beginnings of steps and their
// values.
type History struct {
	Kind   string   `json:"kind"`
	Key    string   `json:"key"`
	Fine   []Fine   `json:"fine,omitempty"`
	Coarse []Coarse `json:"coarse,omitempty"`
}

// Fine is a value of five minutes.
type Fine struct {
	At    int64   `json:"t"`
	Value float64 `json:"v"`
}

// Coarse is an hour.
type Coarse struct {
	At    int64   `json:"t"`
	Mean  float64 `json:"mean"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Count int64   `json:"n"`
}

// set counts the fields that are set.
func (r Record) set() int {
	n := 0
	for _, is := range []bool{
		r.Head != nil, r.Revision != nil, r.Policy != nil, r.Experiment != nil, r.PriceModel != nil, r.APIKey != nil,
		r.Audit != nil, r.Response != nil, r.Fact != nil, r.History != nil,
	} {
		if is {
			n++
		}
	}
	return n
}
