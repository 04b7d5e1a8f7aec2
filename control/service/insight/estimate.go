package insight

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/internal/match"
)

const (
	// maxRules bounds an estimate, as policies are.
	maxRules = 64
	// maxMetrics is how many metrics an estimate lists.
	maxMetrics = 100
	// maxEstimates bounds how many estimates a view keeps.
	maxEstimates = 1000
)

// estimated is what rules would do to a stream.
type estimated struct {
	effects []cost.Effect
	saving  cost.Saving
}

// estimate fills in what the sketches say of a policy of which nothing is
// measured.
func (t *till) estimate(ctx context.Context, w *phoenixv1.PolicySaving, p store.Policy) error {
	w.Basis, w.SeriesSaved = basisEstimated, &phoenixv1.Interval{}
	rules, leftOut, err := publish.Compile(store.PolicySet{Policies: []store.Policy{p}}, t.NamespaceAttribute)
	if err != nil {
		return err
	}
	for _, one := range leftOut {
		w.Basis = basisBounded
		w.Warnings = append(w.Warnings, "The policy cannot be applied: "+one.Problem)
	}
	if t.stream == nil || len(rules) == 0 {
		return nil
	}
	views, err := t.views(ctx, t.sc, t.stream.report.Point, 0, true)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("%s/%s/%x/%s/%s", p.Namespace, p.Name, p.SpecSHA256, t.applied.interval, t.prices.key)
	e, err := views[0].estimate(key, rules, t.prices, t.applied)
	if err != nil {
		return err
	}
	w.Basis = basisEstimated
	if e.saving.Basis == cost.BasisBounded {
		w.Basis = basisBounded
	}
	w.SeriesSaved = wireSeries(e.saving.Series)
	w.MonthSaved, w.DaySaved = wireMoney(e.saving.Month), wireMoney(e.saving.Day)
	return nil
}

// estimate is kept with the view, as lists of savings ask for it again and again.
func (v *view) estimate(key string, rules []policy.Rule, p pricing, a *applied) (*estimated, error) {
	v.mu.Lock()
	e := v.estimates[key]
	v.mu.Unlock()
	if e != nil {
		return e, nil
	}
	touched, err := v.matching(rules)
	if err != nil {
		return nil, err
	}
	e = &estimated{}
	given := assumptions(a.interval)
	if e.effects, err = cost.RuleEffects(rules, touched, given); err != nil {
		return nil, err
	}
	if e.saving, err = p.Saving(v.ledger().withEffects(e.effects), e.effects, given); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if key != "" && len(v.estimates) < maxEstimates {
		v.estimates[key] = e
	}
	return e, nil
}

// matching is the report with those metrics only that a rule may match, which
// are few of many.
func (v *view) matching(rules []policy.Rule) (report.Cardinality, error) {
	patterns := make([]match.Pattern, 0, len(rules))
	for i, r := range rules {
		p, err := match.Compile(r.Match.Metric)
		if err != nil {
			return report.Cardinality{}, fmt.Errorf("rules[%d].match.metric: %w", i, err)
		}
		patterns = append(patterns, p)
	}
	c := v.report
	c.Metrics = nil
	for _, m := range v.report.Metrics {
		if slices.ContainsFunc(patterns, func(p match.Pattern) bool { return p.Match(m.Name) }) {
			if m.Attributes == nil {
				m.Attributes = []report.AttributeCardinality{} // none, which is not unknown
			}
			c.Metrics = append(c.Metrics, m)
		}
	}
	return c, nil
}

