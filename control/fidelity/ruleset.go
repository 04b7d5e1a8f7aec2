package fidelity

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
)

// ruleset is the rules of a plan on one arm, with their state.
type ruleset struct {
	groups []*rules.Group
	// rules are those of all groups, in order.
	rules []rules.Rule
	keys  []string
	// answers is what the recording rules said at the newest instant.
	answers map[string]answer
}

func newRuleset(p *Plan, engine *promql.Engine, a *arm) *ruleset {
	s := &ruleset{answers: map[string]answer{}}
	opts := &rules.ManagerOptions{
		Context: context.Background(), Appendable: a, Queryable: a, Logger: slog.New(slog.DiscardHandler),
		Metrics: rules.NewGroupMetrics(nil), Parser: newParser(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
		QueryFunc: func(ctx context.Context, text string, at time.Time) (promql.Vector, error) {
			answer := ask(ctx, engine, a, text, at)
			if d := rules.FromOriginContext(ctx); d.Query == text {
				kept := answer
				kept.vector = append(promql.Vector(nil), answer.vector...) // a rule renames what it gets
				s.answers[detailKey(d)] = kept
			}
			return answer.vector, answer.err
		},
	}
	for _, g := range p.groups {
		made := g.instantiate(opts)
		s.groups = append(s.groups, made)
		for _, r := range made.Rules() {
			s.rules = append(s.rules, r)
			s.keys = append(s.keys, keyOf(r))
		}
	}
	return s
}

// evaluate runs all groups in their order.
func (s *ruleset) evaluate(ctx context.Context, at time.Time) {
	clear(s.answers)
	for _, g := range s.groups {
		g.Eval(ctx, at)
	}
}

// answer is what a rule's expression said.
func (s *ruleset) answer(i int) answer { return s.answers[s.keys[i]] }
