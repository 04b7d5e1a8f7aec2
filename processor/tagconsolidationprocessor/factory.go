package tagconsolidationprocessor

import (
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"

	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor/internal/metadata"
)

// NewFactory returns a factory of tag_consolidation processors.
func NewFactory() processor.Factory {
	running := &running{}
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithMetrics(running.create, metadata.MetricsStability),
	)
}

// running knows which ids have a processor at work. State and outputs belong
// to one: two instances of an id, in two pipelines, would write the same outputs
// and the same state.
type running struct {
	exchange exchange

	mu  sync.Mutex
	ids map[component.ID]bool
}

func (r *running) start(id component.ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids[id] {
		return fmt.Errorf("%s is used in two pipelines, which would write the same outputs twice: give each pipeline its own, such as %s/a and %s/b",
			id, id.Type(), id.Type())
	}
	if r.ids == nil {
		r.ids = map[component.ID]bool{}
	}
	r.ids[id] = true
	return nil
}

func (r *running) stop(id component.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ids, id)
}

func (r *running) create(
	ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics,
) (processor.Metrics, error) {
	c, err := newConsolidator(set, cfg.(*Config), next) //nolint:forcetypeassert // the service passes what createDefaultConfig returned
	if err != nil {
		return nil, err
	}
	c.exchange = &r.exchange
	started := false
	return processorhelper.NewMetrics(ctx, set, cfg, next, c.process,
		processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: true}),
		processorhelper.WithStart(func(ctx context.Context, host component.Host) error {
			if err := r.start(set.ID); err != nil {
				return err
			}
			started = true
			return c.start(ctx, host)
		}),
		processorhelper.WithShutdown(func(ctx context.Context) error {
			defer func() {
				if started {
					r.stop(set.ID)
				}
			}()
			return c.shutdown(ctx)
		}))
}
