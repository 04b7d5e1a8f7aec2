package policies

import (
	"context"
	"fmt"
	"time"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
)

// revision names one state of one policy. It never changes.
type revision struct {
	key    store.PolicyKey
	number store.Revision
}

// sinceCreation is since when a policy that was just created is in preview.
func sinceCreation(p store.Policy) time.Time {
	if p.State != store.StatePreview {
		return time.Time{}
	}
	return p.CreatedAt
}

// previewedSince is previewRun for a policy that is committed.
func (s *Service) previewedSince(ctx context.Context, p store.Policy) (time.Time, error) {
	if p.State != store.StatePreview {
		return time.Time{}, nil
	}
	if p.CreatedAt.Equal(p.UpdatedAt) { // its only revision
		return p.CreatedAt, nil
	}
	k := revision{p.PolicyKey, p.Revision}
	if since, known := s.since.Get(k); known {
		return since, nil
	}
	since, err := previewRun(ctx, s.core.Store, p)
	if err == nil {
		s.since.Add(k, since)
	}
	return since, err
}

// previewRun returns since when a policy is in preview with the rules that it
// has now: the time of the first revision of the present run of such revisions.
// Zero: it is not.
func previewRun(ctx context.Context, from store.PolicyReader, p store.Policy) (time.Time, error) {
	var since time.Time
	if p.State != store.StatePreview {
		return since, nil
	}
	digest := rulesDigest(p)
	request := store.PageRequest{Size: 20}
	for {
		list, err := from.ListPolicyRevisions(ctx, p.PolicyKey, request)
		if err != nil {
			return since, err
		}
		for _, r := range list.Items {
			same := r.SpecSHA256 == p.SpecSHA256 || rulesDigest(store.Policy{Spec: r.Spec, SpecSHA256: r.SpecSHA256}) == digest
			if r.State != store.StatePreview || !same {
				return since, nil
			}
			since = r.At
		}
		if list.Next == "" {
			return since, nil
		}
		request.Token = list.Next
	}
}

// window is how long a preview must last: so long every series that still sends
// is seen once.
func (s *Service) window(list []report.Consolidation) time.Duration {
	if w := s.settings.PreviewWindow(); w > 0 {
		return w
	}
	var longest time.Duration
	for _, r := range list {
		longest = max(longest, r.Staleness)
	}
	if longest == 0 {
		return defaultWindow
	}
	return longest
}

// previewed refuses to enforce what nobody measured for a window.
func (s *Service) previewed(ctx context.Context, from store.PolicyReader, v *view, p store.Policy, window time.Duration) error {
	since, err := previewRun(ctx, from, p)
	if err != nil {
		return err
	}
	const cure = "; an administrator may use force"
	refuse := func(format string, args ...any) error {
		return fault.New(fault.NotPreviewed, fmt.Sprintf(format, args...)+cure)
	}
	if since.IsZero() {
		return refuse("the policy is not in preview: preview it for %s, look at what it saves, and enforce it then", window)
	}
	if done := max(s.core.Now().Sub(since), 0); done < window {
		return refuse("the policy is in preview with these rules since %s: enforce it in %s, when that is %s",
			since.UTC().Format(time.RFC3339), (window-done).Truncate(time.Second)+time.Second, window)
	}
	if !v.measured(p, rolesOf(wireSpec(p.Spec))) {
		return refuse("no processor measures the policy, so that nobody saw what it does: see its status")
	}
	return nil
}
