package policies

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
)

const (
	// reportsFresh is how long what the processors report is good for: to ask them
	// takes time for every rule.
	reportsFresh = time.Second
	// maxProblems bounds what a status repeats of the problems of processors.
	maxProblems = 5
)

// reports remembers what the processors of a kind reported.
type reports[T any] struct {
	ask  func(context.Context) []T
	turn sync.Mutex // of who asks
	last atomic.Pointer[asked[T]]
}

type asked[T any] struct {
	list []T
	at   time.Time
}

// get returns what is fresh. While somebody asks, the others take what was
// before.
func (r *reports[T]) get(ctx context.Context) []T {
	last := r.last.Load()
	if last != nil && (time.Since(last.at) < reportsFresh || !r.turn.TryLock()) {
		return last.list
	}
	if last == nil {
		r.turn.Lock()
	}
	defer r.turn.Unlock()
	if now := r.last.Load(); now != last {
		return now.list
	}
	began := time.Now()
	list := r.ask(ctx)
	if ctx.Err() != nil {
		return list // perhaps not all of it
	}
	r.last.Store(&asked[T]{list, began})
	return list
}

// view is what is known of the data path at one moment.
type view struct {
	publisher  Publisher
	published  publish.Status
	processors []Processor
	reports    []report.Consolidation
	samples    []report.Sampling
}

func (s *Service) view(ctx context.Context) *view {
	list, samples := s.reports.get(ctx), s.samples.get(ctx)
	return &view{
		publisher: s.settings.Publisher, published: s.settings.Publisher.Status(),
		processors: s.processors(list, samples), reports: list, samples: samples,
	}
}

func (s *Service) processors(list []report.Consolidation, samples []report.Sampling) []Processor {
	if s.settings.Processors != nil {
		return s.settings.Processors()
	}
	processors := make([]Processor, 0, len(list))
	for _, r := range list {
		processors = append(processors, Processor{r.Component, r.Role, r.PolicyVersion})
	}
	for _, r := range samples {
		processors = append(processors, Processor{r.Component, RoleSampler, r.PolicyVersion})
	}
	return processors
}

// count returns how many processors the roles have and how many of them took
// over a version of the policies in the store.
func (v *view) count(roles []string, version uint64) (all, having int) {
	for _, p := range v.processors {
		if !slices.Contains(roles, p.Role) {
			continue
		}
		all++
		if v.publisher.Includes(p.PolicyVersion, version) {
			having++
		}
	}
	return all, having
}

func (v *view) leftOut(k store.PolicyKey) (problem string, is bool) {
	for _, l := range v.published.LeftOut {
		if l.PolicyKey == k {
			return l.Problem, true
		}
	}
	return "", false
}

// measured says whether at least one processor of each kind that the policy needs
// has it now.
func (v *view) measured(p store.Policy, roles []string) bool {
	_, leftOut := v.leftOut(p.PolicyKey)
	if leftOut || v.published.Kill.Engaged {
		return false
	}
	sampling := slices.Contains(roles, RoleSampler)
	rules := slices.DeleteFunc(slices.Clone(roles), func(role string) bool { return role == RoleSampler })
	if _, having := v.count([]string{RoleSampler}, p.Version); sampling && having == 0 {
		return false
	}
	_, having := v.count(rules, p.Version)
	return having > 0 || len(rules) == 0 && sampling
}

// applied says whether the data path does what the present revision says.
func (v *view) applied(p store.Policy, roles []string) bool {
	all, having := v.count(roles, p.Version)
	if all == 0 || having < all {
		return false
	}
	_, leftOut := v.leftOut(p.PolicyKey)
	return !inForce(p.State) || !leftOut && !v.published.Kill.Engaged
}

// status says what the data path makes of a policy.
func (v *view) status(p store.Policy, roles []string) *phoenixv1.PolicyStatus {
	st := &phoenixv1.PolicyStatus{Applied: v.applied(p, roles)}
	if !inForce(p.State) {
		return st
	}
	warn := func(format string, args ...any) { st.Warnings = append(st.Warnings, fmt.Sprintf(format, args...)) }
	if problem, is := v.leftOut(p.PolicyKey); is {
		warn("this version of Phoenix refuses the policy and leaves it out, update or disable it: %s", clip(problem))
	}
	if kill := v.published.Kill; kill.Engaged {
		warn("the kill switch is engaged (%s), no policy is applied", kill.Source)
	}
	for _, l := range v.published.Unpriced {
		if l.PolicyKey == p.PolicyKey {
			warn("not in force: %s", clip(l.Problem))
		}
	}
	for _, role := range roles {
		switch all, _ := v.count([]string{role}, p.Version); {
		case all > 0:
		case role == RoleSampler:
			warn("no adaptive_sampler processor takes policies from this control plane: set its option control")
		default:
			warn("no tag_consolidation processor of role %s takes policies from this control plane: set its option control", role)
		}
	}
	st.Warnings = append(st.Warnings, v.problems(p, roles)...)
	return st
}

// problems are what processors say about the policy, and that they refuse
// policies at all. What they say about others is not for everybody who sees this
// one.
func (v *view) problems(p store.Policy, roles []string) []string {
	own := publish.RuleName(p.PolicyKey, "")
	var list []string
	for _, r := range v.refusals() {
		if len(r.Problems) == 0 || !slices.Contains(roles, r.Role) {
			continue
		}
		said := false
		for line := range strings.Lines(strings.Join(r.Problems, "\n")) {
			if line = strings.TrimSpace(line); names(line, own) {
				list, said = append(list, r.Component+": "+clip(line)), true
			}
		}
		if !said && !v.publisher.Includes(r.PolicyVersion, p.Version) {
			list = append(list, r.Component+" refuses the newest policies because of another one: ask an operator to look at its problems in the system information")
		}
	}
	if more := len(list) - maxProblems; more > 0 {
		list = append(list[:maxProblems], fmt.Sprintf("%d more problems are in the system information", more))
	}
	return list
}

// refusal is what one processor says of the policies.
type refusal struct {
	Processor
	Problems []string
}

func (v *view) refusals() []refusal {
	list := make([]refusal, 0, len(v.reports)+len(v.samples))
	for _, r := range v.reports {
		list = append(list, refusal{Processor{r.Component, r.Role, r.PolicyVersion}, r.Problems})
	}
	for _, r := range v.samples {
		list = append(list, refusal{Processor{r.Component, RoleSampler, r.PolicyVersion}, r.Problems})
	}
	return list
}

// names says whether a text is about the rules that begin so, and not about
// those of a policy whose name ends alike.
func names(text, own string) bool {
	for {
		before, after, found := strings.Cut(text, own)
		if !found {
			return false
		}
		if before == "" || !isNameByte(before[len(before)-1]) {
			return true
		}
		text = after
	}
}

func isNameByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("._-/:", b) >= 0
}
