package abrouterconnector

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"
)

var (
	// errPanic is wrapped by the error of a candidate that panicked, errTimeout by
	// that of one that took too long.
	errPanic   = errors.New("the candidate panicked")
	errTimeout = errors.New("the candidate took longer than candidate_timeout")
)

// toCandidate calls the candidate for experiments. It may take its time only up
// to the timeout, and its panic is an error.
func (f *flow[T]) toCandidate(ctx context.Context, data T, routes []*route) (err error) {
	if timeout := f.config.CandidateTimeout; timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
		defer cancel()
	}
	one := f.calls.begin(f.now(), routes)
	defer f.calls.end(one)
	defer func() {
		if what := recover(); what != nil {
			err = consumererror.NewPermanent(fmt.Errorf("%w: %v", errPanic, what))
			f.logger.Error("The candidate panicked", zap.Any("panic", what), zap.ByteString("stack", debug.Stack()))
		}
	}()
	err = f.arms[toCandidate].consume(ctx, data)
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(ctx), errTimeout) {
		err = errors.Join(errTimeout, err)
	}
	return err
}

// candidateError counts a batch that the candidate did not take.
func (f *flow[T]) candidateError(ctx context.Context, err error) {
	reason := reasonRefused
	switch {
	case errors.Is(err, errPanic):
		reason = reasonPanic
	case errors.Is(err, errTimeout):
		reason = reasonTimeout
	case consumererror.IsPermanent(err):
		reason = reasonFailed
	}
	f.telemetry.ConnectorAbRouterCandidateErrors.Add(ctx, 1, reason)
	f.logger.Debug("The candidate did not take a batch", zap.Error(err))
}
