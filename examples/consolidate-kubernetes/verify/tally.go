package main

import (
	"fmt"
	"math"
	"math/big"
)

// tally adds up rounds.
type tally struct {
	rules  []rule
	starts bool

	metrics map[string]bool
	series  map[string]map[number]bool // all that ever was, by stream
	inputs  map[string]*input
	kept    map[string]*kept
	latest  map[string]*sample // the last round
	pass    int
}

// input is a raw stream.
type input struct {
	last sample
	rule *rule
	pass int
	into *kept
}

// kept is one label set that stays, and what must come out of it.
type kept struct {
	metric string
	rule   *rule
	gauge  bool
	inputs int
	// numbers are the increases, exact. A histogram has those that all its
	// inputs have.
	numbers map[number]*total
}

// total is a sum without rounding.
type total struct {
	exact *big.Rat
	// fraction is set if a part was no integer: doubles cannot add that exactly.
	fraction bool
	inputs   int
}

func newTotal() *total { return &total{exact: new(big.Rat)} }

func (t *total) add(v float64) {
	part := new(big.Rat).SetFloat64(v)
	t.fraction = t.fraction || !part.IsInt()
	t.exact.Add(t.exact, part)
}

// grow adds a difference. It is that of two doubles, exact.
func (t *total) grow(from, to float64) {
	t.add(to)
	t.add(-from)
}

func newTally(rules []rule, starts bool) *tally {
	return &tally{
		rules: rules, starts: starts, metrics: map[string]bool{}, series: map[string]map[number]bool{},
		inputs: map[string]*input{}, kept: map[string]*kept{},
	}
}

// play adds a round. A new pass is a server that began again.
func (t *tally) play(round map[string]*sample, pass int) error {
	t.latest, t.pass = round, pass
	for k, s := range round {
		t.count(k, s)
		in := t.inputs[k]
		if in == nil {
			in = &input{rule: ruleFor(t.rules, s)}
			t.inputs[k] = in
			if in.rule != nil {
				in.into = t.enter(in.rule, s)
			}
			if err := t.first(in, s); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		} else if in.into != nil && s.kind != kindGauge {
			if err := in.advance(s, t.starts && pass != in.pass); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		}
		in.last, in.pass = *s, pass
	}
	return nil
}

func (t *tally) count(k string, s *sample) {
	t.metrics[s.metric] = true
	all := t.series[k]
	if all == nil {
		all = map[number]bool{}
		t.series[k] = all
	}
	for n := range s.numbers {
		all[n] = true
	}
}

// enter returns where a new stream goes.
func (t *tally) enter(r *rule, s *sample) *kept {
	k := key(s.metric, r.kept(s.labels))
	into := t.kept[k]
	if into == nil {
		into = &kept{metric: s.metric, rule: r, gauge: s.kind == kindGauge, numbers: map[number]*total{}}
		t.kept[k] = into
	}
	into.inputs++
	for n := range s.numbers {
		if r.keeps(n) {
			if into.numbers[n] == nil {
				into.numbers[n] = newTotal()
			}
			into.numbers[n].inputs++
		}
	}
	return into
}

// first takes the first point of a stream: the base line, unless its start is
// known.
func (t *tally) first(in *input, s *sample) error {
	if in.into == nil || s.kind == kindGauge {
		return nil
	}
	blank := &sample{kind: s.kind, numbers: numbers{}}
	for n := range s.numbers {
		blank.numbers[n] = 0
	}
	in.last = *blank
	if t.starts {
		return in.advance(s, false)
	}
	return in.last.same(s)
}

// same refuses a point that has other numbers than the one before, or none at
// all to calculate with.
func (s *sample) same(next *sample) error {
	if len(s.numbers) != len(next.numbers) {
		return fmt.Errorf("has %d numbers, had %d", len(next.numbers), len(s.numbers))
	}
	for n, v := range next.numbers {
		if _, found := s.numbers[n]; !found {
			return fmt.Errorf("has %s, had not", n)
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%s is %g", n, v)
		}
	}
	return nil
}

// advance adds what a stream grew by.
func (in *input) advance(s *sample, began bool) error {
	if err := in.last.same(s); err != nil {
		return err
	}
	for n, v := range s.numbers {
		began = began || n.kind != sum && v < in.last.numbers[n]
	}
	for n, to := range in.into.numbers {
		v, found := s.numbers[n]
		switch {
		case !found: // a bound that another input has
		case began:
			to.add(v)
		default:
			to.grow(in.last.numbers[n], v)
		}
	}
	return nil
}

// expected returns the numbers of a label set: what all inputs have.
func (t *tally) expected(k *kept) map[number]*total {
	if k.gauge {
		return map[number]*total{{kind: value}: t.merge(k)}
	}
	all := map[number]*total{}
	for n, v := range k.numbers {
		if v.inputs == k.inputs {
			all[n] = v
		}
	}
	return all
}

// merge merges the latest values of a gauge. A series that a scrape lacks has
// ended; what is sent without start times only falls silent.
func (t *tally) merge(k *kept) *total {
	var merged *total
	for raw, in := range t.inputs {
		if in.into != k || !t.starts && t.latest[raw] == nil {
			continue
		}
		v := in.last.numbers[number{kind: value}]
		part := newTotal()
		part.add(v)
		switch {
		case merged == nil:
			merged = part
		case k.rule.Gauge == "sum":
			merged.add(v)
		case k.rule.Gauge == "max" && part.exact.Cmp(merged.exact) > 0, k.rule.Gauge == "min" && part.exact.Cmp(merged.exact) < 0:
			merged = part
		}
	}
	if merged == nil {
		merged = newTotal()
	}
	return merged
}
