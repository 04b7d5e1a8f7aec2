package cardinalityprocessor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/metric"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadata"
)

// analysisInterval is how often, at most, all metrics are analysed for limits
// and telemetry. A metric without new series is not analysed again.
const analysisInterval = 15 * time.Second

// measurement is what all instances of one component id share.
type measurement struct {
	id        component.ID
	point     string
	config    *Config
	settings  component.TelemetrySettings
	hasher    *series.Hasher
	backend   cardinality.Backend
	tracker   *cardinality.Tracker
	limits    *limits
	refused   [reasons]atomic.Uint64
	points    atomic.Uint64
	latest    atomic.Pointer[findings]
	tap       tapped
	arm       armed
	instances int // made
	started   int // started and not shut down

	telemetry  *metadata.TelemetryBuilder
	unregister func() // nil without a control plane
	stop       context.CancelFunc
	running    sync.WaitGroup
}

var _ report.CardinalitySource = (*measurement)(nil)

func newMeasurement(set processor.Settings, cfg *Config, secret series.Secret) (*measurement, error) {
	b, err := cfg.Backend.build()
	if err != nil {
		return nil, fmt.Errorf("backend: %w", err)
	}
	l, err := newLimits(cfg.Limits, set.Logger)
	if err != nil {
		return nil, err
	}
	m := &measurement{
		id: set.ID, point: pointName(set.ID, cfg.Point), config: cfg, settings: set.TelemetrySettings, backend: b,
		hasher: series.NewHasher(secret), limits: l,
	}
	m.arm.init(m)
	m.tracker = cardinality.New(cardinality.Settings{
		Hasher: m.hasher, Backend: b,
		SubWindows: cfg.SubWindows, SubWindow: cfg.Window / time.Duration(cfg.SubWindows),
		MaxMetrics: cfg.MaxMetrics, MaxAttributes: cfg.MaxAttributesPerMetric,
		Precision: uint8(cfg.Precision), MaxBytes: int64(cfg.MaxMemoryMiB)<<20 - m.arm.budget.bound, //nolint:gosec // validated
		Start: time.Now(),
	})
	return m, nil
}

// pointName returns the configured name of the point or the one that follows
// from the id.
func pointName(id component.ID, configured string) string {
	switch {
	case configured != "":
		return configured
	case id.Name() != "":
		return id.Name()
	}
	return "default"
}

func (m *measurement) newFeeder() *feeder {
	f := &feeder{
		hasher: m.hasher, tracker: m.tracker,
		labels: !m.backend.Streams(), scopes: m.config.Backend.ScopeLabels,
		targetInfo: !m.backend.Streams() && m.config.Backend.TargetInfo,
		groupBy:    m.config.GroupBy,
	}
	f.arm = armFeeder{f: f, armed: &m.arm, naming: naming{hasher: m.hasher, backend: m.backend}}
	return f
}

// start registers with the control plane and begins to rotate. The telemetry is
// the measurement's own, because the instance that starts it may be shut down
// before others of the same id.
func (m *measurement) start(ctx context.Context, host component.Host) error {
	registry, err := m.findControl(host)
	if err != nil {
		return err
	}
	if m.telemetry, err = metadata.NewTelemetryBuilder(m.settings); err != nil {
		return fmt.Errorf("make the telemetry of %s: %w", m.id, err)
	}
	if err = errors.Join(m.observe(), m.register(registry)); err != nil {
		m.telemetry.Shutdown()
		return err
	}
	if err = m.arm.start(host); err != nil {
		m.leave()
		m.telemetry.Shutdown()
		return err
	}
	m.tap.Tap = m.findTap(host)
	ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	m.running.Go(func() { m.run(ctx) })
	if m.arm.name != "" {
		m.running.Go(func() { m.arm.run(ctx) })
	}
	return nil
}

// findControl returns the control plane, nil if none is configured.
func (m *measurement) findControl(host component.Host) (report.CardinalityRegistry, error) {
	if m.config.Control == nil {
		return nil, nil
	}
	ext, ok := host.GetExtensions()[*m.config.Control]
	if !ok {
		return nil, fmt.Errorf("control: %s needs the extension %s, which is not running: "+
			"add it to service.extensions, or remove the option `control`", m.id, m.config.Control)
	}
	registry, ok := ext.(report.CardinalityRegistry)
	if !ok {
		return nil, fmt.Errorf("control: %s needs a control plane, but the extension %s (%T) is none", m.id, m.config.Control, ext)
	}
	return registry, nil
}

// register makes the measurement known to the control plane, if there is one.
func (m *measurement) register(registry report.CardinalityRegistry) error {
	if registry == nil {
		return nil
	}
	unregister, err := registry.RegisterCardinality(report.CardinalityRegistration{
		Component: m.id.String(), Point: m.point, Source: m,
	})
	if err != nil {
		return fmt.Errorf("register with %s: %w", m.config.Control, err)
	}
	m.unregister = unregister
	return nil
}

func (m *measurement) shutdown() {
	m.arm.shutdown()
	m.leave()
	m.stop()
	m.running.Wait()
	m.telemetry.Shutdown()
}

// leave makes the measurement unknown to the control plane.
func (m *measurement) leave() {
	if m.unregister != nil {
		m.unregister()
		m.unregister = nil
	}
}

// run closes sub-windows and analyses, beside the data path.
func (m *measurement) run(ctx context.Context) {
	subWindow := m.config.Window / time.Duration(m.config.SubWindows)
	rotation := time.NewTicker(subWindow)
	defer rotation.Stop()
	analysis := time.NewTicker(min(subWindow, analysisInterval))
	defer analysis.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-rotation.C:
			m.tracker.Rotate(now)
		case now := <-analysis.C:
			m.analyse(ctx, now)
		}
	}
}

// analyse looks at all metrics, for limits and telemetry.
func (m *measurement) analyse(ctx context.Context, now time.Time) {
	begin := time.Now()
	r := m.tracker.Report(now, m.config.SubWindows, nil)
	m.limits.check(r.Metrics)
	m.latest.Store(m.find(r))
	m.telemetry.ProcessorCardinalityAnalysisDuration.Record(ctx, time.Since(begin).Seconds(),
		metric.WithAttributes(m.pointAttribute()))
}
