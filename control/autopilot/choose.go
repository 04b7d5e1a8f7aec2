package autopilot

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// Prefix begins the names of the experiments that this package makes.
const Prefix = "auto-"

// splitSuffix ends the names of those that go on in steps.
const splitSuffix = "-split"

// World is what is known when something is to be chosen.
type World struct {
	// Cardinality is what the measuring point that is billed has counted, with
	// Best of each metric.
	Cardinality report.Cardinality
	// Rules are those of all policies in force.
	Rules []policy.Rule
	// Active are the experiments that hold a scope.
	Active []experiment.Active
	// Tried are the names of all experiments in the namespace that begin with
	// Prefix, whatever became of them, and when each was made.
	Tried map[string]time.Time
	// Files are the queries, read from the paths of the settings.
	RuleFiles, Dashboards []experiment.Document
}

// Proposal is an experiment that is worth its while.
type Proposal struct {
	// Name is that of the experiment, without its namespace. The same idea has the
	// same name, so that it is not tried twice.
	Name string
	Spec experiment.Spec
	// Saving is what the sketches expect it to save, in series.
	Saving uint64
}

// Choose returns the best proposal, or why there is none.
func Choose(c Config, w World, now time.Time) (_ *Proposal, why string) {
	running, today := 0, 0
	for _, a := range w.Active {
		if strings.HasPrefix(a.ID, c.Namespace+"/"+Prefix) {
			running++
		}
	}
	for name, made := range w.Tried {
		if !strings.HasSuffix(name, splitSuffix) && now.Sub(made) < 24*time.Hour {
			today++
		}
	}
	switch {
	case c.Quiet(now):
		return nil, "these are quiet hours"
	case running >= c.MaxRunning:
		return nil, fmt.Sprintf("%d of its experiments run, as many as may (max_running)", running)
	case today >= c.MaxPerDay:
		return nil, fmt.Sprintf("%d experiments began in the last 24 hours, as many as may (max_per_day)", today)
	case w.Cardinality.GroupBy == "":
		return nil, fmt.Sprintf("the cardinality processor at %q has no group_by, which an experiment needs as its scope", w.Cardinality.Point)
	}
	var best *Proposal
	for _, m := range w.Cardinality.Metrics {
		if p := c.propose(w, m); p != nil && (best == nil || better(p, best)) {
			best = p
		}
	}
	if best == nil {
		return nil, "nothing that may be touched would save enough"
	}
	return best, ""
}

func better(a, b *Proposal) bool {
	return cmp.Or(-cmp.Compare(a.Saving, b.Saving), cmp.Compare(a.Name, b.Name)) < 0
}

// propose makes an experiment of one metric, if that may be and pays.
func (c *Config) propose(w World, m report.MetricCardinality) *Proposal {
	saving := m.Best
	if saving == nil || saving.Series < c.MinSeries || float64(saving.Series) < c.MinRatio*float64(m.Series) ||
		m.Group == "" || !matches(c.Groups, m.Group) || matches(c.NeverTouch, m.Name) || !mergeable(m.Type) || ruled(w.Rules, m.Name) {
		return nil
	}
	p := &Proposal{Name: nameOf(m), Saving: saving.Series}
	if _, tried := w.Tried[p.Name]; tried {
		return nil
	}
	drop := make([]string, len(saving.Attributes))
	for i, name := range saving.Attributes {
		ref, err := policy.ParseAttributeRef(name)
		if err != nil {
			return nil
		}
		ref.Level = cmp.Or(ref.Level, policy.LevelPoint) // as reports write it
		if ref.Level == policy.LevelResource && ref.Key == w.Cardinality.GroupBy {
			return nil // it would take away what the experiment is found by
		}
		drop[i] = ref.String()
	}
	slices.Sort(drop)
	p.Spec = c.mirror(w, m, drop)
	p.Spec.ID = c.Namespace + "/" + p.Name
	if p.Spec.WithDefaults().Validate() != nil || c.conflicts(w.Active, p.Spec) {
		return nil
	}
	return p
}

