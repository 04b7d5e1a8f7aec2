package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
	"github.com/phoenix-platform/phoenix/internal/sampling/keyrate"
)

// traces samples spans. The rate of a key is learned from earlier intervals, the
// threshold that follows from it decides about each span by the randomness of its
// trace: see internal/sampling/consistent for why sums of adjusted counts stay
// unbiased.
type traces struct {
	core *core
	next consumer.Traces

	plan  *keyPlan
	keep  *keepPlan
	rates *keyrate.Table
	// total and perService say that spans of all, or of all services have a target;
	// services those that have one, targets that there is any.
	total, perService, targets bool
	services                   map[string]float64
	minProbability             float64

	budgets *itemBudgets
	batches sync.Pool // of *spanBatch
	tel     spanCounters

	in, kept    atomic.Uint64
	represented atomic.Uint64 // bits of a float64
}

var (
	_ part       = (*traces)(nil)
	_ traceRates = (*traces)(nil)
)

func newTraces(c *core, next consumer.Traces) (*traces, error) {
	cfg := &c.cfg.Traces
	t := &traces{
		core: c, next: next,
		total: cfg.Target.SpansPerSecond > 0, perService: cfg.Target.PerService > 0, services: cfg.Target.Services,
		minProbability: cfg.MinProbability,
	}
	t.targets = t.total || t.perService || len(t.services) > 0
	var errs [3]error
	t.plan, errs[0] = newKeyPlan(cfg.Key, t.perService || len(t.services) > 0, c.secret)
	t.keep, errs[1] = newKeepPlan(cfg.Keep)
	t.budgets, errs[2] = newItemBudgets(policy.SignalTraces, c.refuse)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	var err error
	t.rates, err = keyrate.New(keyrate.Settings{
		MaxKeys: cfg.MaxKeys, Total: cfg.Target.SpansPerSecond, PerGroup: cfg.Target.PerService, Groups: cfg.Target.Services,
		MinProbability: cfg.MinProbability, Quantile: t.keep.quantile, Interval: c.cfg.Interval,
	})
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	t.tel = newSpanCounters(c.tel)
	t.batches.New = func() any { return newSpanBatch(t) }
	return t, nil
}

// consume samples a batch and sends on what is kept. What the next component
// refuses is the sender's again. If it is sent once more the same spans are kept,
// since their randomness is the same; or, if rates moved meanwhile, more or fewer
// of them, with thresholds that say so.
func (t *traces) consume(ctx context.Context, td ptrace.Traces) error {
	kept := t.sample(ctx, td)
	if td.ResourceSpans().Len() == 0 {
		return nil
	}
	err := t.next.ConsumeTraces(ctx, td)
	if err != nil {
		t.tel.refused.add(ctx, kept)
	}
	return err
}

// sample takes out of a batch what is not kept, and returns how many spans are.
func (t *traces) sample(ctx context.Context, td ptrace.Traces) (kept int) {
	b := t.batches.Get().(*spanBatch) //nolint:forcetypeassert // New makes no others
	defer t.batches.Put(b)
	b.begin()
	td.ResourceSpans().RemoveIf(b.removeResource)
	return b.end(ctx)
}

// bounded says whether a target is for spans of a service.
func (t *traces) bounded(service string) bool {
	if t.total || t.perService {
		return true
	}
	_, own := t.services[service]
	return own
}

// threshold is the one at which spans of a resource are sampled now: see
// traceRates.
func (t *traces) threshold(resource pcommon.Map) (sampling.Threshold, bool) {
	if !t.plan.onlyResource() {
		return sampling.Threshold{}, false
	}
	rules := t.budgets.inForce.Load()
	enforced, _ := rules.find(resource)
	if enforced < 0 && !t.bounded(text(resource, serviceName)) {
		return sampling.Threshold{}, false
	}
	id, _ := t.plan.resource(resource)
	key := t.rates.Find(id)
	if key == nil {
		return sampling.Threshold{}, false
	}
	ours := key.Threshold()
	if enforced >= 0 {
		ours = t.atLevel(ours, rules.budgets[enforced].flow.current())
	}
	return ours, true
}

