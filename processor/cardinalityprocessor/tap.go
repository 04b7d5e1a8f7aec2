package cardinalityprocessor

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

// tapped copies metrics that the control plane looks at. All instances of one id
// share it.
type tapped struct {
	report.Tap // nil: there is none

	marshaler pmetric.ProtoMarshaler
	seq       atomic.Uint64
}

// findTap returns the tap of the control plane, nil if it has none. Start has
// found the extension.
func (m *measurement) findTap(host component.Host) report.Tap {
	if m.config.Control == nil {
		return nil
	}
	source, ok := host.GetExtensions()[*m.config.Control].(report.TapSource)
	if !ok {
		return nil
	}
	return source.Tap(m.point)
}

// offer hands the wanted metrics of a batch to whoever looks at them. It is
// called before the batch goes on, because what comes next may change it. While
// nobody looks it costs an atomic load: BenchmarkTap.
func (m *measurement) offer(ctx context.Context, p *instance, md pmetric.Metrics) {
	t := &m.tap
	if t.Tap == nil || !t.Wants("") {
		return
	}
	wanted, names := selectWanted(md, t)
	if len(names) == 0 {
		return
	}
	points := wanted.DataPointCount()
	batch := report.TapBatch{
		Point: m.point, Component: m.id.String(), At: time.Now(), Seq: t.seq.Add(1), Metrics: names, Points: points,
	}
	var err error
	if batch.OTLP, err = t.marshaler.MarshalMetrics(wanted); err != nil || !t.Offer(batch) {
		p.telemetry.ProcessorCardinalityTapPointsLost.Add(ctx, int64(points), p.point)
		return
	}
	p.telemetry.ProcessorCardinalityTapPoints.Add(ctx, int64(points), p.point)
}

// selectWanted copies the wanted metrics of a batch, with the resources and scopes
// above them, and lists their names.
func selectWanted(md pmetric.Metrics, t report.Tap) (wanted pmetric.Metrics, names []string) {
	wanted = pmetric.NewMetrics()
	for _, rm := range md.ResourceMetrics().All() {
		var resource pmetric.ResourceMetrics
		inResource := false
		for _, sm := range rm.ScopeMetrics().All() {
			var scope pmetric.ScopeMetrics
			inScope := false
			for _, m := range sm.Metrics().All() {
				name := m.Name()
				// A metric of a type that is unknown here has no points to look at.
				if _, known := walk.Of(m); !known || name == "" || !t.Wants(name) {
					continue
				}
				if !inResource {
					inResource, resource = true, wanted.ResourceMetrics().AppendEmpty()
					rm.Resource().CopyTo(resource.Resource())
					resource.SetSchemaUrl(rm.SchemaUrl())
				}
				if !inScope {
					inScope, scope = true, resource.ScopeMetrics().AppendEmpty()
					sm.Scope().CopyTo(scope.Scope())
					scope.SetSchemaUrl(sm.SchemaUrl())
				}
				m.CopyTo(scope.Metrics().AppendEmpty())
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return wanted, slices.Compact(names)
}
