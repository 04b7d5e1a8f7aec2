package fidelity

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// group is a rule group. Rules have state, so that each arm makes its own.
type group struct {
	file, name string
	limit      int
	offset     time.Duration
	rules      []rule
}

// rule is a recording or an alerting rule.
type rule struct {
	record, alert string
	expr          parser.Expr
	hold, keep    time.Duration
	labels        labels.Labels
}

// ruleFile reads a rule file as strictly as Prometheus does.
func (b *builder) ruleFile(key string, d experiment.Document) {
	groups, errs := rulefmt.Parse([]byte(d.Text), false, model.UTF8Validation, b.parser, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		b.fail(key, "%s", err)
	}
	if len(errs) > 0 {
		return
	}
	for _, g := range groups.Groups {
		own := group{file: d.Name, name: g.Name, limit: g.Limit}
		if g.QueryOffset != nil {
			own.offset = time.Duration(*g.QueryOffset)
		}
		for _, r := range g.Rules {
			if parsed, ok := b.rule(key, g, r, own.offset); ok {
				own.rules = append(own.rules, parsed)
			}
		}
		b.groups = append(b.groups, own)
	}
}

func (b *builder) rule(key string, g rulefmt.RuleGroup, r rulefmt.Rule, offset time.Duration) (rule, bool) {
	expr, err := b.parser.ParseExpr(r.Expr)
	if err != nil { // rulefmt parsed it before
		b.fail(key, "group %q, rule %q: %s", g.Name, r.Alert+r.Record, err)
		return rule{}, false
	}
	set := maps.Clone(g.Labels)
	if set == nil {
		set = map[string]string{}
	}
	maps.Copy(set, r.Labels)
	parsed := rule{
		record: r.Record, alert: r.Alert, expr: expr, labels: labels.FromMap(set),
		hold: time.Duration(r.For), keep: time.Duration(r.KeepFiringFor),
	}
	q := query{kind: recording, name: r.Record, rule: b.rules}
	if r.Alert != "" {
		q.kind, q.name, q.hold = alert, r.Alert, parsed.hold+parsed.keep
		q.operands, q.volatile = operandsOf(expr), volatile(set)
	}
	b.rules++
	b.add(q, expr)
	last := &b.queries[len(b.queries)-1]
	last.reads.span += offset
	if r.Alert == "" {
		b.recorded[r.Record] = append(b.recorded[r.Record], last.reads)
	} else {
		held := last.reads
		held.span += q.hold
		for _, name := range stateNames {
			for _, key := range []string{name, name + "{" + r.Alert + "}"} {
				b.recorded[key] = append(b.recorded[key], held)
			}
		}
	}
	return parsed, true
}

// volatile are the labels whose templates show a value.
func volatile(set map[string]string) []string {
	var list []string
	for name, text := range set {
		if strings.Contains(text, "$value") || strings.Contains(text, ".Value") {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// instantiate makes the group for one arm. Annotations are for people and cost a
// template each; they are left out.
func (g group) instantiate(opts *rules.ManagerOptions) *rules.Group {
	list := make([]rules.Rule, 0, len(g.rules))
	for _, r := range g.rules {
		if r.record != "" {
			list = append(list, rules.NewRecordingRule(r.record, r.expr, r.labels))
			continue
		}
		list = append(list, rules.NewAlertingRule(r.alert, r.expr, r.hold, r.keep, r.labels,
			labels.EmptyLabels(), labels.EmptyLabels(), "", true, opts.Logger))
	}
	offset := g.offset
	return rules.NewGroup(rules.GroupOptions{
		Name: g.name, File: g.file, Interval: time.Minute, Limit: g.limit, Rules: list, Opts: opts, QueryOffset: &offset,
	})
}

// keyOf finds a rule's answer among those of all rules: rules with the same key
// answer the same.
func keyOf(r rules.Rule) string {
	return detailKey(rules.NewRuleDetail(r))
}

func detailKey(d rules.RuleDetail) string {
	return fmt.Sprintf("%s\xff%s\xff%s\xff%s", d.Kind, d.Name, d.Labels, d.Query)
}
