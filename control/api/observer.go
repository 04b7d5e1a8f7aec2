package api

import (
	"context"
	"time"

	"github.com/phoenix-platform/phoenix/control/api/fault"
)

// Door says how a request came.
type Door string

// The doors.
const (
	DoorREST Door = "rest"
	DoorGRPC Door = "grpc"
)

// NoMethod is the method of requests that are for no RPC.
const NoMethod = "other"

// StatusClientGone is the status of requests whose client did not wait for the
// answer. It is sent to nobody.
const StatusClientGone = 499

// Observer takes what metrics count. Its methods do not block.
type Observer interface {
	// RequestDone is called for each request that was answered; streams do not
	// count. The method is the RPC, such as Policies/EnforcePolicy, or NoMethod.
	// The status is that of HTTP, also over gRPC.
	RequestDone(ctx context.Context, method string, door Door, status int, took time.Duration)
	// Refused is called for each answer that is a fault, a stream's end too.
	Refused(ctx context.Context, reason fault.Reason)
	// InFlight is called with 1 when a request begins and -1 when it ends.
	InFlight(change int64)
}

type nobody struct{}

func (nobody) RequestDone(context.Context, string, Door, int, time.Duration) {}
func (nobody) Refused(context.Context, fault.Reason)                         {}
func (nobody) InFlight(int64)                                                {}