func (c *Config) conflicts(active []experiment.Active, s experiment.Spec) bool {
	return slices.ContainsFunc(active, func(a experiment.Active) bool {
		overlap, _ := experiment.Overlap(a.Spec, s)
		return overlap
	})
}

// mirror is the specification of the first stage.
func (c *Config) mirror(w World, m report.MetricCardinality, drop []string) experiment.Spec {
	return experiment.Spec{
		Description: fmt.Sprintf("Proposed by the autopilot: %s of %s without %s", m.Name, m.Group, strings.Join(drop, ", ")),
		Mode:        experiment.ModeMirror,
		Scope:       map[string]string{"resource." + w.Cardinality.GroupBy: m.Group},
		Metrics:     []string{m.Name},
		Rules:       []policy.Rule{{Name: "drop", Match: policy.Match{Metric: match.Literal(m.Name)}, Attributes: policy.Attributes{Drop: drop}}},
		Interval:    experiment.Duration(c.Interval), MinDuration: experiment.Duration(c.MinDuration),
		Success: []experiment.Criterion{{Measure: experiment.MeasureSeries, AtLeast: c.MinRatio / 2}},
		Fidelity: &experiment.Fidelity{
			RuleFiles: w.RuleFiles, Dashboards: w.Dashboards, CriticalAlerts: c.CriticalAlerts, MinJudged: new(c.MinJudged),
		},
		// Whether it goes on in steps, or these are quiet hours, is decided when all
		// else is done.
		Approval: experiment.Approval{Promote: true},
	}
}

// InSteps is the specification of the second stage of a mirror experiment that
// passed.
func (c *Config) InSteps(mirror experiment.Spec) experiment.Spec {
	s := mirror
	s.ID += splitSuffix
	s.Mode, s.Fidelity = experiment.ModeSplit, nil
	s.Unit = experiment.Unit{Kind: experiment.UnitResource, WriterByArm: true}
	s.Steps = nil
	for _, w := range c.Split.Steps {
		s.Steps = append(s.Steps, experiment.WeightStep{Weight: w, Dwell: experiment.Duration(c.Split.Dwell)})
	}
	return s
}

// Step is what is to be done with an experiment of the autopilot.
type Step string

// The steps.
const (
	// StepNothing: it goes on by itself, or a person decides.
	StepNothing Step = ""
	// StepApprove: it may be promoted.
	StepApprove Step = "approve"
	// StepSplit: the mirror ends, and a split begins.
	StepSplit Step = "split"
)

// Next says how an experiment goes on that waits for nothing but an approval.
func (c *Config) Next(spec experiment.Spec, s experiment.State, now time.Time) Step {
	if s.Phase != experiment.PhaseRunning || c.Quiet(now) {
		return StepNothing
	}
	blockers := experiment.Blockers(spec, s)
	if len(blockers) != 1 || blockers[0].Code != experiment.ReasonApproval {
		return StepNothing
	}
	switch {
	case spec.Mode == experiment.ModeMirror && c.Split.Enabled:
		return StepSplit
	case c.Approval:
		return StepNothing
	}
	return StepApprove
}

// mergeable says whether points of a type can be added up without being told
// how. Gauges cannot.
func mergeable(kind string) bool {
	return slices.Contains([]string{"sum", "histogram", "exponential_histogram"}, kind)
}

// ruled says whether a policy in force matches the metric by its name already.
func ruled(rules []policy.Rule, name string) bool {
	return slices.ContainsFunc(rules, func(r policy.Rule) bool {
		p, err := match.Compile(r.Match.Metric)
		return err != nil || p.Match(name)
	})
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, name)
		return ok || p == "*"
	})
}

var unfit = regexp.MustCompile(`[^a-z0-9]+`)

// nameOf is stable: what is tried, and not when.
func nameOf(m report.MetricCardinality) string {
	const most = 40
	sum := sha256.Sum256([]byte(m.Group + "\x00" + m.Name + "\x00" + strings.Join(m.Best.Attributes, "\x00")))
	slug := strings.Trim(unfit.ReplaceAllString(strings.ToLower(m.Name), "-"), "-")
	return Prefix + strings.Trim(slug[:min(len(slug), most)], "-") + "-" + hex.EncodeToString(sum[:4])
}