// EstimateSaving implements phoenixv1.SavingsServer.
func (s *savingsServer) EstimateSaving(ctx context.Context, r *phoenixv1.EstimateSavingRequest) (*phoenixv1.SavingEstimate, error) {
	sc, err := s.scope(ctx, access.Get, access.Savings)
	if err != nil {
		return nil, err
	}
	var v violations
	point, model := v.text("point", r.GetPoint()), v.text("price_model", r.GetPriceModel())
	rules := v.rules(r.GetRules())
	if err := v.err(); err != nil {
		return nil, err
	}
	prices, err := s.models.use(ctx, model)
	if err != nil {
		return nil, asFault(err)
	}
	stream, err := s.costView(ctx, sc, point, true)
	if err != nil {
		return nil, asFault(err)
	}
	applied, err := s.current(ctx)
	if err != nil {
		return nil, asFault(err)
	}
	e, err := stream.estimate("", rules, prices, applied)
	if err != nil {
		return nil, asFault(err)
	}
	return &phoenixv1.SavingEstimate{
		SeriesSaved: wireSeries(e.saving.Series),
		PriceModel:  prices.Name, Currency: prices.Currency, Priced: prices.Priced(),
		MonthSaved: wireMoney(e.saving.Month), DaySaved: wireMoney(e.saving.Day),
		Basis: string(e.saving.Basis), Metrics: stream.metricSavings(e.effects),
		Warnings: slices.Concat(stream.warnings(), prices.warnings(stream)),
	}, nil
}

// rules reads rules as policies have them and reports all mistakes at once.
func (v *violations) rules(list []*phoenixv1.Rule) []policy.Rule {
	if len(list) == 0 || len(list) > maxRules {
		v.add("rules", "must have between 1 and %d entries, got %d", maxRules, len(list))
		return nil
	}
	rules := make([]policy.Rule, 0, len(list))
	for i, w := range list {
		rule, err := readRule(w)
		if err != nil {
			v.add(fmt.Sprintf("rules[%d]", i), "%s", err)
			continue
		}
		rule.Name = cmp.Or(rule.Name, publish.DefaultRuleName(i))
		rules = append(rules, rule)
	}
	if len(rules) < len(list) {
		return nil
	}
	for _, mistake := range policy.AsErrors(policy.ValidateRules(rules)) {
		v.add(mistake.Path, "%s", mistake.Problem)
	}
	return rules
}

// readRule goes by way of JSON, in which both have one form.
func readRule(w *phoenixv1.Rule) (policy.Rule, error) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(w)
	if err != nil {
		return policy.Rule{}, err
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	var rule policy.Rule
	if err := d.Decode(&rule); err != nil {
		if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return policy.Rule{}, fmt.Errorf("%s cannot be a %s", wrongType.Field, wrongType.Value)
		}
		return policy.Rule{}, err
	}
	return rule, nil
}

// metricSavings lists the metrics that lose series, the largest saving first.
func (v *view) metricSavings(effects []cost.Effect) []*phoenixv1.MetricSaving {
	list := make([]*phoenixv1.MetricSaving, 0, len(effects))
	for _, e := range effects {
		var series uint64
		for _, i := range v.ledger().byName[e.Metric] {
			if item := v.ledger().usage.Items[i]; item.Key == e.Key {
				series = item.Series
			}
		}
		margin := cost.Confidence95 * e.After.StandardError
		list = append(list, &phoenixv1.MetricSaving{
			Metric: text(e.Metric), Group: text(e.Group), Series: float64(series),
			SeriesAfter: &phoenixv1.Interval{
				Low: max(0, math.Floor(float64(e.After.Min)-margin)), Expected: float64(e.After.Value),
				High: math.Ceil(float64(e.After.Max) + margin),
			},
		})
	}
	slices.SortFunc(list, func(a, b *phoenixv1.MetricSaving) int {
		return cmp.Or(
			cmp.Compare(b.GetSeries()-b.GetSeriesAfter().GetExpected(), a.GetSeries()-a.GetSeriesAfter().GetExpected()),
			strings.Compare(a.GetMetric(), b.GetMetric()), strings.Compare(a.GetGroup(), b.GetGroup()),
		)
	})
	return list[:min(len(list), maxMetrics)]
}
