package workload

import (
	"errors"
	"fmt"
	"time"
)

// The attributes that tell the pods of a service apart: the one on the
// resource, the other on the point.
const (
	PodAttribute     = "k8s.pod.name"
	AddressAttribute = "server.address"
)

// Shape says how many series there are.
type Shape struct {
	// Services, and Pods of each.
	Services, Pods int
	// Routes and Codes of each pod.
	Routes, Codes int
	// PodsPerRequest is how many pods of one service are in a request. It
	// divides Pods.
	PodsPerRequest int
}

// DefaultShape is 200,000 series of 500 pods in 50 requests of 4,000 points;
// without the pods they are 4,000 series.
var DefaultShape = Shape{Services: 10, Pods: 50, Routes: 20, Codes: 5, PodsPerRequest: 10}

// Validate reports all errors at once.
func (s Shape) Validate() error {
	var errs error
	for _, count := range []struct {
		name   string
		n, max int
	}{
		{"services", s.Services, len(services)},
		{"pods", s.Pods, maxPods},
		{"routes", s.Routes, len(routes)},
		{"codes", s.Codes, len(codes)},
		{"pods a request", s.PodsPerRequest, s.Pods},
	} {
		if count.n < 1 || count.n > count.max {
			errs = errors.Join(errs, fmt.Errorf("%s: must be between 1 and %d, got %d", count.name, count.max, count.n))
		}
	}
	if errs == nil && s.Pods%s.PodsPerRequest != 0 {
		errs = fmt.Errorf("pods a request: must divide the pods of a service, %d, got %d", s.Pods, s.PodsPerRequest)
	}
	return errs
}

// Series is how many series there are, and so the points of a round.
func (s Shape) Series() int { return s.Pods * s.Merged() }

// Merged is how many series are left when nothing names the pod.
func (s Shape) Merged() int { return s.Services * len(metrics) * s.Routes * s.Codes }

// Requests is how many requests a round has.
func (s Shape) Requests() int { return s.Services * s.Pods / s.PodsPerRequest }

// Workload holds the encoded requests: one set of buffers, which Round rewrites,
// so that many rounds need no more memory than one.
type Workload struct {
	shape    Shape
	requests []request
	bodies   [][]byte
	sum      float64 // of the increments of all series
}

// New encodes the requests of a shape. The pods began to count at start.
func New(shape Shape, start time.Time) (*Workload, error) {
	if err := shape.Validate(); err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	w := &Workload{shape: shape}
	for service := range shape.Services {
		for pod := 0; pod < shape.Pods; pod += shape.PodsPerRequest {
			r, err := encode(shape, service, pod, start)
			if err != nil {
				return nil, err
			}
			w.requests = append(w.requests, r)
			w.bodies = append(w.bodies, r.body)
			for _, p := range r.points {
				w.sum += p.increment()
			}
		}
	}
	return w, nil
}

// Shape returns what the workload was made of.
func (w *Workload) Shape() Shape { return w.shape }

// Round returns the bodies of round n, counted from 1, whose points were
// measured at now, in the order in which they are to be sent. They are valid
// until the next call.
func (w *Workload) Round(n int, now time.Time) [][]byte {
	for i := range w.requests {
		w.requests[i].advance(n, now)
	}
	return w.bodies
}

// Total is the sum over all series of what they have counted by round n.
func (w *Workload) Total(n int) float64 { return float64(n) * w.sum }
