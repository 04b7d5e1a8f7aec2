package experiment

import (
	"slices"
	"time"
)

// maxAllowedChange and longestRange bound guardrails and queries.
const (
	maxAllowedChange = 100
	longestRange     = 30 * 24 * time.Hour
)

func (s Spec) checkGuardrails(f faults) {
	if !f.length(len(s.Guardrails), 0, maxGuardrails-len(BuiltinMeasures)) {
		return
	}
	first := map[string]int{}
	for i, g := range s.Guardrails {
		at := f.at("[%d]", i)
		g.check(at)
		if g.Measure == MeasureFidelity && s.Fidelity == nil {
			at.at("measure").add("must not be %s: no fidelity is demanded", MeasureFidelity)
		}
		if g = g.withDefaults(); g.Name != "" {
			once(at.at("name"), first, g.Name, "guardrails", i)
		}
		if g.Query != "" && slices.Contains(BuiltinMeasures, Measure(g.Name)) {
			at.at("name").add("%q is that of a built-in guardrail", g.Name)
		}
		if g.Measure != "" && slices.ContainsFunc(s.Guardrails[:i], func(o Guardrail) bool { return o.Measure == g.Measure }) {
			at.at("measure").add("%s has a guardrail already", g.Measure)
		}
	}
}

func (g Guardrail) check(f faults) {
	f.at("name").text(g.Name, maxName, g.Measure == "")
	switch {
	case g.Measure == "" && g.Query == "":
		f.add("measure or query must be given")
	case g.Measure != "" && g.Query != "":
		f.add("measure and query must not be given together")
	case g.Measure != "":
		word(f.at("measure"), g.Measure, BuiltinMeasures)
	}
	f.at("query").text(g.Query, maxQueryBytes, false)
	if g.Direction != "" {
		word(f.at("direction"), g.Direction, directions)
	}
	if g.AllowedChange != nil {
		f.at("allowed_change").between(*g.AllowedChange, maxAllowedChange)
	}
	if g.Critical && g.DryRun {
		f.at("critical").add("has no effect with dry_run, which records only")
	}
	if g.MustHaveData && g.DryRun {
		f.at("must_have_data").add("has no effect with dry_run, which records only")
	}
	switch {
	case g.FailureLimit != 0 && g.Query == "":
		f.at("failure_limit").add("has no effect: only for query")
	case g.FailureLimit < 0 || g.FailureLimit > 1000:
		f.at("failure_limit").add("must be between 0 and 1000, got %d", g.FailureLimit)
	}
}

// maxName bounds the names of guardrails, documents, queries and alerts.
const maxName = 128

func (s Spec) checkSuccess(f faults) {
	if !f.length(len(s.Success), 1, len(criterionMeasures)) {
		return
	}
	for i, c := range s.Success {
		at := f.at("[%d]", i)
		if word(at.at("measure"), c.Measure, criterionMeasures) {
			if slices.ContainsFunc(s.Success[:i], func(o Criterion) bool { return o.Measure == c.Measure }) {
				at.at("measure").add("%s has a criterion already", c.Measure)
			}
			if c.Measure == MeasureSeries && s.Signal != SignalMetrics {
				at.at("measure").add("must not be %s with signal: %s", c.Measure, s.Signal)
			}
		}
		at.at("at_least").inside(c.AtLeast)
	}
}

func (s Spec) checkFidelity(f faults) {
	d := s.Fidelity
	switch {
	case d == nil:
		return
	case s.Mode != ModeMirror || s.Signal != SignalMetrics:
		f.add("must not be given: queries are judged in mode: %s with signal: %s, where both arms see every point", ModeMirror, SignalMetrics)
		return
	case len(d.RuleFiles)+len(d.Dashboards)+len(d.Queries) == 0:
		f.add("rule_files, dashboards or queries must be given")
	}
	checkDocuments(f.at("rule_files"), d.RuleFiles, "rule_files")
	checkDocuments(f.at("dashboards"), d.Dashboards, "dashboards")
	d.checkQueries(f)
	f.at("min_judged").between(*d.MinJudged, 1)
	if *d.MinJudged == 0 {
		f.at("min_judged").add("must be positive")
	}
	f.at("tolerance").inside(*d.Tolerance)
	f.at("mean_tolerance").inside(*d.MeanTolerance)
	if *d.MeanTolerance > *d.Tolerance {
		f.at("mean_tolerance").add("must not be more than tolerance, %v, got %v", *d.Tolerance, *d.MeanTolerance)
	}
	f.at("longest_range").span(d.LongestRange, 0, longestRange)
	f.at("longest_for").span(d.LongestFor, 0, longestRange)
	if d.MaxSeries < 1 || d.MaxSeries > 10_000_000 {
		f.at("max_series").add("must be between 1 and 10000000, got %d", d.MaxSeries)
	}
	if d.MaxMemoryMiB < 1 || d.MaxMemoryMiB > 1<<20 {
		f.at("max_memory_mib").add("must be between 1 and %d, got %d", 1<<20, d.MaxMemoryMiB)
	}
}

func (d Fidelity) checkQueries(f faults) {
	if f.at("queries").length(len(d.Queries), 0, maxQueries) {
		first := map[string]int{}
		for i, q := range d.Queries {
			at := f.at("queries[%d]", i)
			at.at("name").text(q.Name, maxName, true)
			at.at("expr").text(q.Expr, maxQueryBytes, true)
			once(at.at("name"), first, q.Name, "queries", i)
		}
	}
	if f.at("critical_alerts").length(len(d.CriticalAlerts), 0, maxAlerts) {
		first := map[string]int{}
		for i, name := range d.CriticalAlerts {
			at := f.at("critical_alerts[%d]", i)
			at.text(name, maxName, true)
			once(at, first, name, "critical_alerts", i)
		}
		if len(d.CriticalAlerts) > 0 && len(d.RuleFiles) == 0 {
			f.at("critical_alerts").add("has no effect without rule_files, which define alerts")
		}
	}
}

func checkDocuments(f faults, list []Document, key string) {
	if !f.length(len(list), 0, maxDocuments) {
		return
	}
	first := map[string]int{}
	for i, d := range list {
		at := f.at("[%d]", i)
		at.at("name").text(d.Name, maxName, true)
		at.at("text").text(d.Text, maxSpecBytes, true)
		once(at.at("name"), first, d.Name, key, i)
	}
}
