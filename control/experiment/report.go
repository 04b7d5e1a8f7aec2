package experiment

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is the evidence: what was tried, what was seen at each look that is
// kept, and what follows.
type Report struct {
	// ID and SpecHash say which experiment it is; the hash is empty before it is
	// started.
	ID          string `json:"id"`
	Description string `json:"description,omitempty"`
	SpecHash    string `json:"spec_hash,omitempty"`
	// At is when the report was made.
	At time.Time `json:"at"`
	// Verdict is a sentence: the phase, and why.
	Phase   Phase     `json:"phase"`
	Since   time.Time `json:"since,omitzero"`
	Verdict string    `json:"verdict"`
	Reasons []Reason  `json:"reasons,omitempty"`
	// Blockers are what keeps a running experiment from promotion.
	Blockers []Reason `json:"blockers,omitempty"`

	Signal  Signal            `json:"signal"`
	Mode    Mode              `json:"mode"`
	Scope   map[string]string `json:"scope"`
	Weights Weights           `json:"weights"`
	Mirror  bool              `json:"mirror,omitempty"`

	StartedAt  time.Time `json:"started_at,omitzero"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	Ran        Duration  `json:"ran"`
	Unbroken   Duration  `json:"unbroken"`
	MinimumRun Duration  `json:"minimum_run"`

	// Criteria and Guardrails are what was demanded, the built-in ones included.
	Criteria   []Criterion `json:"criteria"`
	Guardrails []Guardrail `json:"guardrails"`
	// Baseline and Candidate are the counts of the newest look, Fidelity and
	// Queries what became of the user's queries, the latter as a sentence.
	Baseline    *Arm             `json:"baseline,omitempty"`
	Candidate   *Arm             `json:"candidate,omitempty"`
	SampleRatio *SampleRatio     `json:"sample_ratio,omitempty"`
	Fidelity    *FidelityVerdict `json:"fidelity,omitempty"`
	Queries     string           `json:"queries,omitempty"`
	// History are looks, evenly spread over the run.
	History History `json:"history"`

	StartApproval   *Approved `json:"start_approval,omitempty"`
	PromoteApproval *Approved `json:"promote_approval,omitempty"`
}

// NewReport makes the report of an experiment. It shares what the specification
// and the state refer to.
func NewReport(spec Spec, s State, now time.Time) Report {
	spec = spec.WithDefaults()
	r := Report{
		ID: spec.ID, Description: spec.Description, SpecHash: s.SpecHash, At: plainTime(now),
		Phase: s.Phase, Since: s.Since, Reasons: s.Reasons, Blockers: blockers(spec, s),
		Signal: spec.Signal, Mode: spec.Mode, Scope: spec.Scope, Weights: s.Weights, Mirror: s.Mirror,
		StartedAt: s.StartedAt, EndedAt: s.EndedAt, Ran: s.Ran, Unbroken: s.Unbroken, MinimumRun: max(s.MinimumRun, spec.MinimumRun()),
		Criteria: spec.Success, Guardrails: spec.Guardrails,
		Baseline: s.Baseline, Candidate: s.Candidate, SampleRatio: s.SampleRatio, Fidelity: s.Fidelity, History: s.History,
		StartApproval: s.StartApproval, PromoteApproval: s.PromoteApproval,
	}
	r.Verdict = string(s.Phase)
	if len(s.Reasons) > 0 {
		r.Verdict += ": " + sentence(s.Reasons)
	}
	switch {
	case s.Fidelity != nil:
		r.Queries = s.Fidelity.String()
	case spec.Fidelity != nil:
		r.Queries = "no query was judged yet"
	default:
		r.Queries = "no query was to be judged"
	}
	return r
}

func sentence(reasons []Reason) string {
	texts := make([]string, len(reasons))
	for i, r := range reasons {
		texts[i] = r.Text
	}
	return strings.Join(texts, "; ")
}

// String is a sentence such as "198 of 214 alerts judged, 0 differ; 94 of 97
// panels judged, 0 differ, 3 within 0.4 %".
func (v FidelityVerdict) String() string {
	var parts []string
	for _, part := range []struct {
		name string
		Tally
	}{{"alerts", v.Alerts}, {"panels", v.Panels}, {"recording rules", v.Recordings}} {
		if part.Total == 0 {
			continue
		}
		text := fmt.Sprintf("%d of %d %s judged, %d differ", part.Judged(), part.Total, part.name, part.Differs)
		if part.Within > 0 {
			text += fmt.Sprintf(", %d within %s", part.Within, v.MaxError.percent())
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "there are no queries"
	}
	return strings.Join(parts, "; ")
}

// JSON returns the report as indented JSON.
func (r Report) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the report of experiment %q: %w", r.ID, err)
	}
	return append(text, '\n'), nil
}

// Markdown returns the report for readers.
func (r Report) Markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Experiment %s\n", plainCell(r.ID))
	if r.Description != "" {
		line("%s\n", plainCell(r.Description))
	}
	line("**%s**\n", plainCell(r.Verdict))
	row := func(name, value string) { line("| %s | %s |", name, plainCell(value)) }
	line("| | |\n|---|---|")
	row("Specification", or(r.SpecHash, "not started"))
	row("Mode", fmt.Sprintf("%s of %s", r.Mode, r.Signal))
	row("Scope", scopeText(r.Scope))
	row("Weights", r.weightText())
	row("Since", clock(r.Since))
	row("Started", clock(r.StartedAt))
	row("Ended", clock(r.EndedAt))
	row("Ran", fmt.Sprintf("%s, %s without interruption; at least %s needed", r.Ran, r.Unbroken, r.MinimumRun))
	row("Queries", r.Queries)
	for _, a := range []struct {
		what string
		by   *Approved
	}{{"Start approved", r.StartApproval}, {"Promotion approved", r.PromoteApproval}} {
		if a.by != nil {
			row(a.what, fmt.Sprintf("by %s at %s", a.by.By, clock(a.by.At)))
		}
	}
	if len(r.Blockers) > 0 {
		line("\n## What promotion waits for\n")
		for _, reason := range r.Blockers {
			line("- %s", plainCell(reason.Text))
		}
	}
	r.writeDemands(line)
	r.writeArms(line)
	r.writeLooks(line)
	line("\nMade at %s.", clock(r.At))
	return b.String()
}

func (r Report) weightText() string {
	if r.Mirror {
		return "the candidate sees a copy of every point"
	}
	return fmt.Sprintf("baseline %d %%, candidate %d %%", r.Weights.Baseline, r.Weights.Candidate)
}

func (r Report) writeDemands(line func(string, ...any)) {
	line("\n## Demands\n\n| Demand | Bound | Effect |\n|---|---|---|")
	for _, c := range r.Criteria {
		line("| %s saved | at least %s | success |", c.Measure, Number(c.AtLeast).percent())
	}
	for _, g := range r.Guardrails {
		effect, bound := "holds promotion", g.allowed()
		switch {
		case g.DryRun:
			effect = "recorded"
		case g.Critical:
			effect = "rolls back"
		}
		if g.MustHaveData {
			effect += ", must have data"
		}
		if g.Measure == MeasureFidelity {
			bound = "no query differs"
		}
		line("| %s | %s | %s |", plainCell(g.Name), bound, effect)
	}
}

func (r Report) writeArms(line func(string, ...any)) {
	if r.Baseline == nil && r.Candidate == nil {
		return
	}
	line("\n## Arms at the newest look\n\n| | Baseline | Candidate |\n|---|--:|--:|")
	row := func(name string, of func(a Arm) string) {
		texts := []string{"", ""}
		for i, a := range []*Arm{r.Baseline, r.Candidate} {
			if a != nil {
				texts[i] = of(*a)
			}
		}
		line("| %s | %s | %s |", name, texts[0], texts[1])
	}
	count := func(of func(a Arm) uint64) func(Arm) string {
		return func(a Arm) string { return strconv.FormatUint(of(a), 10) }
	}
	if r.Mode == ModeSplit {
		row("Units", count(func(a Arm) uint64 { return a.Units }))
	}
	row("Series", count(func(a Arm) uint64 { return a.Series }))
	row("Points", count(func(a Arm) uint64 { return a.Points }))
	row("Bytes", count(func(a Arm) uint64 { return a.Bytes }))
	row("Refused", count(func(a Arm) uint64 { return a.Refused }))
	row("Failed", count(func(a Arm) uint64 { return a.Failed }))
	row("Latency", func(a Arm) string { return a.Latency.String() })
	row("Memory", func(a Arm) string { return optional(a.MemoryBytes > 0, "%d bytes", a.MemoryBytes) })
	row("Cost a month", func(a Arm) string {
		return plainCell(optional(a.Currency != "", "%.2f %s", float64(a.CostMicros)/1e6, a.Currency))
	})
	if ratio := r.SampleRatio; ratio != nil {
		line("\nSample ratio: %s, %d units to %d.", ratio.Verdict, ratio.Baseline, ratio.Candidate)
	}
}

func (r Report) writeLooks(line func(string, ...any)) {
	if len(r.History.Looks) == 0 {
		return
	}
	line("\n## Looks\n\n%d looks, of which %d are kept.\n", r.History.Total, len(r.History.Looks))
	line("| Look | At | Weight | Queries | Estimates |\n|--:|---|--:|---|---|")
	for _, l := range r.History.Looks {
		var estimates []string
		for _, e := range slices.Concat(l.Criteria, l.Guardrails) {
			text := fmt.Sprintf("%s %s", e.Name, e.Verdict)
			if e.Estimate != (Estimate{}) {
				text += fmt.Sprintf(" %s (%s to %s)", e.Value.percent(), e.Lower.percent(), e.Upper.percent())
			}
			estimates = append(estimates, text)
		}
		queries := ""
		if l.Queries > 0 {
			queries = fmt.Sprintf("%d of %d judged, %d differ", l.Judged, l.Queries, l.Differ)
		}
		line("| %d | %s | %d %% | %s | %s |", l.Index+1, clock(l.At), l.Weight, queries, plainCell(strings.Join(estimates, "; ")))
	}
}

func optional(known bool, format string, args ...any) string {
	if !known {
		return "unknown"
	}
	return fmt.Sprintf(format, args...)
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func scopeText(scope map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(scope)) {
		parts = append(parts, key+"="+scope[key])
	}
	return strings.Join(parts, ", ")
}

// plainCell keeps texts of others from being read as Markdown or HTML, or from
// ending a cell.
func plainCell(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == '\r':
			b.WriteByte(' ')
		case r == '<':
			b.WriteString("&lt;")
		case r == '&':
			b.WriteString("&amp;")
		case strings.ContainsRune("\\`*[]|#", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
