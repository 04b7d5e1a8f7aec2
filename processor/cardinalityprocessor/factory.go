package cardinalityprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"

	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadata"
)

// NewFactory returns a factory of cardinality processors. All instances of one
// component id that a factory makes count together.
func NewFactory() processor.Factory { return newFactory(newInstances()) }

func newFactory(shared *instances) processor.Factory {
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithMetrics(shared.create, metadata.MetricsStability),
	)
}

// create makes one instance, for one pipeline.
func (s *instances) create(
	ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics,
) (processor.Metrics, error) {
	p, err := newInstance(s, set, cfg.(*Config)) //nolint:forcetypeassert // the service passes what createDefaultConfig returned
	if err != nil {
		return nil, err
	}
	return processorhelper.NewMetrics(ctx, set, cfg, next, p.process,
		processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		processorhelper.WithStart(p.start),
		processorhelper.WithShutdown(p.shutdown))
}
