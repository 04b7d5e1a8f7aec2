package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelzap"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.uber.org/zap"
)

// instruments is what a service writes to.
type instruments struct {
	log   *zap.Logger
	meter metric.Meter
}

// queued is how much waits for the exporter: nothing may be lost here, or the
// comparison of the example would blame the sampler for it.
const queued = 1 << 16

// instrument starts traces, logs and metrics of a service. flush sends what is
// left and ends them.
func instrument(ctx context.Context, service, otlp string) (i instruments, flush func(context.Context) error, err error) {
	who := resource.NewSchemaless(semconv.ServiceName(service), semconv.ServiceNamespace("shop"))
	spans, errTraces := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(otlp), otlptracehttp.WithInsecure())
	records, errLogs := otlploghttp.New(ctx, otlploghttp.WithEndpoint(otlp), otlploghttp.WithInsecure())
	points, errMetrics := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(otlp), otlpmetrichttp.WithInsecure())
	if err := errors.Join(errTraces, errLogs, errMetrics); err != nil {
		return instruments{}, nil, fmt.Errorf("make the exporters to %s: %w", otlp, err)
	}
	traces := sdktrace.NewTracerProvider(sdktrace.WithResource(who),
		sdktrace.WithBatcher(spans, sdktrace.WithBatchTimeout(time.Second), sdktrace.WithMaxQueueSize(queued)))
	logs := sdklog.NewLoggerProvider(sdklog.WithResource(who),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(records, sdklog.WithExportInterval(time.Second), sdklog.WithMaxQueueSize(queued))))
	metrics := sdkmetric.NewMeterProvider(sdkmetric.WithResource(who),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(points, sdkmetric.WithInterval(time.Second))))
	otel.SetTracerProvider(traces)
	otel.SetMeterProvider(metrics)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	i = instruments{
		log:   zap.New(otelzap.NewCore("shop", otelzap.WithLoggerProvider(logs))),
		meter: metrics.Meter("shop"),
	}
	return i, func(ctx context.Context) error {
		return errors.Join(traces.Shutdown(ctx), logs.Shutdown(ctx), metrics.Shutdown(ctx))
	}, nil
}

// within ties a record to the span of a request.
func within(ctx context.Context) zap.Field { return zap.Any("context", ctx) }
