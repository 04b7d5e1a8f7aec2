package abrouterconnector

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/phoenix-platform/phoenix/control/report"
)

var _ report.RouterSource = (*router)(nil)

// PolicyVersion implements report.RouterSource.
func (r *router) PolicyVersion() uint64 {
	if s := r.current.Load().snapshot; s != nil {
		return s.Version
	}
	return 0
}

// Routes implements report.RouterSource. Static experiments are the router's own
// business and are left out.
func (r *router) Routes(_ context.Context, experiments []string) ([]report.RouteReport, error) {
	v, now := r.current.Load(), r.now()
	if len(experiments) == 0 {
		list := make([]report.RouteReport, 0, len(v.routes))
		for _, rt := range v.routes {
			if rt.Lease != nil {
				list = append(list, r.reportOf(rt, now))
			}
		}
		return list, nil
	}
	wanted := make(map[string]struct{}, len(experiments))
	for _, id := range experiments {
		wanted[id] = struct{}{}
	}
	list := make([]report.RouteReport, 0, len(experiments))
	for _, rt := range v.routes {
		if _, is := wanted[rt.Experiment]; is && rt.Lease != nil {
			list = append(list, r.reportOf(rt, now))
		}
	}
	return list, nil
}

func (r *router) reportOf(rt *route, now time.Time) report.RouteReport {
	s := rt.state
	answer := report.RouteReport{
		Component: r.id.String(), Signal: r.signal, Experiment: rt.Experiment, Epoch: rt.Epoch,
		Held: rt.Lease.Held(now), Since: s.since, At: now,
		Baseline: s.counts[toBaseline].report(), Candidate: s.counts[toCandidate].report(),
	}
	if why := s.breach.Load(); why != nil {
		answer.Breach = *why
	}
	if a := s.assigned.Load(); a != nil && !rt.isMirror() {
		answer.Baseline.Units, answer.Candidate.Units = a.units[toBaseline].recently(now), a.units[toCandidate].recently(now)
	}
	return answer
}

func (c *counts) report() report.RouteArm {
	return report.RouteArm{
		Points: c.points.Load(), Batches: c.batches.Load(), Refused: c.refused.Load(), Failed: c.failed.Load(),
		Dropped: c.dropped.Load(), Retried: c.retried.Load(), FailedBatches: c.failedBatches.Load(), Time: time.Duration(c.nanos.Load()),
	}
}

// The states of a route in telemetry.
const (
	stateMirror   = "mirror"
	stateSplit    = "split"
	stateClosed   = "closed"   // without weight or mirror
	stateLease    = "no_lease" // control does not renew it
	stateBreached = "breached" // its candidate fails
)

var stateOptions = func() map[string]metric.MeasurementOption {
	options := map[string]metric.MeasurementOption{}
	for _, state := range []string{stateMirror, stateSplit, stateClosed, stateLease, stateBreached} {
		options[state] = metric.WithAttributeSet(attribute.NewSet(attribute.String("state", state)))
	}
	return options
}()

func (r *router) observeExperiments(_ context.Context, o metric.Int64Observer) error {
	now, count := r.now(), map[string]int64{}
	for _, rt := range r.current.Load().routes {
		count[rt.stateAt(now)]++
	}
	for state, option := range stateOptions {
		o.Observe(count[state], option)
	}
	return nil
}

func (rt *route) stateAt(now time.Time) string {
	switch {
	case rt.state.breach.Load() != nil:
		return stateBreached
	case rt.candidateOpen(now) && rt.isMirror():
		return stateMirror
	case rt.candidateOpen(now):
		return stateSplit
	case rt.leaves == nil && (rt.Weight > 0 || rt.Mirror):
		return stateLease
	}
	return stateClosed
}

// sideOptions are the attributes of counters by arm and class.
var sideOptions = func() (options [sides][3]metric.MeasurementOption) {
	for of, arm := range map[side]string{toBaseline: "baseline", toCandidate: "candidate"} {
		for class, name := range []string{"none", modeSplit, modeMirror} {
			options[of][class] = metric.WithAttributeSet(attribute.NewSet(attribute.String("arm", arm), attribute.String("class", name)))
		}
	}
	return options
}()

// The classes of points.
const (
	classNone = iota
	classSplit
	classMirror
)

// reasons are those of dropped points and of errors of the candidate.
var reasons []string

func reasonOption(reason string) metric.MeasurementOption {
	reasons = append(reasons, reason)
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", reason)))
}

var (
	reasonQueueFull = reasonOption("queue_full")
	reasonShutdown  = reasonOption("shutdown")
	reasonRefused   = reasonOption("refused")
	reasonFailed    = reasonOption("failed")
	reasonPanic     = reasonOption("panic")
	reasonTimeout   = reasonOption("timeout")
)

// armOptions are the attributes of counters by arm.
var armOptions = [sides]metric.MeasurementOption{
	toBaseline:  metric.WithAttributeSet(attribute.NewSet(attribute.String("arm", "baseline"))),
	toCandidate: metric.WithAttributeSet(attribute.NewSet(attribute.String("arm", "candidate"))),
}
