package experiment

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// finding is what a look says of one guardrail.
type finding struct {
	rail    Guardrail
	verdict GuardrailVerdict
}

// breached says whether it counts as one.
func (f finding) breached() bool { return f.verdict.Verdict == VerdictBreached && !f.rail.DryRun }

func (f finding) missing() bool {
	return f.verdict.Verdict == VerdictNoData && f.rail.MustHaveData && !f.rail.DryRun
}

// leans says whether the candidate fails more than it may, though that is not
// proven: a short run has little to prove it by.
func (f finding) leans() bool {
	counts := f.rail.Measure == MeasureErrors || f.rail.Measure == MeasureRefused
	return counts && f.rail.Critical && !f.rail.DryRun && f.verdict.Verdict == VerdictUndecided &&
		float64(f.verdict.Change.Value) > *f.rail.AllowedChange
}

func (f finding) reason() Reason {
	text := "guardrail " + f.rail.Name + " is breached"
	if f.rail.Measure != MeasureFidelity {
		c := f.verdict.Change
		text += fmt.Sprintf(": %s (%s to %s), allowed %s", c.Value.percent(), c.Lower.percent(), c.Upper.percent(), f.rail.allowed())
	}
	if f.verdict.Note != "" {
		text += ": " + f.verdict.Note
	}
	return reason(ReasonGuardrail, f.rail.Name, text)
}

// allowed writes the change that is allowed, with its direction.
func (g Guardrail) allowed() string {
	change := Number(*g.AllowedChange).percent()
	switch g.Direction {
	case DirectionDecrease:
		return "-" + change
	case DirectionEither:
		return "±" + change
	case DirectionIncrease:
	}
	return "+" + change
}

// assess finds a verdict on each guardrail. Only a look that is not late counts
// as a failure of those without statistics.
func (m *machine) assess(o Observation, fresh bool) []finding {
	found := make([]finding, 0, len(m.spec.Guardrails))
	for _, g := range m.spec.Guardrails {
		v := g.verdict(o)
		if v.Verdict == VerdictBreached && g.Query != "" && !judged(o, g.Name) {
			v = m.tolerate(g, v, fresh)
		} else if fresh && g.Query != "" && v.Verdict == VerdictOK {
			m.setTrack(g.Name, func(t *Track) { t.Failures = 0 })
		}
		found = append(found, finding{g, v})
	}
	return found
}

// tolerate lets as many looks in a row fail as the guardrail allows.
func (m *machine) tolerate(g Guardrail, v GuardrailVerdict, fresh bool) GuardrailVerdict {
	failures := m.state.Tracks[g.Name].Failures
	if fresh {
		failures = min(failures, math.MaxInt-1) + 1
		m.setTrack(g.Name, func(t *Track) { t.Failures = failures })
	}
	if failures <= g.FailureLimit && (fresh || g.FailureLimit > 0) {
		v.Verdict = VerdictUndecided
	}
	return v
}

func (m *machine) setTrack(name string, change func(*Track)) {
	t := m.state.Tracks[name]
	before := t
	if change(&t); t == before {
		return
	}
	if m.state.Tracks == nil {
		m.state.Tracks = map[string]Track{}
	}
	if t == (Track{}) {
		delete(m.state.Tracks, name)
		return
	}
	m.state.Tracks[name] = t
}

// verdict is that of statistics, or of a comparison of the metric source's
// answers. Of several the worst counts.
func (g Guardrail) verdict(o Observation) GuardrailVerdict {
	if g.Measure == MeasureFidelity {
		return o.Fidelity.verdict(g.Name)
	}
	none := GuardrailVerdict{Name: g.Name, Verdict: VerdictNoData}
	best := none
	for _, v := range o.Guardrails {
		if v.Name == g.Name && best.Verdict != VerdictBreached {
			best = v
			best.Verdict, best.Name, best.Note = known(v.Verdict, VerdictOK, VerdictBreached, VerdictUndecided), g.Name, plainText(v.Note)
		}
	}
	if judged(o, g.Name) || g.Query == "" {
		return best
	}
	for _, a := range o.Answers {
		if v := g.Compare(a); a.Guardrail == g.Name && best.Verdict != VerdictBreached {
			best = v
		}
	}
	return best
}

func judged(o Observation, name string) bool {
	return slices.ContainsFunc(o.Guardrails, func(v GuardrailVerdict) bool { return v.Name == name })
}

// known is the verdict if it is one of these, otherwise that there are no data.
func known(v Verdict, list ...Verdict) Verdict {
	if slices.Contains(list, v) {
		return v
	}
	return VerdictNoData
}

