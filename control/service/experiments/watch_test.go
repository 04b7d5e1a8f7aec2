package experiments_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/service/experiments"
)

// stream is a client that reads when the test does.
type stream struct {
	grpc.ServerStream
	ctx  context.Context
	sent chan *phoenixv1.Experiment
	end  chan error
}

func (s *stream) Context() context.Context { return s.ctx }

func (s *stream) Send(e *phoenixv1.Experiment) error {
	select {
	case s.sent <- e:
		return nil
	case <-s.ctx.Done():
		return io.EOF
	}
}

func (r *rig) stream(ctx context.Context, t *testing.T, name string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{ctx: ctx, sent: make(chan *phoenixv1.Experiment), end: make(chan error, 1)}
	go func() {
		s.end <- r.WatchExperiment(&phoenixv1.WatchExperimentRequest{Namespace: "shop", Name: name}, s)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-s.end:
			t.Log(err)
		case <-time.After(10 * time.Second):
			t.Error("the stream does not end")
		}
	})
	return s
}

// next is the next message, or why there is none.
func (s *stream) next(t *testing.T) (*phoenixv1.Experiment, error) {
	t.Helper()
	select {
	case e := <-s.sent:
		return e, nil
	case err := <-s.end:
		s.end <- err // for the cleanup
		if err == nil {
			err = io.EOF
		}
		return nil, err
	case <-time.After(20 * time.Second):
		require.Fail(t, "nothing comes")
		return nil, nil
	}
}

func (s *stream) until(t *testing.T, phase string) *phoenixv1.Experiment {
	t.Helper()
	for {
		e, err := s.next(t)
		require.NoError(t, err)
		if e.GetStatus().GetPhase() == phase {
			return e
		}
	}
}

func TestWatchingAnExperimentFromDraftToEnd(t *testing.T) {
	r := newRig(t)
	e := create("a")
	e.Experiment.Spec.Description = "first"
	_, err := r.CreateExperiment(as("admin"), e)
	require.NoError(t, err)
	s := r.stream(as("shop-viewer"), t, "a")
	first, err := s.next(t)
	require.NoError(t, err)
	assert.Equal(t, "Draft", first.GetStatus().GetPhase())
	e.Experiment.Spec.Description = "second"
	_, err = r.UpdateExperiment(as("admin"), &phoenixv1.UpdateExperimentRequest{Experiment: e.GetExperiment()})
	require.NoError(t, err)
	changed, err := s.next(t)
	require.NoError(t, err)
	assert.Equal(t, "second", changed.GetSpec().GetDescription())
	require.NoError(t, r.do(as("admin"), t, "start", "a"))
	s.until(t, "Running")
	for looks := 0.0; looks < 2; { // each look is told
		e, err := s.next(t)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, e.GetStatus().GetLooks(), looks)
		looks = e.GetStatus().GetLooks()
	}
	require.NoError(t, r.do(as("admin"), t, "abort", "a"))
	s.until(t, "RolledBack")
	_, err = s.next(t)
	require.ErrorIs(t, err, io.EOF, "the stream ends by itself")

	over := r.stream(as("admin"), t, "a")
	last, err := over.next(t)
	require.NoError(t, err)
	assert.Equal(t, "RolledBack", last.GetStatus().GetPhase())
	_, err = over.next(t)
	require.ErrorIs(t, err, io.EOF)
}

// Who reads slowly gets what is newest, and nothing piles up.
func TestASlowReaderGetsTheNewest(t *testing.T) {
	r := newRig(t)
	r.started(t, "a")
	s := r.stream(as("admin"), t, "a")
	_, err := s.next(t)
	require.NoError(t, err)
	r.await(t, "a", func(e *phoenixv1.Experiment) bool { return e.GetStatus().GetLooks() >= 2 })
	require.NoError(t, r.do(as("admin"), t, "abort", "a"))
	for sent := 1; ; sent++ {
		e, err := s.next(t)
		require.NoError(t, err)
		require.LessOrEqual(t, sent, 2, "one that waited, and the newest")
		if e.GetStatus().GetPhase() == "RolledBack" {
			return
		}
	}
}

func TestAWatchThatEndsOtherwise(t *testing.T) {
	gone := make(chan struct{})
	r := newRig(t, func(s *experiments.Settings) {
		s.Active = func(_ context.Context, who access.Principal) error {
			select {
			case <-gone:
				if who.ID == "shop-viewer" {
					return &access.Refusal{Kind: access.ErrUnauthenticated, Caller: "the key is revoked"}
				}
			default:
			}
			return nil
		}
	})
	r.created(t, "a")
	end := func(s *stream, want fault.Reason) {
		t.Helper()
		_, err := s.next(t)
		refused(t, err, want)
	}
	end(r.stream(as("bank-operator"), t, "a"), fault.NotFound)
	end(r.stream(as("admin"), t, "none"), fault.NotFound)
	end(r.stream(context.Background(), t, "a"), fault.Unauthenticated)

	revoked := r.stream(as("shop-viewer"), t, "a")
	_, err := revoked.next(t)
	require.NoError(t, err)
	close(gone)
	end(revoked, fault.Unauthenticated)

	deleted := r.stream(as("admin"), t, "a")
	_, err = deleted.next(t)
	require.NoError(t, err)
	require.NoError(t, r.do(as("admin"), t, "delete", "a"))
	end(deleted, fault.NotFound)

	r.created(t, "b")
	down := r.stream(as("admin"), t, "b")
	_, err = down.next(t)
	require.NoError(t, err)
	close(r.done)
	end(down, fault.Unavailable)
}
