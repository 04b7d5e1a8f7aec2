package insight

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/store"
)

// The kinds of history.
const (
	KindSeries             = "series"               // backend series
	KindSamples            = "samples"              // a second
	KindCostMonth          = "cost_month"           // in the currency of the price model of then
	KindPolicySavingSeries = "policy_saving_series" // by policy
	KindPolicySavingMonth  = "policy_saving_month"  // by policy
	KindNewSeries          = "new_series"           // series that came since the value before; for forecasts
	TotalKey               = "total"                // the key of the whole stream
	hashedKey              = "sha256:"              // begins the key of a metric whose name cannot be one
)

var (
	streamKinds = []string{KindSeries, KindSamples, KindCostMonth}
	policyKinds = []string{KindPolicySavingSeries, KindPolicySavingMonth}
	kinds       = slices.Concat(streamKinds, policyKinds)
)

// MetricKey is the key of a metric in the history: its name, unless that cannot
// be a key or means something else.
func MetricKey(metric string) string {
	if metric != TotalKey && !strings.HasPrefix(metric, hashedKey) && store.CheckName("key", metric, true) == nil {
		return metric
	}
	sum := store.SumSHA256([]byte(metric))
	return hashedKey + hex.EncodeToString(sum[:])
}

const (
	defaultPast = 24 * time.Hour
	// longPast is from when on hours are shown.
	longPast = 48 * time.Hour
)

var steps = map[string]time.Duration{"5m": store.FineStep, "1h": store.CoarseStep}

// GetHistory implements phoenixv1.CostsServer.
func (s *costsServer) GetHistory(ctx context.Context, r *phoenixv1.GetHistoryRequest) (*phoenixv1.History, error) {
	namespace := ""
	if slices.Contains(policyKinds, r.GetKind()) {
		namespace, _, _ = strings.Cut(r.GetKey(), "/")
	}
	if err := s.authorizeHistory(ctx, namespace); err != nil {
		return nil, err
	}
	q, step, err := s.readHistoryQuery(r)
	if err != nil {
		return nil, err
	}
	points, err := s.Core.Store.GetHistory(ctx, q)
	if err != nil {
		return nil, asFault(err)
	}
	answer := &phoenixv1.History{Kind: r.GetKind(), Key: r.GetKey(), Step: step}
	for _, p := range points {
		answer.Points = append(answer.Points, &phoenixv1.HistoryPoint{
			Time: timestamppb.New(p.Time), Mean: p.Mean, Low: p.Low, High: p.High,
		})
	}
	return answer, nil
}

// authorizeHistory: the history of a policy is for those who see its namespace.
// That of the stream is not kept by group, so with a namespace attribute it is
// for those who see all.
func (s *costsServer) authorizeHistory(ctx context.Context, namespace string) error {
	if namespace != "" {
		return s.Core.Authorize(ctx, access.Get, access.Costs, namespace)
	}
	sc, err := s.scope(ctx, access.Get, access.Costs)
	if err != nil || sc.all {
		return err
	}
	if err := s.Core.Authorize(ctx, access.Get, access.Costs, ""); err != nil {
		return err
	}
	return fault.New(fault.Forbidden, "the history of the stream is for those who see all namespaces")
}

func (s *costsServer) readHistoryQuery(r *phoenixv1.GetHistoryRequest) (q store.HistoryQuery, step string, err error) {
	var v violations
	q = store.HistoryQuery{Kind: r.GetKind(), Key: v.text("key", r.GetKey())}
	switch {
	case slices.Contains(streamKinds, q.Kind):
		if q.Key == "" {
			q.Key = TotalKey
		} else {
			q.Key = MetricKey(q.Key)
		}
	case slices.Contains(policyKinds, q.Kind):
		if namespace, name, found := strings.Cut(q.Key, "/"); !found || namespace == "" || name == "" {
			v.add("key", "must be a policy as namespace/name, got %q", abbreviate(q.Key))
		} else if err := v.also(asFault(store.CheckName("key", q.Key, true))); err != nil {
			return q, "", err
		}
	default:
		v.add("kind", "must be one of %s, got %q", joinWords(kinds), abbreviate(q.Kind))
	}
	q.To = v.time("to", r.GetTo(), s.Core.Now())
	q.From = v.time("from", r.GetFrom(), q.To.Add(-defaultPast))
	if !q.From.Before(q.To) {
		v.add("from", "must be before to, %s, got %s", q.To.Format(time.RFC3339), q.From.Format(time.RFC3339))
	}
	step = r.GetStep()
	if step == "" {
		step = "5m"
		if q.To.Sub(q.From) > longPast {
			step = "1h"
		}
	}
	if q.Step = steps[step]; q.Step == 0 {
		v.add("step", "must be 5m or 1h, got %q", abbreviate(step))
	}
	return q, step, v.err()
}

func (v *violations) time(field string, t *timestamppb.Timestamp, otherwise time.Time) time.Time {
	if t == nil {
		return otherwise
	}
	if err := t.CheckValid(); err != nil {
		v.add(field, "is no time: %s", err)
		return otherwise
	}
	return t.AsTime()
}
