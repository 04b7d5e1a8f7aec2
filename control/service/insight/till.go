package insight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

// The ways in which the numbers of a saving were found.
const (
	basisMeasured  = "measured"
	basisEstimated = "estimated"
	basisBounded   = "bounded"
)

// till has what the savings of one answer are computed from, so that all of them
// are of one moment.
type till struct {
	*insight
	sc scope
	// stream is what is billed, nil if the caller sees no such point; then missing
	// says why.
	stream  *view
	missing string
	prices  pricing
	applied *applied
}

// till for the caller: they see this part of the stream.
func (in *insight) till(ctx context.Context) (*till, error) {
	sc := everything
	visible := in.Core.Guard.Visible(call.From(ctx).Principal, access.Get, access.Savings)
	if in.NamespaceAttribute != "" && !visible.All() {
		var err error
		if sc, err = in.scope(ctx, access.Get, access.Savings); err != nil {
			return nil, err
		}
	}
	return in.tillFor(ctx, sc)
}

func (in *insight) tillFor(ctx context.Context, sc scope) (*till, error) {
	t := &till{insight: in, sc: sc}
	var err error
	if t.stream, err = in.costView(ctx, sc, "", false); err != nil {
		var f *fault.Fault
		if !errors.As(asFault(err), &f) || f.Reason != fault.NotFound {
			return nil, err
		}
		t.stream, t.missing = nil, f.Detail
	}
	if t.prices, err = in.models.use(ctx, ""); err != nil {
		return nil, err
	}
	t.applied, err = in.current(ctx)
	return t, err
}

// saving is what a policy saves, as measured if anything of it is.
func (t *till) saving(ctx context.Context, p store.Policy) (*phoenixv1.PolicySaving, error) {
	w := &phoenixv1.PolicySaving{
		Namespace: p.Namespace, Name: p.Name, Revision: uint32(p.Revision), State: string(p.State), //nolint:gosec // counts people's changes
		PriceModel: t.prices.Name, Currency: t.prices.Currency, Priced: t.prices.Priced(),
	}
	inForce := p.State == store.StatePreview || p.State == store.StateEnforced
	if !inForce {
		w.Warnings = append(w.Warnings, fmt.Sprintf("The policy is %s and saves nothing: this is what it would save", p.State))
	} else if t.Engaged() {
		w.Warnings = append(w.Warnings, "The kill switch is engaged: no policy is applied, and this is what it would save")
	}
	if t.applied.silent {
		w.Warnings = append(w.Warnings, "A processor did not answer: what it saves is missing")
	}
	if t.stream != nil {
		w.Warnings = append(w.Warnings, t.prices.warnings(t.stream)...)
	} else {
		w.Priced = false
		w.Warnings = append(w.Warnings, "No amounts: "+t.missing)
	}
	m := t.applied.of(p.PolicyKey)
	if m == nil || !inForce {
		return w, t.estimate(ctx, w, p)
	}
	t.measure(w, p, m)
	return w, t.price(w, p, m)
}

// measure fills in what the processors counted.
func (t *till) measure(w *phoenixv1.PolicySaving, p store.Policy, m *measured) {
	w.Basis, w.Since = basisMeasured, timestamppb.New(m.since)
	w.StreamsIn, w.StreamsOut = float64(m.streams), float64(m.remaining)
	var sum counted
	missing := 0
	for _, name := range ruleNames(p, m) {
		r := m.rules[name]
		if r == nil {
			missing++
			w.Rules = append(w.Rules, &phoenixv1.RuleSaving{Rule: name, SeriesSaved: &phoenixv1.Interval{}})
			continue
		}
		total := r.total()
		sum = sum.plus(total)
		low, expected, high := within95(total.saved(), total.series, total.variance)
		w.Rules = append(w.Rules, &phoenixv1.RuleSaving{
			Rule: name, StreamsIn: float64(r.streams), StreamsOut: float64(r.remaining), PointsIn: float64(r.points),
			SeriesSaved: &phoenixv1.Interval{Low: low, Expected: expected, High: high},
		})
	}
	low, expected, high := within95(sum.saved(), sum.series, sum.variance)
	w.SeriesSaved = &phoenixv1.Interval{Low: low, Expected: expected, High: high}
	behind := m.waiting || !m.fits(p.State)
	w.Complete = missing == 0 && !behind && !t.applied.silent && t.Core.Now().Sub(m.since) >= t.applied.staleness
	switch {
	case missing > 0:
		w.Warnings = append(w.Warnings, fmt.Sprintf("%d of its rules are reported by no processor", missing))
	case behind:
		w.Warnings = append(w.Warnings, "The present state of the policy is not in force everywhere yet: it is from the next edge of an interval on")
	case !w.Complete:
		w.Warnings = append(w.Warnings, fmt.Sprintf("Measured for less than %s: series that send seldom are missing", t.applied.staleness))
	}
	if len(m.components) > 1 {
		w.Warnings = append(w.Warnings, "The savings at "+strings.Join(m.components, ", ")+
			" are added up: a preview counts a series twice if it passes two of them")
	}
}

