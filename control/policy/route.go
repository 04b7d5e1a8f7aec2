package policy

import (
	"sync/atomic"
	"time"
)

// ArmAttribute is the point attribute by which a router marks what it mirrors to
// a candidate, so that nobody takes it for the baseline's. Its value is
// ArmCandidate.
const ArmAttribute = "phoenix_arm"

// Arm is one side of an experiment.
type Arm string

// The arms.
const (
	ArmBaseline  Arm = "baseline"
	ArmCandidate Arm = "candidate"
)

// Route is what routers have to know of an experiment. It is not written to
// after it was published, but for its Lease.
type Route struct {
	// Experiment is its id, which salts the assignment of units.
	Experiment string `json:"experiment"`
	// Epoch says which lease it is: one each time that the candidate begins.
	Epoch uint64 `json:"epoch"`
	// Signal is metrics, traces or logs; Mode mirror or split.
	Signal string `json:"signal"`
	Mode   string `json:"mode"`
	// Scope are attributes, named resource.x or point.x, and their values. A point
	// attribute of a span or a log record is the span's or the record's. All must
	// hold.
	Scope map[string]string `json:"scope"`
	// Metrics are the OTLP names of the metrics that take part. None: all.
	Metrics []string `json:"metrics,omitempty"`
	// Unit is resource, series, attribute or trace; Attribute names the
	// attribute whose values are the units. Only with split.
	Unit      string `json:"unit,omitempty"`
	Attribute string `json:"attribute,omitempty"`
	// Weight is the candidate's share of units in percent, Before what it was
	// before ChangedAt. Only with split.
	Weight    int       `json:"weight,omitempty"`
	Before    int       `json:"before,omitempty"`
	ChangedAt time.Time `json:"changed_at,omitzero"`
	// Mirror says that the candidate sees a copy of everything.
	Mirror bool `json:"mirror,omitempty"`
	// MaxErrorRatio is the part of the candidate's batches that may fail before
	// the router itself takes its weight away. 0: the router's own bound.
	MaxErrorRatio float64 `json:"max_error_ratio,omitempty"`
	// Lease is held while the candidate may have weight or mirror. Nil: for ever,
	// as with experiments of the router's own configuration.
	Lease *Lease `json:"-"`
}

// Lease is the right to give weight to a candidate. It ends by itself unless
// control renews it, which takes no new snapshot. A new one has ended. Its
// methods may be called by many goroutines.
type Lease struct{ until atomic.Pointer[time.Time] }

// Renew makes the lease last until a time, which has a monotonic reading, so that
// a clock that is set neither ends nor prolongs it.
func (l *Lease) Renew(until time.Time) { l.until.Store(&until) }

// End ends the lease now.
func (l *Lease) End() { l.until.Store(nil) }

// Held says whether the lease lasts. It costs an atomic load.
func (l *Lease) Held(now time.Time) bool {
	if l == nil {
		return true
	}
	until := l.until.Load()
	return until != nil && now.Before(*until)
}
