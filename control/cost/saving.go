package cost

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/phoenix-platform/phoenix/control/report"
)

// Confidence95 is how many standard errors an interval reaches to each side. The
// money that a change saves depends on two counts, the series before and the
// series that go, when prices have tiers; each stays within 2.2414 standard
// errors with probability 97.5 %, so both do with 95 % at least.
const Confidence95 = 2.2414

// Range is an interval of 95 % confidence with what is expected in it.
type Range[T ~int64 | ~float64] struct{ Low, Expected, High T }

// Saving is what a change saves. Negative amounts mean that it costs more.
type Saving struct {
	// Series is how many series go.
	Series Range[int64]
	// Month is the bill before less the bill after, so tiers count; Day and Hour
	// are parts of it.
	Month, Day, Hour Range[Money]
	// Before and After are the bills with what is expected. Month.Expected is
	// their difference exactly.
	Before, After Bill
	// Basis is that of the least known effect, exact if there is none.
	Basis Basis
}

// ErrUnknownItem is wrapped by the error of Saving for an effect on what the
// usage does not have.
var ErrUnknownItem = errors.New("the usage has no such metric and group")

// ErrTwice is wrapped by the error of Saving for two effects on one item.
var ErrTwice = errors.New("two effects on one item")

// Saving prices the usage with and without the effects. The interval takes the
// errors of all sketches as independent of one another; N and N∖a of a metric
// are in fact correlated, so that their difference is rather better known.
// Series cannot become more by dropping labels: where that decides, the interval
// ends there. The model must be valid.
func (m Model) Saving(u Usage, effects []Effect, a Assumptions) (Saving, error) {
	return m.pricer(u, a).saving(effects)
}

// LabelCost is what a label costs: what would go if all metrics lost it.
type LabelCost struct {
	// Attribute is the qualified name.
	Attribute string
	// Metrics counts the metrics and budget groups that have it as a label.
	Metrics int
	// Saving is that of dropping this label alone, everywhere. Savings of labels
	// do not add up.
	Saving Saving
}

// ByLabel prices every label of a report with detail, the one that saves most
// first, equal ones by name. The usage must be that of the report.
func (m Model) ByLabel(u Usage, r report.Cardinality, a Assumptions) ([]LabelCost, error) {
	effects := map[string][]Effect{}
	var names []string
	for _, metric := range r.Metrics {
		s := newSubject(metric, a)
		for i, label := range s.labels {
			name := qualified(label)
			if effects[name] == nil {
				names = append(names, name)
			}
			effects[name] = append(effects[name], s.effect([]int{i}, s.without([]int{i})))
		}
	}
	p := m.pricer(u, a)
	costs := make([]LabelCost, 0, len(names))
	for _, name := range names {
		saving, err := p.saving(effects[name])
		if err != nil {
			return nil, fmt.Errorf("label %q: %w", name, err)
		}
		costs = append(costs, LabelCost{Attribute: name, Metrics: len(effects[name]), Saving: saving})
	}
	slices.SortFunc(costs, func(a, b LabelCost) int {
		return cmp.Or(cmp.Compare(b.Saving.Month.Expected, a.Saving.Month.Expected), cmp.Compare(a.Attribute, b.Attribute))
	})
	return costs, nil
}

// pricer asks many questions about one usage.
type pricer struct {
	model       Model
	usage       Usage
	assumptions Assumptions
	bill        Bill
	position    map[Key]int
	components  []component
}

// component is what a tariff knows of the usage as it is: all that it is brought,
// and the variance of that quantity.
type component struct {
	tariff
	before   load
	variance float64
}

func (m Model) pricer(u Usage, a Assumptions) *pricer {
	p := &pricer{model: m.WithDefaults(), usage: u, assumptions: a, bill: m.Price(u), position: make(map[Key]int, len(u.Items))}
	for i, item := range u.Items {
		p.position[item.Key] = i
	}
	for _, t := range m.tariffs(u.Hosts) {
		c := component{tariff: t, before: t.total(u)}
		for _, item := range u.Items {
			c.variance += square(t.slope(item.Type) * item.StandardError)
		}
		p.components = append(p.components, c)
	}
	return p
}

func (p *pricer) saving(effects []Effect) (Saving, error) {
	changes, err := p.changes(effects)
	if err != nil {
		return Saving{}, err
	}
	s := Saving{Before: p.bill, Basis: basisOf(changes), Series: seriesSaved(changes)}
	for i, c := range p.components {
		line, least, most := c.saving(changes, p.assumptions)
		expected := p.bill.Lines[i].Month.minus(line.Month)
		s.After.Lines = append(s.After.Lines, line)
		s.After.Month = s.After.Month.plus(line.Month)
		s.Month.Low = s.Month.Low.plus(min(least, expected))
		s.Month.Expected = s.Month.Expected.plus(expected)
		s.Month.High = s.Month.High.plus(max(most, expected))
	}
	m := p.model
	s.After.Hour, s.After.Day = m.hour(s.After.Month), m.day(s.After.Month)
	s.Day = Range[Money]{m.day(s.Month.Low), m.day(s.Month.Expected), m.day(s.Month.High)}
	s.Hour = Range[Money]{m.hour(s.Month.Low), m.hour(s.Month.Expected), m.hour(s.Month.High)}
	return s, nil
}

// change is an item and what stays of it.
type change struct {
	item  Item
	after Estimate
}

func (p *pricer) changes(effects []Effect) ([]change, error) {
	seen := make(map[Key]bool, len(effects))
	var errs error
	changes := make([]change, 0, len(effects))
	for _, e := range effects {
		i, known := p.position[e.Key]
		switch {
		case !known:
			errs = errors.Join(errs, fmt.Errorf("metric %q of group %q: %w", e.Metric, e.Group, ErrUnknownItem))
			continue
		case seen[e.Key]:
			errs = errors.Join(errs, fmt.Errorf("metric %q of group %q: %w", e.Metric, e.Group, ErrTwice))
			continue
		}
		seen[e.Key] = true
		item, after := p.usage.Items[i], e.After
		// What stays is at most what was there: the estimates may disagree.
		after.Max = min(max(after.Max, after.Value), item.Series)
		after.Value = min(after.Value, after.Max)
		after.Min = min(after.Min, after.Value)
		changes = append(changes, change{item, after})
	}
	return changes, errs
}

func basisOf(changes []change) Basis {
	basis := BasisExact
	for _, c := range changes {
		switch {
		case c.after.basis() == BasisBounded:
			return BasisBounded
		case c.after.basis() == BasisEstimated, c.item.StandardError > 0:
			basis = BasisEstimated
		}
	}
	return basis
}

func seriesSaved(changes []change) Range[int64] {
	var low, expected, high, whole uint64
	variance := 0.0
	for _, c := range changes {
		low = addUint(low, c.item.Series-c.after.Max)
		expected = addUint(expected, c.item.Series-c.after.Value)
		high = addUint(high, c.item.Series-c.after.Min)
		whole = addUint(whole, c.item.Series)
		variance += square(c.item.StandardError) + square(c.after.StandardError)
	}
	margin := toUint(math.Ceil(Confidence95 * math.Sqrt(variance)))
	high = min(addUint(high, margin), addUint(whole, margin))
	return Range[int64]{toInt(low - min(low, margin)), toInt(expected), toInt(high)}
}

func square(x float64) float64 { return x * x }

// toInt keeps a count within a signed word.
func toInt(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
