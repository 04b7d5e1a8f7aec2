package experiments

import (
	"errors"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/service"
)

// reasons are what refusals of commands are called.
var reasons = map[experiment.RefusalCode]fault.Reason{
	experiment.RefusedCommand:  fault.UnknownCommand,
	experiment.RefusedEnded:    fault.Ended,
	experiment.RefusedPhase:    fault.WrongPhase,
	experiment.RefusedInvalid:  fault.Invalid,
	experiment.RefusedChanged:  fault.Changed,
	experiment.RefusedConflict: fault.Conflict,
	experiment.RefusedTooLate:  fault.TooLate,
	experiment.RefusedApproval: fault.NotApproved,
	experiment.RefusedNotReady: fault.NotReady,
	experiment.RefusedNothing:  fault.NothingToApprove,
}

// faultOf is service.Fault that also knows refusals of commands.
func faultOf(err error) error {
	var refusal *experiment.Refusal
	if !errors.As(err, &refusal) {
		return service.Fault(err)
	}
	reason, known := reasons[refusal.Code]
	if !known {
		reason = fault.Conflict
	}
	f := fault.New(reason, clip(refusal.Error()))
	if reason != fault.Invalid {
		return f
	}
	var m mistakes
	for _, e := range policy.AsErrors(refusal.Err) {
		m.add("spec."+e.Path, "%s", e.Problem)
	}
	if len(m.list) == 0 {
		m.add("spec", "%s", refusal.Error())
	}
	_ = m.err() // bounds the list
	f.Violations = m.list
	return f
}
