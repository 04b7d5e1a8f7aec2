package control

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/phoenix-platform/phoenix/control/store"
)

// instrumentedStore tells how long the store takes and whether it answers, and
// traces what it writes.
type instrumentedStore struct {
	store.Store
	tracer   trace.Tracer
	duration metric.Float64Histogram
	// down is set while the last answer was that the store is not available.
	down atomic.Bool
}

var _ store.Store = (*instrumentedStore)(nil)

// done notes how an operation ended. What was asked for and is not there is an
// answer like any other; a caller who went away says nothing about the store.
func (s *instrumentedStore) done(ctx context.Context, op metric.MeasurementOption, began time.Time, err error) {
	outcome := outcomeOK
	switch {
	case errors.Is(err, store.ErrUnavailable):
		s.down.Store(true)
		outcome = outcomeError
	case err == nil, isAnswer(err):
		s.down.Store(false)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, store.ErrClosed):
	default:
		outcome = outcomeError
	}
	s.duration.Record(ctx, time.Since(began).Seconds(), op, outcome)
}

// isAnswer says whether an error is what the store had to say, and not trouble.
func isAnswer(err error) bool {
	for _, kind := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrInvalid} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// read asks for something and notes how that ended.
func read[T any](ctx context.Context, s *instrumentedStore, ask func() (T, error)) (T, error) {
	began := time.Now()
	answer, err := ask()
	s.done(ctx, operationRead, began, err)
	return answer, err
}

// Write implements store.Store. An error that change returns is not one of the
// store, unless it comes from there.
func (s *instrumentedStore) Write(ctx context.Context, change func(context.Context, store.Tx) error) error {
	ctx, span := s.tracer.Start(ctx, "store write")
	defer span.End()
	began := time.Now()
	var own error
	err := s.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		own = change(ctx, tx)
		return own
	})
	noted := err
	if own != nil && !errors.Is(err, store.ErrUnavailable) {
		noted = nil // the store did as it was told and wrote nothing
	}
	s.done(ctx, operationWrite, began, noted)
	if noted != nil {
		span.SetStatus(codes.Error, "the store did not write")
		span.RecordError(noted)
	}
	return err
}

func (s *instrumentedStore) GetPolicy(ctx context.Context, k store.PolicyKey) (store.Policy, error) {
	return read(ctx, s, func() (store.Policy, error) { return s.Store.GetPolicy(ctx, k) })
}

func (s *instrumentedStore) ListPolicies(ctx context.Context, q store.PolicyQuery) (store.Page[store.Policy], error) {
	return read(ctx, s, func() (store.Page[store.Policy], error) { return s.Store.ListPolicies(ctx, q) })
}

func (s *instrumentedStore) PoliciesInForce(ctx context.Context) (store.PolicySet, error) {
	return read(ctx, s, func() (store.PolicySet, error) { return s.Store.PoliciesInForce(ctx) })
}

func (s *instrumentedStore) PolicyVersion(ctx context.Context) (uint64, error) {
	return read(ctx, s, func() (uint64, error) { return s.Store.PolicyVersion(ctx) })
}

func (s *instrumentedStore) GetPolicyRevision(ctx context.Context, k store.PolicyKey, r store.Revision) (store.PolicyRevision, error) {
	return read(ctx, s, func() (store.PolicyRevision, error) { return s.Store.GetPolicyRevision(ctx, k, r) })
}

func (s *instrumentedStore) ListPolicyRevisions(ctx context.Context, k store.PolicyKey, p store.PageRequest) (store.Page[store.PolicyRevision], error) {
	return read(ctx, s, func() (store.Page[store.PolicyRevision], error) { return s.Store.ListPolicyRevisions(ctx, k, p) })
}

func (s *instrumentedStore) GetKillSwitch(ctx context.Context) (store.KillSwitch, error) {
	return read(ctx, s, func() (store.KillSwitch, error) { return s.Store.GetKillSwitch(ctx) })
}

func (s *instrumentedStore) GetPriceModel(ctx context.Context, name string) (store.PriceModel, error) {
	return read(ctx, s, func() (store.PriceModel, error) { return s.Store.GetPriceModel(ctx, name) })
}

