package fidelity

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/tap"
)

// feed brings one subscription to the heads.
type feed struct {
	*tap.Subscription
	candidate bool
	// wanted are the OTLP names; nil: all.
	wanted map[string]bool
	// lost is what was lost of each metric when it was last asked.
	lost tap.Loss
}

// feeds keeps the subscriptions and their goroutines.
type feeds struct {
	settings  Settings
	converter *converter
	baseline  *arm
	candidate *arm

	wanted map[string]bool
	all    bool
	list   []*feed
	ctx    context.Context //nolint:containedctx // ends the goroutines, which outlive every call
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu sync.Mutex
	// families are the backend's names of the OTLP metrics that were seen.
	families map[string]map[string]bool
	failed   uint64
}

func newFeeds(s Settings, c *converter, baseline, candidate *arm) *feeds {
	f := &feeds{
		settings: s, converter: c, baseline: baseline, candidate: candidate,
		wanted: map[string]bool{}, families: map[string]map[string]bool{},
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

func (f *feeds) close() {
	f.cancel()
	for _, one := range f.list {
		one.Close()
	}
	f.wg.Wait()
}

// want subscribes to what the queries read and is not subscribed to yet.
func (f *feeds) want(ctx context.Context) error {
	if f.all {
		return nil
	}
	names := f.settings.Plan.Names()
	if f.settings.OTLPNames == nil || names == nil {
		f.all = true
		return f.subscribe(nil)
	}
	if len(names) == 0 {
		return nil
	}
	found, err := f.settings.OTLPNames(ctx, names)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(slices.Clone(found), func(name string) bool { return f.wanted[name] })
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	return f.subscribe(slices.Compact(found))
}

// subscribe begins a subscription for each arm. A batch that more than one of
// them gets is taken apart by who wanted what.
func (f *feeds) subscribe(names []string) error {
	var fresh []*feed
	for _, candidate := range []bool{false, true} {
		one := &feed{candidate: candidate}
		selection := tap.Selection{Point: f.settings.Baseline, Metrics: names}
		if candidate {
			selection.Point = f.settings.Candidate
		}
		var err error
		if one.Subscription, err = f.settings.Want(selection); err != nil {
			for _, other := range fresh {
				other.Close()
			}
			f.all = false
			return err
		}
		if names != nil {
			one.wanted = map[string]bool{}
			for _, name := range names {
				one.wanted[name] = true
			}
		}
		fresh = append(fresh, one)
	}
	for _, one := range fresh {
		maps.Copy(f.wanted, one.wanted)
		f.wg.Go(func() { f.run(one) })
	}
	f.list = append(f.list, fresh...)
	return nil
}

// run takes what the tap offers until the subscription ends.
func (f *feeds) run(one *feed) {
	for {
		batches, err := one.Next(f.ctx)
		if err != nil {
			return // closed
		}
		for _, b := range batches {
			f.take(one, b)
		}
	}
}

func (f *feeds) take(one *feed, b report.TapBatch) {
	md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(b.OTLP)
	if err != nil {
		f.fail(err)
		return
	}
	f.keepWanted(one, md)
	parts := f.converter.split(md)
	var errs []error
	for where, part := range parts {
		errs = append(errs, f.converter.samples(f.ctx, part, b.At, side(where), func(p point, s side) { f.put(one.candidate, p, s) }))
	}
	if err := errors.Join(errs...); err != nil {
		f.fail(err)
	}
}

// put gives a sample to those heads that it belongs to. What the experiment does
// not take is the same on both arms: it comes from the baseline, where nobody
// changes it.
func (f *feeds) put(candidate bool, p point, s side) {
	switch {
	case s == inside && candidate:
		f.candidate.add(p, false)
	case s == inside:
		f.baseline.add(p, false)
	case !candidate:
		f.baseline.add(p, true)
		f.candidate.add(p, true)
	}
}

// keepWanted drops the metrics that others wanted, of which this subscription may
// see only a part, and learns what the backend calls the rest.
func (f *feeds) keepWanted(one *feed, md pmetric.Metrics) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
				if one.wanted != nil && !one.wanted[m.Name()] {
					return true
				}
				f.learn(m)
				return false
			})
		}
	}
}

// learn keeps what the backend calls a metric, of as many as there may be series.
// What is lost of others touches every query.
func (f *feeds) learn(m pmetric.Metric) {
	known := f.families[m.Name()]
	if known == nil {
		if len(f.families) >= f.baseline.maxSeries {
			return
		}
		known = map[string]bool{}
		f.families[m.Name()] = known
	}
	if name := f.converter.family(m); len(known) < mostTypes {
		known[name] = true
	}
}

// mostTypes is in how many types and units one name is known.
const mostTypes = 16

func (f *feeds) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed++; f.failed == 1 {
		f.settings.Logger.Warn("Part of what the tap offers cannot be converted; only the first time is logged", zap.Error(err))
	}
}

// lost tells which metrics of the backend were lost since it was last asked, and
// how many offers in all. all: it is not known which.
func (f *feeds) lost() (families map[string]bool, all bool, offers uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	families = map[string]bool{}
	for _, one := range f.list {
		now := one.Lost()
		offers += now.Offers
		for name, n := range now.Metrics {
			if n == one.lost.Metrics[name] {
				continue
			}
			known := f.families[name]
			all = all || known == nil
			maps.Copy(families, known)
		}
		all = all || now.Offers > one.lost.Offers && len(now.Metrics) == 0
		one.lost = now
	}
	return families, all, offers
}
