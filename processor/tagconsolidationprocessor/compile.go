package tagconsolidationprocessor

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/match"
	"github.com/phoenix-platform/phoenix/internal/relabel"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// compileSettings are what the compilation of a rule needs beside it.
type compileSettings struct {
	protect   []relabel.Ref
	writer    string // the attribute of outputs; empty: none
	staleness time.Duration
	budget    *budget // of previews
}

// compileRule compiles a valid rule. Errors have the key below the rule first.
func compileRule(p policy.Rule, s *compileSettings) (*rule, error) {
	p = p.WithDefaults()
	return compileAs(ruleID(&p, s), &p, s)
}

// compileAs compiles a valid rule with its defaults filled in.
func compileAs(id consolidation.RuleID, p *policy.Rule, s *compileSettings) (*rule, error) {
	metric, err := match.Compile(p.Match.Metric)
	if err != nil {
		return nil, fmt.Errorf("match.metric: %w", err)
	}
	r := &rule{
		name: p.Name, id: id, preview: p.Mode == policy.ModePreview,
		metric: metric, types: typesOf(p.Match.Types), summaries: p.Summary == policy.SummaryMergeCountSum,
	}
	if r.resource, err = compileConditions("match.resource", p.Match.Resource); err != nil {
		return nil, err
	}
	if r.point, err = compileConditions("match.point", p.Match.Point); err != nil {
		return nil, err
	}
	if p.Gauge != "" {
		r.gauges = true
		if r.gauge, err = spatial.ParsePolicy(string(p.Gauge)); err != nil {
			return nil, fmt.Errorf("gauge: %w", err)
		}
	}
	if p.Buckets != nil {
		r.keepBounds = p.Buckets.KeepBounds
	}
	if err := r.compileScope(p.Experiment); err != nil {
		return nil, err
	}
	if err := r.compilePlan(p, s); err != nil {
		return nil, err
	}
	return r, nil
}

// ruleID is a hash of all that decides what comes out. A rule that says the same
// after a restart is the same rule; one that differs begins new outputs.
func ruleID(p *policy.Rule, s *compileSettings) consolidation.RuleID {
	q := *p
	q.Role, q.Mode = "", ""
	text, err := json.Marshal(q) // numbers in a valid rule are finite
	if err != nil {
		text = fmt.Appendf(nil, "%+v", q)
	}
	h := xxhash.New()
	_, _ = h.Write(text)
	_, _ = fmt.Fprintf(h, "%q %v", s.writer, s.protect)
	return consolidation.RuleID(h.Sum64() | 1) // 0 is none
}

const allLevels = relabel.OnResource | relabel.OnScope | relabel.OnPoint

// levels translates a level; bare is what a name without one means.
func levels(l policy.Level, bare relabel.Levels) relabel.Levels {
	switch l {
	case policy.LevelResource:
		return relabel.OnResource
	case policy.LevelScope:
		return relabel.OnScope
	case policy.LevelPoint:
		return relabel.OnPoint
	case policy.LevelAny:
	}
	return bare
}

func refs(texts []string, bare relabel.Levels) ([]relabel.Ref, error) {
	if texts == nil {
		return nil, nil
	}
	list := make([]relabel.Ref, 0, len(texts)+1)
	for _, text := range texts {
		ref, err := ref(text, bare)
		if err != nil {
			return nil, err
		}
		list = append(list, ref)
	}
	return list, nil
}

func ref(text string, bare relabel.Levels) (relabel.Ref, error) {
	parsed, err := policy.ParseAttributeRef(text)
	return relabel.Ref{Levels: levels(parsed.Level, bare), Key: parsed.Key}, err
}

func compileConditions(path string, list []policy.Condition) ([]condition, error) {
	var compiled []condition
	for i, c := range list {
		one := condition{key: c.Attribute}
		switch {
		case c.Present != nil:
			one.present = *c.Present
		default:
			pattern, err := match.Compile(c.Value)
			if err != nil {
				return nil, fmt.Errorf("%s[%d].value: %w", path, i, err)
			}
			if one.pattern = &pattern; pattern.IsLiteral() {
				one.literal, one.text = true, c.Value
			}
		}
		compiled = append(compiled, one)
	}
	return compiled, nil
}

