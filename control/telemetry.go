package control

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/internal/metadata"
	"github.com/phoenix-platform/phoenix/control/service/insight"
)

// Prebuilt options of measurements.
var (
	operationRead  = metric.WithAttributes(attribute.String("operation", "read"))
	operationWrite = metric.WithAttributes(attribute.String("operation", "write"))
	outcomeOK      = outcomeIs("ok")
	outcomeError   = outcomeIs("error")
	outcomeOffered = outcomeIs("offered")
	outcomeLost    = outcomeIs("lost")
	statePreview   = metric.WithAttributes(attribute.String("state", "preview"))
	stateEnforced  = metric.WithAttributes(attribute.String("state", "enforced"))
)

func outcomeIs(outcome string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("outcome", outcome))
}

var _ api.Observer = (*telemetry)(nil)

// telemetry tells what the parts of the plane do: its methods are what they call.
type telemetry struct {
	builder  *metadata.TelemetryBuilder
	inFlight atomic.Int64
	requests sync.Map // of request, to its metric.MeasurementOption
}

func newTelemetry(builder *metadata.TelemetryBuilder) *telemetry { return &telemetry{builder: builder} }

// request is what the duration of requests is told apart by.
type request struct {
	method string
	door   api.Door
	status int
}

// RequestDone implements api.Observer.
func (t *telemetry) RequestDone(ctx context.Context, method string, door api.Door, status int, took time.Duration) {
	key := request{method, door, status}
	option, known := t.requests.Load(key)
	if !known { // methods, doors and statuses are few
		option, _ = t.requests.LoadOrStore(key, metric.WithAttributeSet(attribute.NewSet(
			attribute.String("method", method), attribute.String("door", string(door)), attribute.String("outcome", strconv.Itoa(status)))))
	}
	t.builder.PhoenixControlRequestDuration.Record(ctx, took.Seconds(), option.(metric.MeasurementOption))
}

// Refused implements api.Observer.
func (t *telemetry) Refused(ctx context.Context, reason fault.Reason) {
	t.builder.PhoenixControlRefusals.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", string(reason))))
}

// InFlight implements api.Observer.
func (t *telemetry) InFlight(change int64) { t.inFlight.Add(change) }

// notAudited is for service.Core.
func (t *telemetry) notAudited(ctx context.Context) {
	t.builder.PhoenixControlRefusalsNotAudited.Add(ctx, 1)
}

// TapOffered and TapLost implement tap.Observer.
func (t *telemetry) TapOffered(string, int) {
	t.builder.PhoenixControlTapOffered.Add(context.Background(), 1, outcomeOffered)
}

// TapLost implements tap.Observer.
func (t *telemetry) TapLost(string, int) {
	t.builder.PhoenixControlTapOffered.Add(context.Background(), 1, outcomeLost)
}

// published is for the publisher.
func (t *telemetry) published(took time.Duration, err error) {
	outcome := outcomeOK
	if err != nil {
		outcome = outcomeError
	}
	t.builder.PhoenixControlPublishDuration.Record(context.Background(), took.Seconds(), outcome)
}

// recorded is for the recorder.
func (t *telemetry) recorded(outcome string, samples int) {
	t.builder.PhoenixControlHistorySamples.Add(context.Background(), int64(samples), outcomeIs(outcome))
}

// observe registers what is asked for when metrics are collected. Nothing of it
// waits for the store.
func (p *Plane) observe() error {
	b := p.telemetry.builder
	gauge := func(value func() int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(value())
			return nil
		}
	}
	return errors.Join(
		b.RegisterPhoenixControlEventWatchersCallback(gauge(func() int64 { return int64(p.events.Watchers()) })),
		b.RegisterPhoenixControlEventsPublishedCallback(gauge(func() int64 { return whole(p.events.Published()) })),
		b.RegisterPhoenixControlKillSwitchCallback(gauge(func() int64 { return oneIf(p.publisher.Status().Kill.Engaged) })),
		b.RegisterPhoenixControlPoliciesLeftOutCallback(gauge(func() int64 { return int64(len(p.publisher.Status().LeftOut)) })),
		b.RegisterPhoenixControlPolicyLagCallback(gauge(func() int64 { return whole(p.lag(p.publisher.Status().Version)) })),
		b.RegisterPhoenixControlPolicyVersionCallback(gauge(func() int64 { return whole(p.publisher.Status().Version) })),
		b.RegisterPhoenixControlRequestsInFlightCallback(gauge(p.telemetry.inFlight.Load)),
		b.RegisterPhoenixControlStoreAvailableCallback(gauge(func() int64 { return oneIf(!p.store.down.Load()) })),
		b.RegisterPhoenixControlStoreSizeCallback(gauge(p.storeBytes.Load)),
		b.RegisterPhoenixControlTapBytesCallback(gauge(func() int64 { return p.tap.Stats().QueuedBytes })),
		b.RegisterPhoenixControlPoliciesCallback(p.observePolicies),
		b.RegisterPhoenixControlCostMonthCallback(p.observeMoney(func(o *insight.Observation) float64 { return o.Total.Month })),
		b.RegisterPhoenixControlSavingMonthCallback(p.observeMoney(func(o *insight.Observation) float64 { return o.SavingMonth })),
	)
}

func (p *Plane) observePolicies(_ context.Context, o metric.Int64Observer) error {
	status := p.publisher.Status()
	o.Observe(int64(status.Preview), statePreview)
	o.Observe(int64(status.Enforced), stateEnforced)
	return nil
}

// observeMoney tells an amount a month, unless there are no prices.
func (p *Plane) observeMoney(amount func(*insight.Observation) float64) metric.Float64Callback {
	return func(_ context.Context, o metric.Float64Observer) error {
		if seen := p.observation.Load(); seen != nil && seen.Priced {
			o.Observe(amount(seen), metric.WithAttributes(
				attribute.String("price_model", seen.PriceModel), attribute.String("currency", seen.Currency)))
		}
		return nil
	}
}

// whole is a count as a metric has it.
func whole(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func oneIf(condition bool) int64 {
	if condition {
		return 1
	}
	return 0
}
