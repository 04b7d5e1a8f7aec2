package adaptivesamplerprocessor

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/phoenix-platform/phoenix/processor/adaptivesamplerprocessor/internal/metadata"
)

// counter is an instrument with its attributes. A part makes those that it needs
// beforehand, counts in plain integers, and adds once a batch.
type counter struct {
	instrument metric.Int64Counter
	options    []metric.AddOption
}

// add adds n, if it is not 0.
func (c counter) add(ctx context.Context, n int) {
	if n != 0 {
		c.instrument.Add(ctx, int64(n), c.options...)
	}
}

// maxClasses bounds the services of which left-out items are counted apart; the
// others are counted under otherClass.
const (
	maxClasses = 100
	otherClass = "other"
)

// telemetry is that of one signal of one processor.
type telemetry struct {
	builder *metadata.TelemetryBuilder
	signal  attribute.KeyValue

	mu      sync.RWMutex
	classes map[leftOutClass]counter
	names   map[string]struct{} // of classes
}

// leftOutClass is by what left-out items are told apart.
type leftOutClass struct {
	reason reason
	name   string
}

func newTelemetry(set component.TelemetrySettings, signal string) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &telemetry{
		builder: builder, signal: attribute.String("signal", signal),
		classes: map[leftOutClass]counter{}, names: map[string]struct{}{},
	}, nil
}

func (t *telemetry) counter(instrument metric.Int64Counter, attributes ...attribute.KeyValue) counter {
	set := attribute.NewSet(append(attributes, t.signal)...)
	return counter{instrument, []metric.AddOption{metric.WithAttributeSet(set)}}
}

// received counts items that came.
func (t *telemetry) received() counter {
	return t.counter(t.builder.ProcessorAdaptiveSamplerReceivedItems)
}

// kept counts items that went on.
func (t *telemetry) kept(r reason) counter {
	return t.counter(t.builder.ProcessorAdaptiveSamplerKeptItems, attribute.String("reason", string(r)))
}

// irregular counts items that something is odd about.
func (t *telemetry) irregular(r reason) counter {
	return t.counter(t.builder.ProcessorAdaptiveSamplerIrregularItems, attribute.String("reason", string(r)))
}

// refused counts items that the next component did not take.
func (t *telemetry) refused() counter {
	return t.counter(t.builder.ProcessorAdaptiveSamplerRefusedItems)
}

// leftOut counts items that did not go on, by a class: the name of the rule for
// metrics, the service for traces and logs. It may be called once a batch or a
// resource; it does not allocate for classes that are known.
func (t *telemetry) leftOut(r reason, name string) counter {
	t.mu.RLock()
	c, known := t.classes[leftOutClass{r, t.bounded(name)}]
	t.mu.RUnlock()
	if known {
		return c
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	name = t.bounded(name)
	t.names[name] = struct{}{}
	if c, known = t.classes[leftOutClass{r, name}]; known {
		return c
	}
	c = t.counter(t.builder.ProcessorAdaptiveSamplerLeftOutItems, attribute.String("reason", string(r)), attribute.String("class", name))
	t.classes[leftOutClass{r, name}] = c
	return c
}

// bounded returns the name that a class goes by. The lock is held.
func (t *telemetry) bounded(name string) string {
	if _, known := t.names[name]; !known && len(t.names) >= maxClasses {
		return otherClass
	}
	return name
}
