package cost

import (
	"cmp"
	"slices"
)

// Attribution divides a bill among those who cause it. Prices of tiers do not
// add up over metrics, so every share has two amounts:
//
//   - Average divides each component in proportion to what each brings to it. The
//     averages and Fixed add up to the bill exactly. It answers: whose share of
//     the bill is it?
//   - Marginal is the bill less the bill without the share. Marginals do not add
//     up to the bill: in falling tiers their sum is less, and with an included
//     volume it is more. It answers: what does one save by dropping it?
type Attribution struct {
	// Month is the whole bill.
	Month Money
	// Fixed is what nobody causes by sending: fees and hosts.
	Fixed Money
	// Shares come with the largest average first, equal ones by key.
	Shares []Share
}

// Share is a part of the bill.
type Share struct {
	Key
	// Series and SamplesPerSecond are what the share sends.
	Series           uint64
	SamplesPerSecond float64
	// Average and Marginal are amounts a month.
	Average, Marginal Money
}

// ByMetric divides the bill among metrics of budget groups.
func (m Model) ByMetric(u Usage) Attribution {
	return m.attribute(u, func(k Key) Key { return k })
}

// ByGroup divides the bill among budget groups: services, if the report is
// grouped by service.name. Keys have no metric.
func (m Model) ByGroup(u Usage) Attribution {
	return m.attribute(u, func(k Key) Key { return Key{Group: k.Group, Overflow: k.Overflow} })
}

func (m Model) attribute(u Usage, of func(Key) Key) Attribution {
	position, shares := shareOut(u, of)
	a := Attribution{Shares: shares}
	for _, t := range m.tariffs(u.Hosts) {
		loads := make([]load, len(shares))
		for i, item := range u.Items {
			loads[position[i]] = loads[position[i]].plus(t.of(item))
		}
		total := t.total(u)
		amount := t.cost(total)
		a.Month = a.Month.plus(amount)
		weights := t.weights(loads, total)
		if weights == nil {
			a.Fixed = a.Fixed.plus(amount)
			continue
		}
		for i, part := range split(amount, weights) {
			s := &a.Shares[i]
			s.Average = s.Average.plus(part)
			s.Marginal = s.Marginal.plus(amount.minus(t.cost(total.minus(loads[i]))))
		}
	}
	slices.SortFunc(a.Shares, func(x, y Share) int {
		return cmp.Or(cmp.Compare(y.Average, x.Average), compareKeys(x.Key, y.Key))
	})
	return a
}

// shareOut makes the shares, without amounts, in the order of their keys, and
// says into which each item falls.
func shareOut(u Usage, of func(Key) Key) (position []int, shares []Share) {
	index := map[Key]int{}
	for _, item := range u.Items {
		key := of(item.Key)
		if _, known := index[key]; !known {
			index[key] = 0
			shares = append(shares, Share{Key: key})
		}
	}
	slices.SortFunc(shares, func(a, b Share) int { return compareKeys(a.Key, b.Key) })
	for i := range shares {
		index[shares[i].Key] = i
	}
	position = make([]int, len(u.Items))
	for i, item := range u.Items {
		position[i] = index[of(item.Key)]
		s := &shares[position[i]]
		s.Series = addUint(s.Series, item.Series)
		s.SamplesPerSecond += item.SamplesPerSecond
	}
	return position, shares
}

// weights are the parts of a component that the loads are billed for, nil if
// there is nothing to divide by.
func (t tariff) weights(loads []load, total load) []uint64 {
	weights := make([]uint64, len(loads))
	sum := uint64(0)
	for i, l := range loads {
		weights[i] = l.quantity
		if t.billsSamples(total) {
			weights[i] = l.samples
		}
		sum = addUint(sum, weights[i])
	}
	if sum == 0 {
		return nil
	}
	return weights
}
