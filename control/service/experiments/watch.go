package experiments

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// checkEvery is how often it is looked whether the caller may still go on, and
// what has become of an experiment that the conductor does not run.
const checkEvery = time.Second

// WatchExperiment streams an experiment until it is over, or either side ends.
// There is no queue: a reader who is slow gets what is newest when they are ready.
func (s *Service) WatchExperiment(req *phoenixv1.WatchExperimentRequest, stream grpc.ServerStreamingServer[phoenixv1.Experiment]) error {
	ctx, k := stream.Context(), keyOf(req.GetNamespace(), req.GetName())
	if _, err := s.seen(ctx, k); err != nil {
		return err
	}
	changed, cancel := s.settings.Conductor.Watch(k)
	defer cancel()
	w := &watcher{service: s, key: k, stream: stream}
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for look := true; ; {
		if look {
			if over, err := w.look(ctx); over || err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return service.Fault(context.Cause(ctx))
		case <-s.settings.Done:
			return fault.New(fault.Unavailable, "the control plane is shutting down")
		case _, open := <-changed:
			if look = open; !open {
				changed = nil // the ticks go on
			}
		case <-tick.C:
			if err := s.settings.Active(ctx, call.From(ctx).Principal); err != nil {
				return service.Fault(err)
			}
			// Of what it does not run the conductor has nothing to tell.
			_, runs := s.settings.Conductor.View(k)
			look = !runs || !w.running()
		}
	}
}

// watcher is one stream.
type watcher struct {
	service *Service
	key     store.ExperimentKey
	stream  grpc.ServerStreamingServer[phoenixv1.Experiment]
	// last is the newest that was sent.
	last *phoenixv1.Experiment
}

// running says whether the conductor ran the experiment when it was sent.
func (w *watcher) running() bool {
	phase := experiment.Phase(w.last.GetStatus().GetPhase())
	return phase != experiment.PhaseDraft && !phase.Final()
}

// look sends the experiment if there is something new.
func (w *watcher) look(ctx context.Context) (over bool, err error) {
	e, err := w.service.seen(ctx, w.key)
	if err != nil {
		return false, err
	}
	p := w.service.present(e)
	next := w.service.brief(p)
	if w.last != nil && !news(w.last, next) {
		return false, nil
	}
	if err := w.stream.Send(next); err != nil {
		return false, err
	}
	w.last = next
	return experiment.Phase(next.GetStatus().GetPhase()).Final(), nil
}

// news says whether more changed than the time that it ran.
func news(before, after *phoenixv1.Experiment) bool {
	timeless := proto.CloneOf(after)
	was := before.GetStatus()
	timeless.Status.Ran, timeless.Status.Unbroken = was.GetRan(), was.GetUnbroken()
	return !proto.Equal(before, timeless)
}
