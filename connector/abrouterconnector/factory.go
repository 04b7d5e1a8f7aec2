package abrouterconnector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/phoenix-platform/phoenix/connector/abrouterconnector/internal/metadata"
)

// NewFactory returns a factory of ab_router connectors.
func NewFactory() connector.Factory {
	return connector.NewFactory(
		metadata.Type,
		createDefaultConfig,
		connector.WithMetricsToMetrics(createMetrics, metadata.MetricsToMetricsStability),
		connector.WithTracesToTraces(createTraces, metadata.TracesToTracesStability),
		connector.WithLogsToLogs(createLogs, metadata.LogsToLogsStability),
	)
}

// errNoRouter cannot happen in a Collector: the service gives connectors a router.
var errNoRouter = errors.New("the connector was not given the pipelines that it is connected to")

// consumers finds the pipelines of both arms among those that the connector feeds.
func consumers[C any](
	cfg *Config, signal string, fed []pipeline.ID, find func(...pipeline.ID) (C, error),
) (baseline, candidate C, err error) {
	of := func(key string, ids []pipeline.ID) (c C, err error) {
		var own []pipeline.ID
		for _, id := range ids {
			if id.Signal().String() == signal {
				own = append(own, id)
			}
		}
		if len(own) == 0 {
			return c, fmt.Errorf("%s: names no pipeline of %s, and the connector is in one", key, signal)
		}
		if c, err = find(own...); err != nil {
			return c, fmt.Errorf("%s: %w; the connector must be a receiver of each pipeline that it names", key, err)
		}
		return c, nil
	}
	baseline, wrong := of("baseline", cfg.Baseline)
	candidate, err = of("candidate", cfg.Candidate)
	err = errors.Join(wrong, err)
	slices.SortFunc(fed, func(a, b pipeline.ID) int { return strings.Compare(a.String(), b.String()) })
	for _, id := range fed {
		if !slices.Contains(cfg.Baseline, id) && !slices.Contains(cfg.Candidate, id) {
			err = errors.Join(err, fmt.Errorf("%s has the connector as a receiver and is neither in baseline nor in candidate: it would get nothing", id))
		}
	}
	return baseline, candidate, err
}

// lifecycle is what the connectors of all signals have.
type lifecycle[T carried] struct{ *flow[T] }

// Start implements component.Component.
func (l lifecycle[T]) Start(ctx context.Context, host component.Host) error {
	if err := l.start(ctx, host); err != nil {
		return err
	}
	go l.queue.run() // queue.stop waits for it
	return nil
}

// Shutdown implements component.Component.
func (l lifecycle[T]) Shutdown(ctx context.Context) error {
	defer l.telemetry.Shutdown()
	if !l.started.CompareAndSwap(true, false) {
		return nil
	}
	err := l.queue.stop(ctx)
	l.stop()
	return err
}

// Capabilities implements consumer.Metrics and its likes: where there may be a
// split, what is the candidate's is moved out of a batch. The service adds what
// the pipelines of the arms do.
func (l lifecycle[T]) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: l.compiler.maySplit()}
}

type metricsConnector struct{ lifecycle[pmetric.Metrics] }

// ConsumeMetrics implements consumer.Metrics.
func (c metricsConnector) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	return c.consume(ctx, md)
}

type tracesConnector struct{ lifecycle[ptrace.Traces] }

// ConsumeTraces implements consumer.Traces.
func (c tracesConnector) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return c.consume(ctx, td)
}

type logsConnector struct{ lifecycle[plog.Logs] }

// ConsumeLogs implements consumer.Logs.
func (c logsConnector) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	return c.consume(ctx, ld)
}

func createMetrics(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics) (connector.Metrics, error) {
	c := cfg.(*Config) //nolint:forcetypeassert // the service passes what createDefaultConfig returned
	routes, is := next.(connector.MetricsRouterAndConsumer)
	if !is {
		return nil, errNoRouter
	}
	baseline, candidate, err := consumers(c, signalMetrics, routes.PipelineIDs(), routes.Consumer)
	if err != nil {
		return nil, err
	}
	r, err := newRouter(set, c, signalMetrics)
	if err != nil {
		return nil, err
	}
	f, err := newMetrics(r, baseline, candidate)
	return metricsConnector{lifecycle[pmetric.Metrics]{f}}, err
}

func createTraces(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Traces) (connector.Traces, error) {
	c := cfg.(*Config) //nolint:forcetypeassert // the service passes what createDefaultConfig returned
	routes, is := next.(connector.TracesRouterAndConsumer)
	if !is {
		return nil, errNoRouter
	}
	baseline, candidate, err := consumers(c, signalTraces, routes.PipelineIDs(), routes.Consumer)
	if err != nil {
		return nil, err
	}
	r, err := newRouter(set, c, signalTraces)
	if err != nil {
		return nil, err
	}
	f, err := newTraces(r, baseline, candidate)
	return tracesConnector{lifecycle[ptrace.Traces]{f}}, err
}

func createLogs(_ context.Context, set connector.Settings, cfg component.Config, next consumer.Logs) (connector.Logs, error) {
	c := cfg.(*Config) //nolint:forcetypeassert // the service passes what createDefaultConfig returned
	routes, is := next.(connector.LogsRouterAndConsumer)
	if !is {
		return nil, errNoRouter
	}
	baseline, candidate, err := consumers(c, signalLogs, routes.PipelineIDs(), routes.Consumer)
	if err != nil {
		return nil, err
	}
	r, err := newRouter(set, c, signalLogs)
	if err != nil {
		return nil, err
	}
	f, err := newLogs(r, baseline, candidate)
	return logsConnector{lifecycle[plog.Logs]{f}}, err
}
