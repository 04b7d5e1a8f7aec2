package policies

import (
	"context"
	"fmt"
	"time"

	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/store"
)

const (
	// maxPending bounds the policies that are watched until they are applied, and
	// pendingTime for how long: there may be no processor.
	maxPending  = 4096
	pendingTime = 15 * time.Minute
	// appliedPoll is how often it is looked: as often as processors ask for
	// policies.
	appliedPoll = 250 * time.Millisecond
)

// waiting is a committed change that the data path does not have yet.
type waiting struct {
	policy store.Policy
	roles  []string
	until  time.Time
}

// await makes Run tell when processors have a change. A newer change of the
// policy takes its place.
func (s *Service) await(before, after store.Policy) {
	if !inForce(before.State) && !inForce(after.State) {
		return // the data path has nothing to do
	}
	text := after.Spec
	if after.State == store.StateDeleted {
		text = before.Spec
	}
	after.Spec = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.pending[after.PolicyKey]; !there && len(s.pending) >= maxPending {
		return
	}
	s.pending[after.PolicyKey] = waiting{policy: after, roles: rolesOf(wireSpec(text)), until: s.core.Now().Add(pendingTime)}
}

// Run publishes policy.applied when all processors have a change, until ctx
// ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(appliedPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.tellApplied(ctx)
		}
	}
}

func (s *Service) tellApplied(ctx context.Context) {
	s.mu.Lock()
	waits := len(s.pending) > 0
	s.mu.Unlock()
	if !waits {
		return
	}
	v := s.view(ctx)
	now := s.core.Now()
	var applied []store.Policy
	s.mu.Lock()
	for k, w := range s.pending {
		switch {
		case v.applied(w.policy, w.roles):
			applied = append(applied, w.policy)
			delete(s.pending, k)
		case now.After(w.until):
			delete(s.pending, k)
		}
	}
	s.mu.Unlock()
	for _, p := range applied {
		s.core.Events.Publish(bus.Event{
			Time: now, Type: "policy.applied", Namespace: p.Namespace, Resource: p.Resource(),
			Message: fmt.Sprintf("Every processor has revision %d of the policy %s/%s (%s)", p.Revision, p.Namespace, p.Name, p.State),
			Detail:  map[string]string{"revision": revisionDetail(p.Revision), "state": string(p.State)},
		})
	}
}
