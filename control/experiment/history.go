package experiment

import (
	"slices"
	"time"
)

// maxLooks bounds the looks that a state keeps.
const maxLooks = 10

// History are looks, evenly spread over all that were taken, the first and the
// newest among them. When there is no room every second one goes.
type History struct {
	// Total counts the looks with data, Stride is the distance of those that are
	// kept.
	Total  uint64 `json:"total"`
	Stride uint64 `json:"stride"`
	// Looks are in the order in which they were taken.
	Looks []Look `json:"looks,omitempty"`
}

// Look is what was found at one look.
type Look struct {
	// Index counts looks from 0 on, Seq is that of the observation, At when it was
	// judged.
	Index uint64    `json:"index"`
	Seq   uint64    `json:"seq"`
	At    time.Time `json:"at"`
	// Weight is the candidate's, 0 in mirror.
	Weight int `json:"weight"`
	// Criteria and Guardrails are the estimates, by their names. Guardrails
	// without data are left out.
	Criteria   []LookEstimate `json:"criteria,omitempty"`
	Guardrails []LookEstimate `json:"guardrails,omitempty"`
	// Judged, Differ and Queries count the user's queries.
	Judged  uint64 `json:"judged,omitempty"`
	Differ  uint64 `json:"differ,omitempty"`
	Queries uint64 `json:"queries,omitempty"`
}

// LookEstimate is one estimate of a look.
type LookEstimate struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Estimate
}

// add keeps a look. The looks may be written to.
func (h *History) add(l Look) {
	h.Stride = max(h.Stride, 1)
	l.Index = h.Total
	h.Total = addUint(h.Total, 1)
	if n := len(h.Looks); n > 0 && h.Looks[n-1].Index%h.Stride != 0 {
		h.Looks = h.Looks[:n-1] // it was there only because it was the newest
	}
	h.Looks = append(h.Looks, l)
	for len(h.Looks) > maxLooks {
		before, stride := len(h.Looks), max(h.Stride*2, 1)
		h.Looks = slices.DeleteFunc(h.Looks, func(k Look) bool { return k.Index%stride != 0 && k.Index != l.Index })
		if h.Stride = stride; len(h.Looks) == before { // indices that no history has
			h.Looks, h.Stride = h.Looks[before-maxLooks:], 1
		}
	}
}

// look records what an observation says. It has data.
func (m *machine) look(o Observation, found []finding) {
	s := &m.state
	l := Look{Seq: o.Seq, At: m.now, Weight: s.Weights.Candidate}
	for _, c := range m.spec.Success {
		v := criterionOf(o, c.Measure)
		l.Criteria = append(l.Criteria, LookEstimate{Name: string(c.Measure), Verdict: v.Verdict, Estimate: v.Saving})
	}
	for _, f := range found {
		if f.verdict.Verdict != VerdictNoData {
			l.Guardrails = append(l.Guardrails, LookEstimate{Name: f.rail.Name, Verdict: f.verdict.Verdict, Estimate: f.verdict.Change})
		}
	}
	if o.Fidelity != nil {
		all := o.Fidelity.All()
		l.Judged, l.Differ, l.Queries = all.Judged(), all.Differs, all.Total
	}
	s.History.add(l)
	s.Baseline, s.Candidate = plainArm(o.Baseline), plainArm(o.Candidate)
	s.SampleRatio, s.Fidelity = nil, nil
	if o.SampleRatio != nil {
		ratio := *o.SampleRatio
		ratio.Verdict = known(ratio.Verdict, VerdictOK, VerdictBreached, VerdictUndecided)
		s.SampleRatio = &ratio
	}
	if m.spec.Fidelity != nil && o.Fidelity != nil {
		s.Fidelity = o.Fidelity.plain()
	}
}

func plainArm(a *Arm) *Arm {
	if a == nil {
		return nil
	}
	arm := *a
	arm.Latency, arm.Currency = max(arm.Latency, 0), plainText(arm.Currency)
	return &arm
}

// maxDifferences bounds what a state keeps of queries that differ.
const maxDifferences = 8

// plain is a copy that is bounded and comes back from JSON as it was.
func (v FidelityVerdict) plain() *FidelityVerdict {
	v.LongestRange, v.LongestFor = max(v.LongestRange, 0), max(v.LongestFor, 0)
	var critical []AlertVerdict
	for _, a := range v.Critical[:min(len(v.Critical), maxAlerts)] {
		critical = append(critical, AlertVerdict{Name: plainText(a.Name), Verdict: QueryVerdict(plainText(string(a.Verdict)))})
	}
	var differences []Difference
	for _, d := range v.Differences[:min(len(v.Differences), maxDifferences)] {
		differences = append(differences, Difference{Query: plainText(d.Query), Detail: plainText(d.Detail)})
	}
	v.Critical, v.Differences = critical, differences
	return &v
}