// atLevel is the threshold of a key under a budget.
func (t *traces) atLevel(ours sampling.Threshold, level float64) sampling.Threshold {
	if level == 1 {
		return ours
	}
	return consistent.FromProbability(max(t.minProbability, min(1, ours.Probability()*level)))
}

// adjust ends an interval: see part.
func (t *traces) adjust(_ time.Time, elapsed time.Duration) {
	t.rates.Adjust(elapsed)
	t.budgets.step(elapsed)
}

// apply replaces the rules: see part.
func (t *traces) apply(rules []ruleInForce) { t.budgets.apply(rules) }

// count adds a batch to the totals.
func (t *traces) count(in, kept int, represented float64) {
	t.in.Add(uint64(in))     //nolint:gosec // not negative
	t.kept.Add(uint64(kept)) //nolint:gosec // not negative
	for {
		before := t.represented.Load()
		if t.represented.CompareAndSwap(before, math.Float64bits(math.Float64frombits(before)+represented)) {
			return
		}
	}
}

// maxReportedKeys bounds the keys in a report.
const maxReportedKeys = 100

// report says what is sampled: see part.
func (t *traces) report(out *report.Sampling) {
	rates := t.rates.Report(maxReportedKeys)
	out.Signals = append(out.Signals, report.SampledSignal{
		Signal: policy.SignalTraces, In: t.in.Load(), Kept: t.kept.Load(),
		Represented: math.Float64frombits(t.represented.Load()),
		Keys:        rates.Stats.Keys, KeysEvicted: rates.Stats.Evicted,
	})
	for _, k := range rates.Keys {
		out.Keys = append(out.Keys, report.SampledKey{
			Signal: policy.SignalTraces, Key: k.Label, Group: k.Group, In: k.Came, Kept: k.Kept, Represented: k.Represented,
			Probability: k.Probability,
		})
	}
	for _, target := range rates.Targets {
		out.Budgets = append(out.Budgets, report.SampledBudget{
			Name: targetName(target), Signal: policy.SignalTraces, Static: true, Unit: unitPoints, Target: target.PerSecond,
			In: target.In, Out: target.Out, Level: min(1, target.Level), Floor: t.minProbability, Ceiling: 1, Error: target.Error,
			FloorReached: target.FloorReached,
		})
	}
	out.Budgets = append(out.Budgets, t.budgets.report()...)
}

// targetName is what a target goes by in reports.
func targetName(t keyrate.Target) string {
	if t.All {
		return "traces.target"
	}
	return "traces.service/" + t.Group
}

// The keys under which state is kept.
const (
	stateOfKeys    = "keys"
	stateOfBudgets = "budgets"
)

// save hands over what restore needs: see part.
func (t *traces) save(_ bool, write func(key string, value []byte) error) error {
	keys, err := t.rates.Save()
	if err != nil {
		return fmt.Errorf("save rates of keys: %w", err)
	}
	levels, err := t.budgets.save()
	if err != nil {
		return fmt.Errorf("save levels of budgets: %w", err)
	}
	return errors.Join(write(stateOfKeys, keys), write(stateOfBudgets, levels))
}

// restore takes up what save wrote: see part.
func (t *traces) restore(read func(key string) ([]byte, error)) error {
	keys, err := read(stateOfKeys)
	if err != nil {
		return err
	}
	if keys != nil {
		err = t.rates.Restore(keys)
	}
	levels, readErr := read(stateOfBudgets)
	if readErr == nil {
		readErr = t.budgets.restore(levels)
	}
	return errors.Join(err, readErr)
}

// stop ends what was begun: see part.
func (t *traces) stop(context.Context) error {
	t.rates.Close()
	return nil
}
