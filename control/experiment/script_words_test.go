package experiment

import (
	"strings"
)

// words changes an observation by the words of a step:
//
//	seq=N            its number
//	hash=TEXT        the specification that it is about
//	without=ARM      baseline or candidate sent nothing
//	NAME:VERDICT[:CHANGE]  the verdict on a guardrail or, for a criterion, on the saving
//	answer:NAME:BASELINE:CANDIDATE  an answer of the metric source; or answer:NAME:none
//	ratio=VERDICT    the sample ratio; none takes it away
//	alerts=TOTAL/IDENTICAL/WITHIN/DIFFERS, panels=…, recordings=…
//	critical:ALERT:VERDICT  what became of a critical alert
//	differs:QUERY:DETAIL    a query that differs; _ stands for a space
//	range=10m, for=10m      those of the queries as they are now
//	breach=TEXT, lease=held|expired, epoch=N  what the router says
//	failure=TEXT     why it cannot go on
//	active=x.json    an experiment that holds a scope
func (p *player) words(o Observation, words []string) Observation {
	for _, word := range words {
		if key, value, ok := strings.Cut(word, "="); ok {
			p.assign(&o, key, strings.ReplaceAll(value, "_", " "))
		} else {
			p.judge(&o, strings.Split(word, ":"))
		}
	}
	return o
}

func (p *player) assign(o *Observation, key, value string) {
	fidelity := func() *FidelityVerdict {
		if o.Fidelity == nil {
			o.Fidelity = &FidelityVerdict{MaxError: 0.004}
		}
		return o.Fidelity
	}
	tally := func() Tally {
		n := p.numbers(value)
		return Tally{Total: n[0], Identical: n[1], Within: n[2], Differs: n[3]}
	}
	switch key {
	case "seq":
		o.Seq = uint64(p.number(value))
	case "hash":
		o.SpecHash = value
	case "without":
		if value == "baseline" {
			o.Baseline = nil
		} else {
			o.Candidate = nil
		}
	case "ratio":
		o.SampleRatio = nil
		if value != "none" {
			o.SampleRatio = &SampleRatio{Verdict: Verdict(value), PValue: 0.0001, Baseline: 700, Candidate: 300}
		}
	case "alerts":
		fidelity().Alerts = tally()
	case "panels":
		fidelity().Panels = tally()
	case "recordings":
		fidelity().Recordings = tally()
	case "range":
		fidelity().LongestRange = Duration(p.duration(value))
	case "for":
		fidelity().LongestFor = Duration(p.duration(value))
	case "breach":
		o.Router.Breach = value
	case "lease":
		o.Router.Lease = LeaseStatus(value)
		if o.Router.Epoch == 0 {
			o.Router.Epoch = p.state.Lease.Epoch
		}
	case "epoch":
		o.Router.Epoch = uint64(p.number(value))
	case "failure":
		o.Failure = value
	case "active":
		spec := p.read(value)
		o.Active = append(o.Active, Active{ID: spec.ID, Spec: spec})
	default:
		p.t.Fatalf("no word %q", key)
	}
}

func (p *player) judge(o *Observation, parts []string) {
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], "_", " ")
	}
	name := strings.ReplaceAll(parts[0], " ", "_")
	change := Estimate{}
	if len(parts) == 3 && parts[0] != "critical" && parts[0] != "differs" && parts[0] != "answer" {
		v := Number(p.number(parts[2]))
		change = Estimate{Value: v, Lower: v - 0.02, Upper: v + 0.02}
	}
	switch parts[0] {
	case "answer":
		a := Answer{Guardrail: parts[1]}
		if a.NoData = parts[2] == "none"; !a.NoData {
			a.Baseline, a.Candidate = Number(p.number(parts[2])), Number(p.number(parts[3]))
		}
		o.Answers = append(o.Answers, a)
	case "critical":
		o.Fidelity.Critical = append(o.Fidelity.Critical, AlertVerdict{Name: parts[1], Verdict: QueryVerdict(strings.ReplaceAll(parts[2], " ", "_"))})
	case "differs":
		o.Fidelity.Differences = append(o.Fidelity.Differences, Difference{Query: parts[1], Detail: parts[2]})
	case "series", "points", "bytes", "saved cost":
		o.Criteria = append(o.Criteria, CriterionVerdict{Measure: Measure(strings.TrimPrefix(parts[0], "saved ")), Verdict: Verdict(strings.ReplaceAll(parts[1], " ", "_")), Saving: change, Units: 100})
	default:
		v := GuardrailVerdict{Name: name, Verdict: Verdict(strings.ReplaceAll(parts[1], " ", "_")), Change: change, Evidence: 30, Limit: 20, Units: 100}
		for i := range o.Guardrails {
			if o.Guardrails[i].Name == name {
				o.Guardrails[i] = v
				return
			}
		}
		o.Guardrails = append(o.Guardrails, v)
	}
}
