package abrouterconnector

import (
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// newMetrics makes the flow of metrics.
func newMetrics(r *router, baseline, candidate consumer.Metrics) (*flow[pmetric.Metrics], error) {
	var sizes pmetric.ProtoMarshaler
	s := newSplitter(r.config.InputInterval, r.config.MaxMovedStreams)
	o := operations[pmetric.Metrics]{
		items: pmetric.Metrics.DataPointCount,
		bytes: sizes.MetricsSize,
		clone: func(md pmetric.Metrics) pmetric.Metrics {
			to := pmetric.NewMetrics()
			md.CopyTo(to)
			return to
		},
		ref: pref.RefMetrics, unref: pref.UnrefMetrics,
		divide:   s.parts,
		mirrored: mirroredMetrics,
		partial:  consumererror.NewMetrics,
	}
	if r.config.Mirror.Mark {
		o.mark = markMetrics
	}
	return newFlow(r, o, [sides]arm[pmetric.Metrics]{
		toBaseline:  {baseline.ConsumeMetrics, baseline.Capabilities().MutatesData},
		toCandidate: {candidate.ConsumeMetrics, candidate.Capabilities().MutatesData},
	})
}

// parts is divide as the frame has it for all signals.
func (s *splitter) parts(v *view, md pmetric.Metrics, now time.Time, t *tally) parts[pmetric.Metrics] {
	d := s.divide(v, md, now, t)
	p := parts[pmetric.Metrics]{
		data: d.parts, has: d.has, last: d.last, lastPoints: d.lastPoints,
		markers: d.markers, shared: len(d.shared), withoutOverlap: d.withoutOverlap,
	}
	if len(d.shared) > 0 {
		p.forget = d.forget
	}
	return p
}