// fits says whether all rules are in the mode of the policy's state.
func (m *measured) fits(state store.PolicyState) bool {
	mode := string(policy.ModePreview)
	if state == store.StateEnforced {
		mode = string(policy.ModeEnforce)
	}
	for _, r := range m.rules {
		if r.mode != mode {
			return false
		}
	}
	return true
}

// ruleNames are those of the policy, in its order, and then those that are
// measured and not in it any more.
func ruleNames(p store.Policy, m *measured) []string {
	var names []string
	if spec, err := publish.DecodeSpec(p.Spec); err == nil {
		for i, r := range spec.Rules {
			names = append(names, cmp.Or(r.Name, publish.DefaultRuleName(i)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.rules)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// price fills in what the measured saving is worth.
func (t *till) price(w *phoenixv1.PolicySaving, p store.Policy, m *measured) error {
	if t.stream == nil {
		return nil
	}
	if c := m.metrics[""]; c.saved() > 0 {
		w.Warnings = append(w.Warnings, fmt.Sprintf(
			"%d of the series belong to metrics beyond the bound of a processor's report: they are not in the amounts", c.saved()))
	}
	reductions, warnings := t.reductions(p, m)
	w.Warnings = append(w.Warnings, warnings...)
	usage, effects := t.stream.ledger().withReductions(reductions)
	saving, err := t.prices.Saving(usage, effects, assumptions(t.applied.interval))
	if err != nil {
		return err
	}
	w.MonthSaved, w.DaySaved = wireMoney(saving.Month), wireMoney(saving.Day)
	return nil
}

// reductions finds the items of the bill that become less, and by how much.
//
// Usually what is billed is counted before the rules (a measuring point called
// ingest). If it is counted behind them, the series that an enforced rule takes
// away are no longer there: the metric then has fewer series than went into the
// rule, and what the rule saved is added to what would be billed without it.
func (t *till) reductions(p store.Policy, m *measured) (list []reduction, warnings []string) {
	l := t.stream.ledger()
	divided, behind, unknown := false, false, 0
	for _, name := range slices.Sorted(maps.Keys(m.metrics)) {
		c := m.metrics[name]
		if name == "" || c.saved() == 0 {
			continue
		}
		items := t.itemsOf(p, name)
		if len(items) == 0 {
			unknown++
			continue
		}
		var present uint64
		variance := c.seriesVariance
		for _, i := range items {
			item := l.usage.Items[i]
			present += item.Series
			variance += item.StandardError * item.StandardError
		}
		margin := cost.Confidence95 * math.Sqrt(variance)
		isBehind := p.State == store.StateEnforced && float64(present)+margin < float64(c.series)
		behind, divided = behind || isBehind, divided || len(items) > 1
		for i, part := range l.divide(c.saved(), items, isBehind) {
			if part > 0 {
				r := reduction{item: items[i], saved: part, variance: c.variance * ratio(part, c.saved())}
				if isBehind {
					r.added = part
				}
				list = append(list, r)
			}
		}
	}
	if unknown > 0 {
		warnings = append(warnings, fmt.Sprintf("%d of its metrics are not counted at the point %s: they are not in the amounts", unknown, text(t.stream.report.Point)))
	}
	if divided {
		warnings = append(warnings, "The amounts take the saving of a metric as divided among its groups by their series")
	}
	if behind {
		warnings = append(warnings, fmt.Sprintf("The point %s counts what the policy leaves: the amounts compare that with what it was before", text(t.stream.report.Point)))
	}
	return list, warnings
}

// itemsOf are the items of a metric that the policy can change: if the point is
// grouped by namespace, those of its namespace.
func (t *till) itemsOf(p store.Policy, metric string) []int32 {
	items := t.stream.ledger().byName[metric]
	if t.NamespaceAttribute == "" || p.Namespace == publish.DefaultNamespace || t.stream.report.GroupBy != t.NamespaceAttribute {
		return items
	}
	for _, i := range items {
		if t.stream.ledger().usage.Items[i].Group == p.Namespace {
			return []int32{i}
		}
	}
	return nil
}

// divide shares out series among items in proportion to their own. If they were
// counted before the series went, none loses more than it has.
func (l *ledger) divide(saved uint64, items []int32, behind bool) []uint64 {
	parts := make([]uint64, len(items))
	var whole uint64
	for _, i := range items {
		whole += l.usage.Items[i].Series
	}
	if whole == 0 {
		if behind {
			parts[0] = saved
		}
		return parts
	}
	if !behind {
		saved = min(saved, whole)
	}
	// Rounding the running sum, not each part, the parts add up to the whole.
	var before, given uint64
	for k, i := range items {
		before += l.usage.Items[i].Series
		until := uint64(math.Round(float64(saved) * (float64(before) / float64(whole))))
		parts[k], given = until-given, until
	}
	return parts
}
