// Package recorder writes the history of the stream into the store: how many
// series and samples there are and what they cost, in all and for the largest
// metrics, and what each policy saves. The store keeps a value each five minutes
// for a week and means of hours for 90 days.
package recorder

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/service/insight"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Defaults and bounds of the settings.
const (
	// DefaultEvery is how often a value is written: the finest step of the store.
	DefaultEvery = store.FineStep
	// DefaultTop is how many metrics have a history.
	DefaultTop = 100
	// DefaultPolicies is how many policies have one. With half as many more, three
	// kinds for metrics and two for policies, 904 of the store's 1,000 are used.
	DefaultPolicies = 150
)

// Outcomes of samples.
const (
	OutcomeKept      = "kept"
	OutcomeOutOfTime = "out_of_time"
	OutcomeOverLimit = "over_limit"
	OutcomeFailed    = "failed"
)

// Store is what the recorder needs of a store.
type Store interface {
	store.HistoryReader
	AppendSamples(context.Context, []store.Sample) (store.Appended, error)
}

// Settings is what New needs.
type Settings struct {
	// Store keeps the history. Required.
	Store Store
	// Observe looks at the stream; see insight.Services. It lists at most top
	// metrics. Required.
	Observe func(ctx context.Context, top int) (insight.Observation, error)
	// Done is told what became of samples, by outcome. Default: nobody is.
	Done func(outcome string, samples int)
	// Logger takes what could not be written. Default: nothing is logged.
	Logger *zap.Logger
	// Every is how often a value is written, at whole multiples of it. Default:
	// 5m. More often is of no use: the store keeps one value each 5 minutes.
	Every time.Duration
	// Top is how many metrics have a history, those with most series first.
	// Default: 100. Policies is the same for policies, those that save most.
	// Default: 150. As metrics come and go, half as many more are kept.
	Top, Policies int
	// Now is the clock. After tells when a time has passed. Default: those of
	// package time.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// Recorder writes the history.
type Recorder struct {
	Settings
	metrics, policies roster
	failing           bool
}

// New returns a recorder that does nothing before Run.
func New(s Settings) *Recorder {
	if s.Done == nil {
		s.Done = func(string, int) {}
	}
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	if s.Every <= 0 {
		s.Every = DefaultEvery
	}
	if s.Top <= 0 {
		s.Top = DefaultTop
	}
	if s.Policies <= 0 {
		s.Policies = DefaultPolicies
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.After == nil {
		s.After = time.After
	}
	return &Recorder{Settings: s, metrics: roster{most: s.Top}, policies: roster{most: s.Policies}}
}

// Run writes a value at each multiple of Every until ctx ends. It looks at the
// stream once at the beginning too: a rate takes two looks. Several replicas may
// run: the value of a later one replaces the same slot.
func (r *Recorder) Run(ctx context.Context) {
	if _, err := r.Observe(ctx, 0); err != nil && ctx.Err() == nil {
		r.Logger.Debug("The stream could not be looked at yet", zap.Error(err))
	}
	for {
		now := r.Now()
		select {
		case <-ctx.Done():
			return
		case <-r.After(now.Truncate(r.Every).Add(r.Every).Sub(now)):
		}
		err := r.Record(ctx)
		if ctx.Err() != nil {
			return
		}
		if failing := err != nil; failing != r.failing {
			r.failing = failing
			if failing {
				r.Logger.Warn("The history of the stream cannot be written; it has a gap until it can", zap.Error(err))
			} else {
				r.Logger.Info("The history of the stream is written again")
			}
		}
	}
}

// Record writes the values of now. Nothing is written while nothing is measured.
func (r *Recorder) Record(ctx context.Context) error {
	now := r.Now()
	o, err := r.Observe(ctx, r.Top)
	if err != nil {
		return fmt.Errorf("look at the stream: %w", err)
	}
	if o.At.IsZero() {
		return nil
	}
	if err := r.enlist(ctx, now); err != nil {
		return err
	}
	samples := r.samples(now, &o)
	kept, err := r.Store.AppendSamples(ctx, samples)
	if err != nil {
		r.Done(OutcomeFailed, len(samples))
		return err
	}
	r.Done(OutcomeKept, kept.Kept)
	r.Done(OutcomeOutOfTime, kept.OutOfTime)
	r.Done(OutcomeOverLimit, kept.OverLimit)
	return nil
}

// enlist reads, once a day, who has a history: those that ended long ago are
// deleted by the store.
func (r *Recorder) enlist(ctx context.Context, now time.Time) error {
	return errors.Join(
		r.metrics.load(ctx, r.Store, insight.KindSeries, insight.TotalKey, now),
		r.policies.load(ctx, r.Store, insight.KindPolicySavingSeries, "", now),
	)
}

// samples are the values of an observation: the total first, so that it is there
// also when the store has no room for all.
func (r *Recorder) samples(at time.Time, o *insight.Observation) []store.Sample {
	var list []store.Sample
	add := func(kind, key string, value float64) {
		if !math.IsNaN(value) && !math.IsInf(value, 0) {
			list = append(list, store.Sample{Time: at, Kind: kind, Key: key, Value: value})
		}
	}
	stream := func(key string, s insight.StreamObservation) {
		add(insight.KindSeries, key, float64(s.Series))
		if s.Sampled {
			add(insight.KindSamples, key, s.SamplesPerSecond)
		}
		// By samples, an amount without their rate would be too little.
		if o.Priced && s.Sampled {
			add(insight.KindCostMonth, key, s.Month)
		}
	}
	stream(insight.TotalKey, o.Total)
	add(insight.KindNewSeries, insight.TotalKey, o.NewPerMinute*store.FineStep.Minutes())
	for _, m := range o.Metrics {
		if key := insight.MetricKey(m.Metric); r.metrics.admit(key) {
			stream(key, m)
		}
	}
	for _, p := range o.Policies {
		key := p.Namespace + "/" + p.Name
		if store.CheckName("key", key, true) != nil || !r.policies.admit(key) {
			continue
		}
		add(insight.KindPolicySavingSeries, key, p.Series)
		if o.Priced {
			add(insight.KindPolicySavingMonth, key, p.Month)
		}
	}
	return list
}

// roster is who has a history. It grows to half as many again as are written at
// one time, because a history stays for 90 days after its last value, and the
// store has room for 1,000.
type roster struct {
	most   int
	loaded time.Time
	keys   map[string]bool
}

const rosterAge = 24 * time.Hour

func (r *roster) load(ctx context.Context, from store.HistoryReader, kind, except string, now time.Time) error {
	if !r.loaded.IsZero() && now.Sub(r.loaded) < rosterAge {
		return nil
	}
	keys := map[string]bool{}
	request := store.PageRequest{Size: store.MaxPageSize}
	for {
		page, err := from.ListHistoryKeys(ctx, kind, request)
		if err != nil {
			return err
		}
		for _, key := range page.Items {
			if key != except {
				keys[key] = true
			}
		}
		if page.Next == "" {
			r.loaded, r.keys = now, keys
			return nil
		}
		request.Token = page.Next
	}
}

// admit says whether a key has a history, or may begin one.
func (r *roster) admit(key string) bool {
	if r.keys[key] {
		return true
	}
	if len(r.keys) >= r.most+r.most/2 {
		return false
	}
	r.keys[key] = true
	return true
}
