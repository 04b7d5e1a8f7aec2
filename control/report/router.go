package report

import (
	"context"
	"time"
)

// RouterRegistry takes the sources of router reports. The control plane
// implements it; an ab_router connector that has a `control` option looks for it
// among the host's extensions at Start.
type RouterRegistry interface {
	// RegisterRouter makes a source known until the returned function is called.
	// Instances for several signals may register side by side.
	RegisterRouter(RouterRegistration) (unregister func(), err error)
}

// RouterRegistration says who routes what, and where to ask.
type RouterRegistration struct {
	// Component is the id of the connector, Signal metrics, traces or logs.
	Component, Signal string
	// Source answers the questions.
	Source RouterSource
}

// RouterSource answers what a router does for experiments.
type RouterSource interface {
	// Routes says what was done for these experiments, or for all that are routed
	// if none are named. Those that it does not route are left out. It may be
	// called from any goroutine, does not hold up the data path, and returns
	// values that the caller owns.
	Routes(ctx context.Context, experiments []string) ([]RouteReport, error)
	// PolicyVersion is that of the newest snapshot that was taken over. It costs
	// an atomic load.
	PolicyVersion() uint64
}

// RouteReport is what a router does for one experiment. Counts are since the
// route was first seen with this epoch.
type RouteReport struct {
	// Component and Signal are those of the registration.
	Component, Signal string
	// Experiment and Epoch are those of the route.
	Experiment string
	Epoch      uint64
	// Held says whether the lease lasts.
	Held bool
	// Breach says why the router took the candidate's weight away; empty if it
	// did not. It stays until there is a route with another epoch.
	Breach string
	// Since is when counting began, At when it was read.
	Since, At time.Time
	// Baseline and Candidate are what the arms got.
	Baseline, Candidate RouteArm
}

// RouteArm counts what one arm got.
type RouteArm struct {
	// Units counts the distinct units that were assigned to the arm since the
	// present weight; an estimate above a few thousand. 0 in mirror.
	Units uint64
	// Points counts data points, spans or log records that the arm was given, and
	// Batches the calls.
	Points, Batches uint64
	// Refused counts the points of batches that the arm would not take but might
	// later, Failed those of batches that it lost for good, Dropped those for
	// which a mirror's queue had no room, and Retried those that went to the
	// baseline after the candidate refused them.
	Refused, Failed, Dropped, Retried uint64
	// FailedBatches counts the batches of Refused and Failed.
	FailedBatches uint64
	// Time is how long the arm took for its batches, altogether.
	Time time.Duration
}
