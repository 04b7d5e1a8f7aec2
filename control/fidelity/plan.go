package fidelity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
)

// Plan is what is to be judged: the queries of a specification, parsed. It is
// immutable.
type Plan struct {
	groups  []group
	queries []query
	reads   reads
	hold    time.Duration
	// recorded are the recording rules by the name that they record.
	recorded map[string][]rule
}

// kind says in which tally a query counts.
type kind int

const (
	alert kind = iota
	panel
	recording
)

// query is one thing that is judged.
type query struct {
	kind kind
	// name is for readers, expr the query itself.
	name, expr string
	// rule finds the rule of alerts and recordings among those of all groups.
	rule int
	// reads is what it reads, through recording rules too.
	reads reads
	// selectors are those of expr.
	selectors []selector
	// operands are what an alert compares: its result shows nothing until it fires.
	operands []string
	// hold is the for and the keep_firing_for of an alert.
	hold time.Duration
	// volatile are labels of an alert that hold a value, which nobody expects to
	// be the same.
	volatile []string
	// unable says why it can never be judged. Empty: it can.
	unable string
}

// Parse reads the queries of a specification. The error, if any, is a
// policy.Errors with all mistakes. What a dashboard shows that cannot be made
// into a query is no mistake: it is never judged, and Warnings names it.
func Parse(f experiment.Fidelity) (*Plan, error) {
	b := &builder{parser: newParser(), recorded: map[string][]reads{}}
	for i, d := range f.RuleFiles {
		b.ruleFile(fmt.Sprintf("rule_files[%d].text", i), d)
	}
	for i, d := range f.Dashboards {
		b.dashboard(fmt.Sprintf("dashboards[%d].text", i), d)
	}
	for i, q := range f.Queries {
		b.single(fmt.Sprintf("queries[%d].expr", i), q)
	}
	b.criticalAlerts(f.CriticalAlerts)
	if len(b.errs) > 0 {
		return nil, b.errs
	}
	return b.plan(), nil
}

// LongestRange is how far back the queries read, through recording rules,
// subqueries and offsets.
func (p *Plan) LongestRange() experiment.Duration { return experiment.Duration(p.reads.span) }

// LongestFor is the longest time that an alert waits before it fires, or fires
// on.
func (p *Plan) LongestFor() experiment.Duration { return experiment.Duration(p.hold) }

// Names are the names of the backend's series that the queries read, sorted,
// such as http_requests_total and http_latency_seconds_bucket; those that
// recording rules make are not among them. Nil: a query does not name what it
// reads.
func (p *Plan) Names() []string {
	if p.reads.any {
		return nil
	}
	return slices.Sorted(maps.Keys(p.reads.names))
}

// Warnings names what can never be judged, and why.
func (p *Plan) Warnings() []string {
	var list []string
	for _, q := range p.queries {
		if q.unable != "" {
			list = append(list, q.name+": "+q.unable)
		}
	}
	return list
}

// builder collects queries and mistakes.
type builder struct {
	parser  parser.Parser
	groups  []group
	queries []query
	rules   int
	// recorded is what recording rules read, by the name that they record.
	recorded map[string][]reads
	errs     policy.Errors
}

func (b *builder) fail(key, format string, args ...any) {
	b.errs = append(b.errs, policy.FieldError{Path: key, Problem: fmt.Sprintf(format, args...)})
}

func (b *builder) single(key string, q experiment.Query) {
	expr, err := b.parser.ParseExpr(q.Expr)
	if err != nil {
		b.fail(key, "does not parse: %s", err)
		return
	}
	if why := notAnInstant(expr); why != "" {
		b.fail(key, "%s", why)
		return
	}
	b.add(query{kind: panel, name: q.Name}, expr)
}

// notAnInstant says why an expression is nothing that a panel can show.
func notAnInstant(expr parser.Expr) string {
	if t := expr.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
		return "must be an instant vector or a scalar, is a " + parser.DocumentedType(t)
	}
	return ""
}

// add completes a query with what its expression says.
func (b *builder) add(q query, expr parser.Expr) {
	r, selectors, unable := inspect(expr)
	q.expr, q.reads, q.selectors = expr.String(), r, selectors
	if q.unable == "" {
		q.unable = unable
	}
	b.queries = append(b.queries, q)
}

// unjudged notes a panel that cannot be made into a query.
func (b *builder) unjudged(name, why string) {
	b.queries = append(b.queries, query{kind: panel, name: name, unable: why})
}

func (b *builder) criticalAlerts(names []string) {
	for i, name := range names {
		if !slices.ContainsFunc(b.queries, func(q query) bool { return q.kind == alert && q.name == name }) {
			b.fail(fmt.Sprintf("critical_alerts[%d]", i), "must be an alert of rule_files, %q is none", name)
		}
	}
}

// plan follows recording rules, so that each query knows all that it reads.
func (b *builder) plan() *Plan {
	p := &Plan{groups: b.groups, queries: b.queries, recorded: map[string][]rule{}}
	for _, g := range p.groups {
		for _, r := range g.rules {
			if r.record != "" {
				p.recorded[r.record] = append(p.recorded[r.record], r)
			}
		}
	}
	for i := range p.queries {
		q := &p.queries[i]
		q.reads = b.follow(q.reads, nil)
		p.reads.add(q.reads, 0)
		p.hold = max(p.hold, q.hold)
	}
	return p
}

// follow replaces names that are recorded by what the rules read.
func (b *builder) follow(r reads, path []string) reads {
	found := reads{any: r.any, span: r.span}
	for name := range r.names {
		rules, recorded := b.recorded[name]
		if !recorded {
			if slices.ContainsFunc(stateNames, func(state string) bool { return strings.HasPrefix(name, state+"{") || name == state }) {
				continue // of rules that are not judged here
			}
			found.add(reads{names: map[string]bool{name: true}}, 0)
			continue
		}
		if slices.Contains(path, name) {
			continue // a rule that reads itself
		}
		for _, rule := range rules {
			found.add(b.follow(rule, append(slices.Clip(path), name)), r.span)
		}
	}
	return found
}
