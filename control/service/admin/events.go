package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/filter"
)

// events implements the service Events.
type events struct {
	phoenixv1.UnimplementedEventsServer
	core *service.Core
	keys *Keys
	done <-chan struct{}
}

// Bounds of watching.
const (
	// maxTypes bounds the patterns of a request, in number and in bytes each.
	maxTypes, maxType = 32, 64
	// checkEvery is how often it is looked whether the caller's API key ended.
	checkEvery = time.Second
)

// lost is the type of the event that stands for those that are gone.
const lost = "events.lost"

// WatchEvents streams the events that the caller sees, until either side ends.
func (e *events) WatchEvents(req *phoenixv1.WatchEventsRequest, stream grpc.ServerStreamingServer[phoenixv1.Event]) error {
	ctx := stream.Context()
	w, err := e.watcher(ctx, req)
	if err != nil {
		return err
	}
	if err := e.core.Authorize(ctx, access.Watch, access.Events, req.GetNamespace()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := e.watchEnd(ctx, cancel)
	defer stop()
	return w.run(ctx, stream)
}

// watchEnd ends a stream when the plane shuts down, or when the API key of the
// caller ends. The returned function waits until nobody watches any more.
func (e *events) watchEnd(ctx context.Context, cancel context.CancelCauseFunc) (stop func()) {
	who := call.From(ctx).Principal
	ended := make(chan struct{})
	ctx, stopped := context.WithCancel(ctx)
	go func() {
		defer close(ended)
		tick := time.NewTicker(checkEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-e.done:
				cancel(fault.New(fault.Unavailable, "the control plane is shutting down"))
				return
			case <-tick.C:
				if err := e.keys.Active(ctx, who); err != nil {
					cancel(service.Fault(err))
					return
				}
			}
		}
	}()
	return func() {
		stopped()
		<-ended
	}
}

// watcher is one stream.
type watcher struct {
	events *events
	types  []string
	// namespace is the only one, empty for all that the caller sees.
	namespace string
	// after is the last event that came, or the one to go on after.
	after *uint64
}

func (e *events) watcher(ctx context.Context, req *phoenixv1.WatchEventsRequest) (*watcher, error) {
	f := fault.New(fault.Invalid, "the request is not accepted")
	refuse := func(field, format string, args ...any) {
		f.Violations = append(f.Violations, fault.Violation{Field: field, Description: fmt.Sprintf(format, args...)})
	}
	w := &watcher{events: e, types: req.GetTypes(), namespace: req.GetNamespace()}
	if len(w.types) > maxTypes {
		refuse("types", "may have %d entries, has %d", maxTypes, len(w.types))
	}
	for i, pattern := range w.types {
		if pattern == "" || len(pattern) > maxType || strings.Trim(pattern, "abcdefghijklmnopqrstuvwxyz_.*") != "" {
			refuse(fmt.Sprintf("types[%d]", i), "must be a type such as policy.enforced, or a pattern such as policy.*")
		}
	}
	field, text := "after", req.GetAfter()
	if text == "" {
		field, text = "Last-Event-ID", call.From(ctx).LastEventID
	}
	if text != "" {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			refuse(field, "must be the id of an event")
		}
		w.after = &id
	}
	if len(f.Violations) > 0 {
		return nil, f
	}
	return w, nil
}

// run streams until ctx ends, whose cause it returns.
func (w *watcher) run(ctx context.Context, stream grpc.ServerStreamingServer[phoenixv1.Event]) error {
	for begun := false; ; begun = true {
		subscription, err := w.events.core.Events.Subscribe(w.after)
		if err != nil {
			f := fault.New(fault.Unavailable, "too many clients watch events; try again later")
			f.RetryAfter = time.Minute
			return f
		}
		if !begun { // from here on nothing is missed, and the client knows
			err = stream.SendHeader(nil)
		}
		if err != nil {
			subscription.Close()
			return ended(ctx, err)
		}
		err = w.pass(ctx, subscription, stream)
		subscription.Close()
		if !errors.Is(err, bus.ErrSlow) {
			return err
		}
		// What it missed is still remembered, or is said to be lost.
	}
}

// pass hands on the events of one subscription.
func (w *watcher) pass(ctx context.Context, s *bus.Subscription, stream grpc.ServerStreamingServer[phoenixv1.Event]) error {
	if s.Missed {
		err := stream.Send(&phoenixv1.Event{
			Id: strconv.FormatUint(s.Before, 10), Time: timestamp(w.events.core.Now()), Type: lost,
			Message: "Events before this one are not remembered any more: look at what they were about",
		})
		if err != nil {
			return err
		}
	}
	w.after = &s.Before
	for {
		event, err := s.Next(ctx)
		if err != nil {
			return ended(ctx, err)
		}
		w.after = &event.ID
		if !w.wants(ctx, event) {
			continue
		}
		if err := stream.Send(wireEvent(event)); err != nil {
			return ended(ctx, err)
		}
	}
}

// ended prefers why the stream was ended to what came of it.
func ended(ctx context.Context, err error) error {
	if errors.Is(err, bus.ErrSlow) {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		return service.Fault(cause)
	}
	return err
}

// wants says whether an event is asked for and may be seen.
func (w *watcher) wants(ctx context.Context, e bus.Event) bool {
	if w.namespace != "" && e.Namespace != w.namespace {
		return false
	}
	if len(w.types) > 0 && !slices.ContainsFunc(w.types, func(p string) bool { return filter.Fits(p, e.Type) }) {
		return false
	}
	return w.events.core.Guard.Visible(call.From(ctx).Principal, access.Watch, access.Events).Contains(e.Namespace)
}

func wireEvent(e bus.Event) *phoenixv1.Event {
	return &phoenixv1.Event{
		Id: strconv.FormatUint(e.ID, 10), Time: timestamp(e.Time), Type: e.Type, Namespace: e.Namespace,
		Resource: e.Resource, Message: e.Message, Principal: e.Principal, Detail: e.Detail,
	}
}
