package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/processor/adaptivesamplerprocessor/internal/metadata"
)

// NewFactory returns a factory of adaptive_sampler processors.
func NewFactory() processor.Factory { return newFactory(newRunning()) }

func newFactory(r *running) processor.Factory {
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithTraces(r.createTraces, metadata.TracesStability),
		processor.WithLogs(r.createLogs, metadata.LogsStability),
		processor.WithMetrics(r.createMetrics, metadata.MetricsStability),
	)
}

// sampler is a part that takes data and hands on what it keeps. It may change
// the data, and returns the error of the next component.
type sampler[T any] interface {
	part
	consume(ctx context.Context, data T) error
}

// instance is the processor of one pipeline.
type instance[T any] struct {
	running *running
	set     processor.Settings
	cfg     *Config
	signal  string
	create  func(*core) (sampler[T], error)

	part   sampler[T] // nil: never started
	worker *worker    // nil: not running
}

// Start implements component.Component.
func (i *instance[T]) Start(ctx context.Context, host component.Host) error {
	w, err := i.running.join(ctx, host, application{
		id: i.set.ID, cfg: i.cfg, set: i.set.TelemetrySettings, signal: i.signal,
		create: func(c *core) (part, error) {
			p, err := i.create(c)
			i.part = p
			return p, err
		},
	})
	if err != nil {
		i.part = nil
		return fmt.Errorf("start %s for %s: %w", i.set.ID, i.signal, err)
	}
	i.worker = w
	return nil
}

// Shutdown implements component.Component. It may be called twice, and without
// Start.
func (i *instance[T]) Shutdown(ctx context.Context) error {
	if i.worker == nil {
		return nil
	}
	w := i.worker
	i.worker = nil
	return i.running.leave(ctx, w)
}

// Capabilities implements consumer.Traces and its likes: items are taken out of
// batches, and thresholds written to those that stay.
func (*instance[T]) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

var errNotStarted = errors.New("the processor was not started")

func (i *instance[T]) consume(ctx context.Context, data T) error {
	if i.part == nil {
		return errNotStarted
	}
	return i.part.consume(ctx, data)
}

type tracesProcessor struct{ *instance[ptrace.Traces] }

// ConsumeTraces implements consumer.Traces.
func (p tracesProcessor) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return p.consume(ctx, td)
}

type logsProcessor struct{ *instance[plog.Logs] }

// ConsumeLogs implements consumer.Logs.
func (p logsProcessor) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	return p.consume(ctx, ld)
}

type metricsProcessor struct{ *instance[pmetric.Metrics] }

// ConsumeMetrics implements consumer.Metrics.
func (p metricsProcessor) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	return p.consume(ctx, md)
}

func (r *running) createTraces(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	return tracesProcessor{newInstance(r, set, cfg, policy.SignalTraces,
		func(c *core) (sampler[ptrace.Traces], error) { return newTraces(c, next) })}, nil
}

func (r *running) createLogs(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	return logsProcessor{newInstance(r, set, cfg, policy.SignalLogs,
		func(c *core) (sampler[plog.Logs], error) { return newLogs(c, next) })}, nil
}

func (r *running) createMetrics(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
	return metricsProcessor{newInstance(r, set, cfg, policy.SignalMetrics,
		func(c *core) (sampler[pmetric.Metrics], error) { return newMetrics(c, next) })}, nil
}

func newInstance[T any](
	r *running, set processor.Settings, cfg component.Config, signal string, create func(*core) (sampler[T], error),
) *instance[T] {
	return &instance[T]{
		running: r, set: set, cfg: cfg.(*Config), signal: signal, create: create, //nolint:forcetypeassert // the service passes what createDefaultConfig returned
	}
}
