package fidelity

import (
	"cmp"
	"slices"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// mostDifferences is how many differences a verdict names.
const mostDifferences = 20

// assemble makes the verdict of what became of all queries.
func (l *look) assemble(offers uint64) *experiment.FidelityVerdict {
	v := &experiment.FidelityVerdict{LongestRange: l.plan.LongestRange(), LongestFor: l.plan.LongestFor(), LostOffers: offers}
	var sum float64
	var elements int
	worst := map[string]outcome{}
	var differ []int
	for i, o := range l.outcomes {
		q := &l.plan.queries[i]
		tallyOf(v, q.kind).count(o.verdict)
		switch o.verdict {
		case experiment.QueryWithin:
			v.MaxError = max(v.MaxError, experiment.Number(o.finding.worst))
			sum += o.finding.mean * float64(o.finding.elements)
			elements += o.finding.elements
		case experiment.QueryDiffers:
			differ = append(differ, i)
		case experiment.QueryIdentical, experiment.QueryNoData, experiment.QueryNotJudged:
		}
		if before, ok := worst[q.name]; q.kind == alert && (!ok || rank(o) > rank(before)) {
			worst[q.name] = o
		}
	}
	if elements > 0 {
		v.MeanError = experiment.Number(sum / float64(elements))
	}
	for _, name := range l.fidelity.CriticalAlerts {
		if o, ok := worst[name]; ok {
			v.Critical = append(v.Critical, experiment.AlertVerdict{Name: name, Verdict: o.verdict})
		}
	}
	v.Differences = l.differences(differ)
	return v
}

// differences names queries that differ: critical alerts first, then other
// alerts, then by how much they are off.
func (l *look) differences(differ []int) []experiment.Difference {
	order := func(i int) float64 {
		q := &l.plan.queries[i]
		weight := l.outcomes[i].finding.severity()
		if q.kind == alert {
			weight += 10
			if slices.Contains(l.fidelity.CriticalAlerts, q.name) {
				weight += 10
			}
		}
		return weight
	}
	slices.SortStableFunc(differ, func(a, b int) int { return cmp.Compare(order(b), order(a)) })
	var list []experiment.Difference
	for _, i := range differ[:min(len(differ), mostDifferences)] {
		list = append(list, experiment.Difference{Query: l.plan.queries[i].name, Detail: l.outcomes[i].text})
	}
	return list
}

// tally counts queries of one kind.
type tally struct{ *experiment.Tally }

func tallyOf(v *experiment.FidelityVerdict, k kind) tally {
	switch k {
	case alert:
		return tally{&v.Alerts}
	case recording:
		return tally{&v.Recordings}
	case panel:
	}
	return tally{&v.Panels}
}

func (t tally) count(v experiment.QueryVerdict) {
	t.Total++
	switch v {
	case experiment.QueryIdentical:
		t.Identical++
	case experiment.QueryWithin:
		t.Within++
	case experiment.QueryDiffers:
		t.Differs++
	case experiment.QueryNoData:
		t.NoData++
	case experiment.QueryNotJudged:
		t.NotJudged++
	}
}
