package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/sampling/consistent"
	"github.com/phoenix-platform/phoenix/internal/sampling/keyrate"
)

// logs samples log records by severity, service and template. Which of them are
// kept is decided as for spans, see traces; the threshold is an attribute.
type logs struct {
	core *core
	next consumer.Logs

	rates   *keyrate.Table
	budgets *itemBudgets
	targets bool // there are some
	floors  floors
	summary *summary // nil: not wanted
	batches sync.Pool
	tel     recordCounters
	random  func() uint64 // for records without a trace

	in, kept    atomic.Uint64
	represented atomic.Uint64 // bits of a float64
}

var (
	_ part    = (*logs)(nil)
	_ flusher = (*logs)(nil)
)

func newLogs(c *core, next consumer.Logs) (*logs, error) {
	cfg := &c.cfg.Logs
	budgets, err := newItemBudgets(policy.SignalLogs, c.refuse)
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	rates, err := keyrate.New(keyrate.Settings{
		MaxKeys: cfg.MaxKeys, Total: cfg.Target.RecordsPerSecond, PerGroup: cfg.Target.PerService, Groups: cfg.Target.Services,
		Interval: c.cfg.Interval,
	})
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	l := &logs{
		core: c, next: next, rates: rates, budgets: budgets,
		targets: cfg.Target.RecordsPerSecond > 0 || cfg.Target.PerService > 0 || len(cfg.Target.Services) > 0,
		floors:  newFloors(cfg.Floor), tel: newRecordCounters(c.tel), random: rand.Uint64,
	}
	if cfg.Summary.Enabled {
		l.summary = newSummary(cfg.MaxKeys, cfg.Summary.Interval, c.now())
	}
	l.batches.New = func() any { return newRecordBatch(l) }
	return l, nil
}

// consume samples a batch and sends on what is kept. What the next component
// refuses is the sender's again. If it is sent once more, records with a trace or
// with randomness of their own are decided alike while rates stay; the others draw
// a new number, which is no bias, since only what is taken in the end counts.
func (l *logs) consume(ctx context.Context, ld plog.Logs) error {
	kept := l.sample(ctx, ld)
	if ld.ResourceLogs().Len() == 0 {
		return nil
	}
	err := l.next.ConsumeLogs(ctx, ld)
	if err != nil {
		l.tel.refused.add(ctx, kept)
	}
	return err
}

// sample takes out of a batch what is not kept, and returns how many records are.
func (l *logs) sample(ctx context.Context, ld plog.Logs) (kept int) {
	b := l.batches.Get().(*recordBatch) //nolint:forcetypeassert // New makes no others
	defer l.batches.Put(b)
	b.begin()
	ld.ResourceLogs().RemoveIf(b.removeResource)
	return b.end(ctx)
}

// bounded says whether a target is for records of a service.
func (l *logs) bounded(service string) bool {
	t := &l.core.cfg.Logs.Target
	if t.RecordsPerSecond > 0 || t.PerService > 0 {
		return true
	}
	_, own := t.Services[service]
	return own
}

// atLevel is the threshold of a key under a budget.
func atLevel(ours sampling.Threshold, level float64) sampling.Threshold {
	if level == 1 {
		return ours
	}
	return consistent.FromProbability(min(1, ours.Probability()*level))
}

// apply replaces the rules: see part.
func (l *logs) apply(rules []ruleInForce) { l.budgets.apply(rules) }

// adjust ends an interval: see part.
func (l *logs) adjust(_ time.Time, elapsed time.Duration) {
	l.rates.Adjust(elapsed)
	l.budgets.step(elapsed)
}

// flush sends the summary if it is due: see flusher.
func (l *logs) flush(ctx context.Context) {
	if l.summary != nil {
		_ = l.summarize(ctx, l.summary.takeDue(l.core.now())) // counted, and part of the next one
	}
}

// stop ends what was begun: see part.
func (l *logs) stop(ctx context.Context) error {
	l.rates.Close()
	if l.summary == nil {
		return nil
	}
	return l.summarize(ctx, l.summary.take(l.core.now()))
}

// summarize sends a summary. One that is refused is part of the next one.
func (l *logs) summarize(ctx context.Context, s *summed) error {
	ld := s.records()
	n := ld.LogRecordCount()
	if n == 0 {
		return nil
	}
	if err := l.next.ConsumeLogs(ctx, ld); err != nil {
		l.tel.refused.add(ctx, n)
		l.summary.putBack(s)
		return fmt.Errorf("send the summary of records left out: %w", err)
	}
	return nil
}

// count adds a batch to the totals.
func (l *logs) count(in, kept int, represented float64) {
	l.in.Add(uint64(in))     //nolint:gosec // not negative
	l.kept.Add(uint64(kept)) //nolint:gosec // not negative
	for {
		before := l.represented.Load()
		if l.represented.CompareAndSwap(before, math.Float64bits(math.Float64frombits(before)+represented)) {
			return
		}
	}
}

// report says what is sampled: see part.
func (l *logs) report(out *report.Sampling) {
	rates := l.rates.Report(maxReportedKeys)
	out.Signals = append(out.Signals, report.SampledSignal{
		Signal: policy.SignalLogs, In: l.in.Load(), Kept: l.kept.Load(),
		Represented: math.Float64frombits(l.represented.Load()), Keys: rates.Stats.Keys, KeysEvicted: rates.Stats.Evicted,
	})
	for i := range rates.Targets {
		out.Budgets = append(out.Budgets, targetOfRecords(&rates.Targets[i]))
	}
	out.Budgets = append(out.Budgets, l.budgets.report()...)
	for i := range rates.Keys {
		k := &rates.Keys[i]
		out.Keys = append(out.Keys, report.SampledKey{
			Signal: policy.SignalLogs, Key: k.Label, Group: k.Group,
			In: k.Came, Kept: k.Kept, Represented: k.Represented, Probability: k.Probability,
		})
	}
}

func targetOfRecords(t *keyrate.Target) report.SampledBudget {
	name := "logs.target"
	if !t.All {
		name = "logs.service/" + t.Group
	}
	return report.SampledBudget{
		Name: name, Signal: policy.SignalLogs, Static: true, Unit: unitPoints,
		Target: t.PerSecond, In: t.In, Out: t.Out, Level: t.Level, Error: t.Error, FloorReached: t.FloorReached,
	}
}

// save hands over what restore needs: see part.
func (l *logs) save(_ bool, write func(key string, value []byte) error) error {
	keys, err := l.rates.Save()
	if err != nil {
		return fmt.Errorf("save rates of keys: %w", err)
	}
	levels, err := l.budgets.save()
	if err != nil {
		return fmt.Errorf("save levels of budgets: %w", err)
	}
	return errors.Join(write(stateOfKeys, keys), write(stateOfBudgets, levels))
}

// restore takes up what save wrote: see part.
func (l *logs) restore(read func(key string) ([]byte, error)) error {
	keys, err := read(stateOfKeys)
	if err == nil && keys != nil {
		err = l.rates.Restore(keys)
	}
	levels, readErr := read(stateOfBudgets)
	if readErr == nil {
		readErr = l.budgets.restore(levels)
	}
	return errors.Join(err, readErr)
}