// Compare judges one answer of the metric source by the allowed change alone, as
// canary controllers do: without statistics, so that it is wrong as often as the
// query is noisy.
func (g Guardrail) Compare(a Answer) GuardrailVerdict {
	g = g.withDefaults()
	v := GuardrailVerdict{Name: g.Name, Verdict: VerdictNoData, Note: plainText(a.Error)}
	if a.NoData || a.Error != "" || !a.Baseline.finite() || !a.Candidate.finite() {
		return v
	}
	change := 0.0
	if a.Candidate != a.Baseline {
		change = float64(a.Candidate-a.Baseline) / math.Abs(float64(a.Baseline)) // ±Inf for a baseline of 0
	}
	v.Change = Estimate{Value: Number(change), Lower: Number(change), Upper: Number(change)}
	worse := change
	switch g.Direction {
	case DirectionDecrease:
		worse = -change
	case DirectionEither:
		worse = math.Abs(change)
	case DirectionIncrease:
	}
	v.Verdict = VerdictBreached
	if worse <= *g.AllowedChange {
		v.Verdict = VerdictOK
	}
	return v
}

// verdict is the guardrail's: no query may differ.
func (v *FidelityVerdict) verdict(name string) GuardrailVerdict {
	g := GuardrailVerdict{Name: name, Verdict: VerdictNoData}
	if v == nil {
		return g
	}
	all := v.All()
	g.Units = all.Judged()
	i := slices.IndexFunc(v.Critical, func(a AlertVerdict) bool { return a.Verdict == QueryDiffers })
	switch {
	case len(v.Differences) > 0:
		g.Verdict, g.Note = VerdictBreached, v.Differences[0].Query+" differs: "+v.Differences[0].Detail
		if more := max(all.Differs, uint64(len(v.Differences))) - 1; more > 0 {
			g.Note = plainText(fmt.Sprintf("%s; %d more differ", plainText(g.Note), more))
		}
	case i >= 0:
		g.Verdict, g.Note = VerdictBreached, v.Critical[i].Name+" differs"
	case all.Differs > 0:
		g.Verdict, g.Note = VerdictBreached, fmt.Sprintf("%d queries differ", all.Differs)
	case all.Judged() > 0:
		g.Verdict = VerdictOK
	}
	g.Note = plainText(g.Note)
	return g
}

func criterionOf(o Observation, measure Measure) CriterionVerdict {
	for _, v := range o.Criteria {
		if v.Measure == measure {
			v.Verdict = known(v.Verdict, VerdictMet, VerdictRefuted, VerdictUndecided)
			v.Note = plainText(v.Note)
			return v
		}
	}
	return CriterionVerdict{Measure: measure, Verdict: VerdictNoData}
}

// held is what a look has against promotion.
func (m *machine) held(o Observation, found []finding) []Reason {
	var list []Reason
	for _, f := range found {
		switch {
		case f.breached() && f.rail.Measure != MeasureFidelity:
			list = append(list, f.reason())
		case f.missing():
			list = append(list, reason(ReasonGuardrailNoData, f.rail.Name, "guardrail "+f.rail.Name+" has no data and must have some"))
		case f.leans():
			list = append(list, reason(ReasonGuardrailUndecided, f.rail.Name,
				fmt.Sprintf("guardrail %s is undecided, and the candidate fails more than it may so far: %s", f.rail.Name, f.verdict.Change.Value.percent())))
		}
	}
	if m.spec.Mode == ModeSplit && m.state.Weights.Candidate < 100 && (o.SampleRatio == nil || o.SampleRatio.Verdict != VerdictOK) {
		list = append(list, reason(ReasonSampleRatio, "", "the assignment is not proven to be as the weights say"))
	}
	list = append(list, m.fidelityHeld(o.Fidelity)...)
	for _, c := range m.spec.Success {
		if v := criterionOf(o, c.Measure); v.Verdict != VerdictMet {
			list = append(list, reason(ReasonCriterionUndecided, string(c.Measure), v.sentence(c)))
		}
	}
	return bounded(list)
}

func (v CriterionVerdict) sentence(c Criterion) string {
	if v.Verdict == VerdictNoData {
		return fmt.Sprintf("there are no data on %s", c.Measure)
	}
	return fmt.Sprintf("%s saved: %s (%s to %s), at least %s demanded", c.Measure,
		v.Saving.Value.percent(), v.Saving.Lower.percent(), v.Saving.Upper.percent(), Number(c.AtLeast).percent())
}

func (m *machine) fidelityHeld(v *FidelityVerdict) []Reason {
	demand := m.spec.Fidelity
	if demand == nil {
		return nil
	}
	if v == nil {
		return []Reason{reason(ReasonMinJudged, "", "no query was judged")}
	}
	var list []Reason
	if g := v.verdict(string(MeasureFidelity)); g.Verdict == VerdictBreached {
		list = append(list, reason(ReasonFidelity, "", cmp.Or(g.Note, "queries differ")))
	}
	all := v.All()
	if least := *demand.MinJudged; all.Total == 0 || float64(all.Judged()) < float64(all.Total)*least {
		list = append(list, reason(ReasonMinJudged, "", fmt.Sprintf("%d of %d queries are judged, at least %s demanded", all.Judged(), all.Total, Number(least).percent())))
	}
	for _, name := range demand.CriticalAlerts {
		i := slices.IndexFunc(v.Critical, func(a AlertVerdict) bool { return a.Name == name })
		if i < 0 || !v.Critical[i].Verdict.judged() {
			list = append(list, reason(ReasonCriticalAlert, name, "the critical alert "+name+" is not judged"))
		}
	}
	return list
}