// compileScope compiles the equalities by which the points of an experiment are
// found. Those of one level are conditions as others, by which rules are indexed.
func (r *rule) compileScope(e *policy.Experiment) error {
	if e == nil {
		return nil
	}
	r.experiment = e.ID
	for _, key := range slices.Sorted(maps.Keys(e.Scope)) {
		parsed, err := policy.ParseAttributeRef(key)
		if err != nil {
			return fmt.Errorf("experiment.scope: %w", err)
		}
		ref, value := relabel.Ref{Levels: levels(parsed.Level, allLevels), Key: parsed.Key}, e.Scope[key]
		r.scopeRefs = append(r.scopeRefs, ref)
		switch equal := (condition{key: ref.Key, literal: true, text: value}); ref.Levels {
		case relabel.OnResource:
			r.resource = append(r.resource, equal)
		case relabel.OnPoint:
			r.point = append(r.point, equal)
		default:
			r.scope = append(r.scope, scopeCondition{levels: ref.Levels, key: ref.Key, value: value})
		}
	}
	return nil
}

// compilePlan compiles what happens to attributes.
func (r *rule) compilePlan(p *policy.Rule, s *compileSettings) error {
	settings, err := planSettings(p, s)
	if err != nil {
		return err
	}
	if r.plan, err = relabel.New(settings); err != nil {
		return below("attributes", err)
	}
	g := relabel.GovernorSettings{Staleness: s.staleness}
	if t := p.Attributes.TopK; t != nil {
		g.TopK = &relabel.TopKSettings{K: t.K, Other: t.Other}
	}
	if l := p.Limit; l != nil {
		f := &relabel.FolderSettings{MaxSeries: int(min(l.MaxSeries, math.MaxInt32)), Protect: s.protect}
		if !l.Fold.Auto() {
			if f.Order, err = refs(l.Fold, relabel.Bare); err != nil {
				return fmt.Errorf("limit.fold: %w", err)
			}
		}
		f.Protect = slices.Concat(f.Protect, r.scopeRefs)
		g.Folder = f
	}
	r.fast = r.plan.DropOnly() && g.Folder == nil
	if g.TopK != nil || g.Folder != nil {
		if _, err := relabel.NewGovernor(g); err != nil {
			return below("limit", err)
		}
		r.governors = &governors{settings: g}
	}
	if r.preview {
		r.measured = &preview{budget: s.budget}
	}
	return nil
}

// planSettings translates what a rule says about attributes.
func planSettings(p *policy.Rule, s *compileSettings) (relabel.Settings, error) {
	a := &p.Attributes
	out := relabel.Settings{Protect: s.protect, DropScope: p.Scope == policy.ScopeDrop}
	var errs error
	keep := func(list []relabel.Ref, err error) []relabel.Ref {
		errs = errors.Join(errs, err)
		return list
	}
	one := func(text string) relabel.Ref {
		r, err := ref(text, relabel.Bare)
		errs = errors.Join(errs, err)
		return r
	}
	out.Drop, out.Keep = keep(refs(a.Drop, relabel.Bare)), keep(refs(a.Keep, relabel.OnPoint))
	if s.writer != "" { // what comes out is written by this collector, whoever wrote what came in
		out.Drop = append(out.Drop, relabel.Ref{Levels: relabel.OnPoint, Key: s.writer})
	}
	for _, m := range a.Map {
		v := relabel.ValueMap{Attribute: one(m.Attribute), Regex: m.Regex, Template: m.Template, Paths: m.Paths, Other: m.Other}
		for _, r := range m.Ranges {
			v.Ranges = append(v.Ranges, relabel.Range{From: orInfinite(r.From, -1), To: orInfinite(r.To, 1), As: r.As})
		}
		out.Maps = append(out.Maps, v)
	}
	for _, h := range a.HashBuckets {
		out.Buckets = append(out.Buckets, relabel.HashBuckets{Attribute: one(h.Attribute), Buckets: h.Buckets})
	}
	if a.TopK != nil {
		out.Ranked = &relabel.Ranked{Attribute: one(a.TopK.Attribute), Other: a.TopK.Other}
	}
	return out, errs
}

func orInfinite(bound *float64, sign int) float64 {
	if bound == nil {
		return math.Inf(sign)
	}
	return *bound
}

// below puts a key before each line of an error.
func below(key string, err error) error {
	lines := strings.Split(err.Error(), "\n")
	list := make([]error, 0, len(lines))
	for _, line := range lines {
		list = append(list, fmt.Errorf("%s.%s", key, line)) //nolint:err113 // the text is all there is
	}
	return errors.Join(list...)
}
