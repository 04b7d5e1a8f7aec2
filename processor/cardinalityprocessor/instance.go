package cardinalityprocessor

import (
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadata"
)

// instances holds the measurements of one factory. The Collector makes one
// instance of a component for each pipeline that names it; all instances of
// one id share one measurement, so a series that passes two pipelines counts
// once.
type instances struct {
	secret func() series.Secret // keys the hashes of a measurement

	mu     sync.Mutex
	byID   map[component.ID]*measurement
	points map[string]component.ID // which started measurement claims a point
}

func newInstances() *instances {
	return &instances{
		secret: series.NewSecret,
		byID:   map[component.ID]*measurement{},
		points: map[string]component.ID{},
	}
}

// instance is the processor of one pipeline.
type instance struct {
	shared    *instances
	measure   *measurement
	telemetry *metadata.TelemetryBuilder
	feeders   sync.Pool
	started   bool
	released  bool // shut down
	point     metric.MeasurementOption
	reasons   [reasons]metric.MeasurementOption
}

func newInstance(s *instances, set processor.Settings, cfg *Config) (*instance, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("make the telemetry of %s: %w", set.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.byID[set.ID]
	if m == nil {
		if m, err = newMeasurement(set, cfg, s.secret()); err != nil {
			return nil, err
		}
		s.byID[set.ID] = m
	}
	m.instances++
	p := &instance{shared: s, measure: m, telemetry: telemetry}
	p.feeders.New = func() any { return m.newFeeder() }
	point := attribute.String("point", m.point)
	p.point = metric.WithAttributeSet(attribute.NewSet(point))
	for r := range reasons {
		p.reasons[r] = metric.WithAttributeSet(attribute.NewSet(point, attribute.String("reason", r.String())))
	}
	return p, nil
}

func (p *instance) start(ctx context.Context, host component.Host) error {
	s := p.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	m := p.measure
	if owner, taken := s.points[m.point]; taken && owner != m.id {
		return fmt.Errorf("%s and %s both claim the measuring point %q: give one of them another `point`", m.id, owner, m.point)
	}
	if m.started == 0 {
		if err := m.start(ctx, host); err != nil {
			return err
		}
		s.points[m.point] = m.id
	}
	m.started++
	p.started = true
	return nil
}

func (p *instance) shutdown(context.Context) error {
	s := p.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	m := p.measure
	if p.started {
		p.started = false
		if m.started--; m.started == 0 {
			m.shutdown()
			delete(s.points, m.point)
		}
	}
	if !p.released {
		p.released = true
		if m.instances--; m.instances == 0 {
			delete(s.byID, m.id)
		}
	}
	return nil
}

// process counts a batch and passes it on as it is. It never fails.
func (p *instance) process(ctx context.Context, md pmetric.Metrics) (pmetric.Metrics, error) {
	points := md.DataPointCount()
	p.measure.points.Add(uint64(points)) //nolint:gosec // a count
	f := p.feeders.Get().(*feeder)       //nolint:forcetypeassert // the pool holds nothing else
	bad := f.feed(md)
	f.release()
	p.feeders.Put(f)
	p.measure.offer(ctx, p, md)

	p.telemetry.ProcessorCardinalityPoints.Add(ctx, int64(points), p.point)
	for r, n := range bad {
		if n > 0 {
			p.measure.refused[r].Add(uint64(n))
			p.telemetry.ProcessorCardinalityPointsRefused.Add(ctx, int64(n), p.reasons[r])
		}
	}
	return md, nil
}
