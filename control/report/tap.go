package report

import "time"

// TapSource gives components the taps by which the control plane looks at the
// data itself. The control plane implements it; a cardinality processor that
// has a `control` option looks for it among the host's extensions at Start.
type TapSource interface {
	// Tap returns the tap of a measuring point. It is never nil, and good until
	// the process ends; nobody may be looking.
	Tap(point string) Tap
}

// Tap takes copies of what somebody looks at, at one measuring point. Both
// methods may be called by many goroutines and never wait.
type Tap interface {
	// Wants reports whether somebody looks at the metric of this exact OTLP name;
	// an empty name asks whether at any. It costs an atomic load and, while
	// somebody looks, a look-up, so that it may be called for every metric.
	Wants(metric string) bool
	// Offer hands over a copy of the wanted metrics of a batch. It returns false
	// if somebody who looks at them had no room for it: the offer is lost, those
	// who miss it are told, and it is not made again.
	Offer(TapBatch) bool
}

// TapBatch is a copy of the wanted metrics of one batch. Who takes it shares it
// with others: nobody writes to it.
type TapBatch struct {
	// Point and Component are those of the measuring component's registration.
	Point, Component string
	// At is when the batch passed the measuring point.
	At time.Time
	// Seq counts the offers of a component since it started, from 1 on, over all
	// of its instances. Instances offer side by side, so batches may come out of
	// order; a number that never comes is an offer that was lost.
	Seq uint64
	// Metrics are the OTLP names of the metrics that the batch holds, each once.
	Metrics []string
	// OTLP is the batch as a protobuf message of the type MetricsData, which is
	// on the wire the same as ExportMetricsServiceRequest.
	OTLP []byte
	// Points counts its data points.
	Points int
}
