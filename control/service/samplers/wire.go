package samplers

import (
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/report"
)

// wireSampler gives a report as it travels, as far as the caller sees it.
func wireSampler(r *report.Sampling, visible access.Namespaces) *phoenixv1.Sampler {
	w := &phoenixv1.Sampler{
		Component: text(r.Component), PolicyVersion: float64(r.PolicyVersion), Since: timestamp(r.Since), At: timestamp(r.At),
	}
	for _, s := range r.Signals {
		w.Signals = append(w.Signals, &phoenixv1.SampledSignal{
			Signal: text(s.Signal), In: float64(s.In), Kept: float64(s.Kept), Represented: finite(s.Represented),
			Keys: float64(s.Keys), KeysEvicted: float64(s.KeysEvicted),
		})
	}
	for i := range r.Rules {
		if sees(visible, r.Rules[i].Name, r.Rules[i].Static) {
			w.Rules = append(w.Rules, wireRule(&r.Rules[i]))
		}
	}
	for _, b := range r.Budgets {
		if sees(visible, b.Name, b.Static) {
			w.Budgets = append(w.Budgets, &phoenixv1.SampledBudget{
				Name: text(b.Name), Signal: text(b.Signal), Static: b.Static, Unit: text(b.Unit),
				Target: finite(b.Target), In: finite(b.In), Out: finite(b.Out),
				Level: finite(b.Level), Floor: finite(b.Floor), Ceiling: finite(b.Ceiling), Error: finite(b.Error),
				FloorReached: b.FloorReached,
			})
		}
	}
	if !visible.All() {
		return w // what else there is tells of everybody's services
	}
	for _, k := range r.Keys {
		w.Keys = append(w.Keys, &phoenixv1.SampledKey{
			Signal: text(k.Signal), Key: text(k.Key), Group: text(k.Group), In: float64(k.In), Kept: float64(k.Kept),
			Represented: finite(k.Represented), Probability: finite(k.Probability),
		})
	}
	for _, p := range r.Problems {
		w.Problems = append(w.Problems, text(p))
	}
	return w
}

func wireRule(r *report.SampledRule) *phoenixv1.SampledRule {
	w := &phoenixv1.SampledRule{
		Name: text(r.Name), Kind: text(r.Kind), Mode: text(r.Mode), Static: r.Static,
		In: float64(r.In), Kept: float64(r.Kept), Since: timestamp(r.Since), Series: float64(r.Series), Ratio: finite(r.Ratio),
	}
	for _, t := range r.Totals {
		w.Totals = append(w.Totals, &phoenixv1.SampledTotal{
			Metric: text(t.Metric), From: timestamp(t.From), To: timestamp(t.To),
			KeptSeries: float64(t.Kept), Series: finite(t.Series), SeriesError: finite(t.SeriesError),
			Total: finite(t.Total), Variance: finite(t.Variance), Low: finite(t.Low), High: finite(t.High),
		})
	}
	return w
}

// timestamp is nil for none.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// finite keeps numbers within what every reader of JSON takes: sums over what
// anybody sends may be infinite.
func finite(v float64) float64 {
	switch {
	case math.IsNaN(v):
		return 0
	case math.IsInf(v, 0):
		return math.Copysign(math.MaxFloat64, v)
	}
	return v
}

// text is what a proto takes for a text.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