func (s *instrumentedStore) ListPriceModels(ctx context.Context, p store.PageRequest) (store.Page[store.PriceModel], error) {
	return read(ctx, s, func() (store.Page[store.PriceModel], error) { return s.Store.ListPriceModels(ctx, p) })
}

func (s *instrumentedStore) GetAPIKey(ctx context.Context, id string) (store.APIKey, error) {
	return read(ctx, s, func() (store.APIKey, error) { return s.Store.GetAPIKey(ctx, id) })
}

func (s *instrumentedStore) FindAPIKey(ctx context.Context, hash store.Digest) (store.APIKey, error) {
	return read(ctx, s, func() (store.APIKey, error) { return s.Store.FindAPIKey(ctx, hash) })
}

func (s *instrumentedStore) ListAPIKeys(ctx context.Context, p store.PageRequest) (store.Page[store.APIKey], error) {
	return read(ctx, s, func() (store.Page[store.APIKey], error) { return s.Store.ListAPIKeys(ctx, p) })
}

func (s *instrumentedStore) ListAudit(ctx context.Context, q store.AuditQuery) (store.Page[store.AuditRecord], error) {
	return read(ctx, s, func() (store.Page[store.AuditRecord], error) { return s.Store.ListAudit(ctx, q) })
}

func (s *instrumentedStore) VerifyAudit(ctx context.Context, r store.AuditRange) (store.AuditProof, error) {
	return read(ctx, s, func() (store.AuditProof, error) { return s.Store.VerifyAudit(ctx, r) })
}

func (s *instrumentedStore) GetResponse(ctx context.Context, k store.IdempotencyKey, request store.Digest) (store.Response, error) {
	return read(ctx, s, func() (store.Response, error) { return s.Store.GetResponse(ctx, k, request) })
}

func (s *instrumentedStore) GetHistory(ctx context.Context, q store.HistoryQuery) ([]store.HistoryPoint, error) {
	return read(ctx, s, func() ([]store.HistoryPoint, error) { return s.Store.GetHistory(ctx, q) })
}

func (s *instrumentedStore) ListHistoryKeys(ctx context.Context, kind string, p store.PageRequest) (store.Page[string], error) {
	return read(ctx, s, func() (store.Page[string], error) { return s.Store.ListHistoryKeys(ctx, kind, p) })
}

func (s *instrumentedStore) GetFact(ctx context.Context, key string) (store.Fact, error) {
	return read(ctx, s, func() (store.Fact, error) { return s.Store.GetFact(ctx, key) })
}

func (s *instrumentedStore) ListFacts(ctx context.Context, prefix string, p store.PageRequest) (store.Page[store.Fact], error) {
	return read(ctx, s, func() (store.Page[store.Fact], error) { return s.Store.ListFacts(ctx, prefix, p) })
}

// Describe implements store.Store.
func (s *instrumentedStore) Describe(ctx context.Context) (store.Description, error) {
	return read(ctx, s, func() (store.Description, error) { return s.Store.Describe(ctx) })
}

// wrote notes how a write ended that is no transaction of ours.
func wrote[T any](ctx context.Context, s *instrumentedStore, write func(context.Context) (T, error)) (T, error) {
	ctx, span := s.tracer.Start(ctx, "store write")
	defer span.End()
	began := time.Now()
	answer, err := write(ctx)
	s.done(ctx, operationWrite, began, err)
	return answer, err
}

// AppendSamples implements store.Store.
func (s *instrumentedStore) AppendSamples(ctx context.Context, samples []store.Sample) (store.Appended, error) {
	return wrote(ctx, s, func(ctx context.Context) (store.Appended, error) { return s.Store.AppendSamples(ctx, samples) })
}

// TouchAPIKey implements store.Store.
func (s *instrumentedStore) TouchAPIKey(ctx context.Context, id string) error {
	_, err := wrote(ctx, s, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.Store.TouchAPIKey(ctx, id) })
	return err
}

// Maintain implements store.Store.
func (s *instrumentedStore) Maintain(ctx context.Context) (store.Maintenance, error) {
	return wrote(ctx, s, s.Store.Maintain)
}
