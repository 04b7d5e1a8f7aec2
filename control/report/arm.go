package report

import (
	"context"
	"time"
)

// ArmRegistry takes the sources of what leaves the arms of experiments. The
// control plane implements it; a cardinality processor that has the options
// `control` and `arm` looks for it among the host's extensions at Start.
type ArmRegistry interface {
	// RegisterArm makes a source known until the returned function is called.
	// Instances of one component may register side by side.
	RegisterArm(ArmRegistration) (unregister func(), err error)
}

// ArmRegistration says who measures the end of which arm.
type ArmRegistration struct {
	// Component and Point are as in CardinalityRegistration; Arm is baseline or
	// candidate.
	Component, Point, Arm string
	// Source answers the questions.
	Source ArmSource
	// Backend is what the component knows of the database that is paid for.
	Backend ArmBackend
}

// ArmBackend says what of a stream are labels in a database like Prometheus.
type ArmBackend struct {
	// ResourceAttributes become labels, or AllResourceAttributes do; ScopeLabels
	// adds those of the instrumentation scope.
	ResourceAttributes    []string
	AllResourceAttributes bool
	ScopeLabels           bool
	// Translation is how names are made: a strategy of otlptranslator.
	Translation string
}

// ArmSource answers what left an arm.
type ArmSource interface {
	// Arms says what left the arm of these experiments, or of all that are routed
	// if none are named; those of which nothing is known are left out. It may be
	// called from any goroutine, holds up the data path for no longer than
	// reading one experiment takes, and returns values that the caller owns.
	Arms(ctx context.Context, experiments []string) ([]ArmReport, error)
}

// ArmReport is what left one arm of one experiment. Counts are since Since, which
// is anew when the candidate begins anew.
type ArmReport struct {
	// Component, Point and Arm are those of the registration.
	Component, Point, Arm string
	Experiment            string
	// Since is when counting began: when the route was first seen here. At is when
	// it was read.
	Since, At time.Time
	// Series counts the series of the backend that were seen in the present and the
	// last sub-window, RelativeError is one standard error of it as a fraction. A
	// sub-window is as long as the processor's, but at most a minute. They begin at
	// times of the wall clock, so that arms are compared over the same time. Until
	// two whole ones have passed since Since, it is 0, and so are Units and
	// MemoryBytes: what was under way then is not the arm's.
	Series        uint64
	RelativeError float64
	// Points counts data points, and Bytes their size as OTLP, without what resource,
	// scope and metric add to a message: that depends on how points are batched. The
	// ends of series (no recorded value) are points, and no Series.
	Points, Bytes uint64
	// MemoryBytes is about the memory that this state takes. It grows evenly with
	// streams and units, so that arms that hold the same say the same.
	MemoryBytes uint64
	// Units has an entry for each unit that was seen, in no order. Only with split.
	// UnitsLeftOut counts the points of units beyond the bound.
	Units        []UnitReport
	UnitsLeftOut uint64
}

// UnitReport is what left an arm of one unit.
type UnitReport struct {
	// Unit is the hash by which routers assign it.
	Unit uint64
	// Points, Bytes and Series are as in ArmReport, but that series which several of
	// the unit's streams make together count for each. A unit that sent nothing for
	// two sub-windows may begin anew.
	Points, Bytes, Series uint64
}
