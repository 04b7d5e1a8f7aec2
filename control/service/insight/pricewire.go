package insight

import (
	"errors"
	"fmt"
	"math"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/cost"
)

// wireModel gives a price model as it travels, with its defaults filled in.
func wireModel(m cost.Model) *phoenixv1.PriceModel {
	m = m.WithDefaults()
	w := &phoenixv1.PriceModel{
		Name: m.Name, Currency: m.Currency, Effective: m.Effective, Note: m.Note, Backend: m.Backend,
		HoursAMonth: uint32(m.HoursAMonth), //nolint:gosec // at most 744
	}
	if m.Source != (cost.Source{}) {
		w.Source = &phoenixv1.PriceSource{Name: m.Source.Name, Url: m.Source.URL}
	}
	for i := range m.Components {
		w.Components = append(w.Components, wireComponent(&m.Components[i]))
	}
	return w
}

func wireComponent(c *cost.Component) *phoenixv1.PriceComponent {
	w := &phoenixv1.PriceComponent{
		Name: c.Name, Kind: string(c.Kind), Per: float64(c.Per), TierMode: string(c.TierMode),
		Included: float64(c.Included), IncludedPerHost: float64(c.IncludedPerHost), IncludedDpm: float64(c.IncludedDPM),
		BytesPerSample: float64(c.BytesPerSample),
		Aggregations:   wireCounts(c.Aggregations), AggregationsAfterDrop: wireCounts(c.AggregationsAfterDrop),
	}
	if c.Kind == cost.KindFee {
		w.Per = 0 // a fee is for nothing in particular, and refuses it
	}
	if c.Price != nil {
		price := c.Price.String()
		w.Price = &price
	}
	for _, t := range c.Tiers {
		w.Tiers = append(w.Tiers, &phoenixv1.PriceTier{UpTo: float64(t.UpTo), Price: t.Price.String()})
	}
	return w
}

func wireCounts(counts map[string]uint64) map[string]float64 {
	if counts == nil {
		return nil
	}
	w := make(map[string]float64, len(counts))
	for key, n := range counts {
		w[key] = float64(n)
	}
	return w
}

// readWireModel reads a price model and reports all mistakes in it at once, by
// the path of each in the request. What the server sets is not looked at.
func readWireModel(w *phoenixv1.PriceModel) (cost.Model, error) {
	var v violations
	if w == nil {
		v.add("price_model", "must be given")
		return cost.Model{}, v.err()
	}
	m := cost.Model{
		Name: w.GetName(), Currency: w.GetCurrency(), Effective: w.GetEffective(), Note: w.GetNote(), Backend: w.GetBackend(),
		Source:      cost.Source{Name: w.GetSource().GetName(), URL: w.GetSource().GetUrl()},
		HoursAMonth: uint64(w.GetHoursAMonth()),
	}
	for i, c := range w.GetComponents() {
		m.Components = append(m.Components, v.component(fmt.Sprintf("price_model.components[%d]", i), c))
	}
	misread := make(map[string]bool, len(v)) // what was not read is not judged again
	for _, one := range v {
		misread[one.Field] = true
	}
	if mistakes, ok := errors.AsType[cost.Errors](m.Validate()); ok {
		for _, one := range mistakes {
			if path := "price_model." + one.Path; !misread[path] {
				v.add(path, "%s", one.Problem)
			}
		}
	}
	if m.Name != "" && !modelName.MatchString(m.Name) {
		v.add("price_model.name", "must be at most 128 letters, digits and ._-, with a letter or digit at both ends, got %q", abbreviate(m.Name))
	}
	if err := v.err(); err != nil {
		return cost.Model{}, err
	}
	return m, nil
}

func (v *violations) component(path string, w *phoenixv1.PriceComponent) cost.Component {
	c := cost.Component{
		Name: w.GetName(), Kind: cost.Kind(w.GetKind()), TierMode: cost.TierMode(w.GetTierMode()),
		Per:                   v.count(path+".per", w.GetPer()),
		Included:              v.count(path+".included", w.GetIncluded()),
		IncludedPerHost:       v.count(path+".included_per_host", w.GetIncludedPerHost()),
		IncludedDPM:           v.count(path+".included_dpm", w.GetIncludedDpm()),
		BytesPerSample:        v.count(path+".bytes_per_sample", w.GetBytesPerSample()),
		Aggregations:          v.counts(path+".aggregations", w.GetAggregations()),
		AggregationsAfterDrop: v.counts(path+".aggregations_after_drop", w.GetAggregationsAfterDrop()),
	}
	if w != nil && w.Price != nil {
		price := v.money(path+".price", w.GetPrice())
		c.Price = &price
	}
	for i, t := range w.GetTiers() {
		at := fmt.Sprintf("%s.tiers[%d]", path, i)
		c.Tiers = append(c.Tiers, cost.Tier{UpTo: v.count(at+".up_to", t.GetUpTo()), Price: v.money(at+".price", t.GetPrice())})
	}
	return c
}

func (v *violations) money(path, amount string) cost.Money {
	if amount == "" {
		v.add(path, "must be given, a decimal number in quotes such as \"6.50\"")
		return 0
	}
	if len(amount) > maxTextBytes {
		v.add(path, "may have %d bytes at most, has %d", maxTextBytes, len(amount))
		return 0
	}
	m, err := cost.ParseMoney(amount)
	if err != nil {
		v.add(path, "%s", err)
	}
	return m
}

// count reads a quantity: a whole number, which JSON and proto carry as a double.
func (v *violations) count(path string, n float64) uint64 {
	if math.IsNaN(n) || n < 0 || n != math.Trunc(n) || n > 1e18 {
		v.add(path, "must be a whole number from 0 to 10^18, got %v", n)
		return 0
	}
	return uint64(n)
}

func (v *violations) counts(path string, w map[string]float64) map[string]uint64 {
	if len(w) == 0 {
		return nil
	}
	counts := make(map[string]uint64, len(w))
	for key, n := range w {
		counts[key] = v.count(path+"."+key, n)
	}
	return counts
}
