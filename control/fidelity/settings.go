package fidelity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/otlptranslator"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/tap"
	"github.com/phoenix-platform/phoenix/internal/backend"
)

// DefaultLateness is how long a point takes at most from the time that it bears
// to the measuring point of its arm.
const DefaultLateness = 5 * time.Second

// Settings are what a Judge needs.
type Settings struct {
	// Spec is the experiment, with its Fidelity, and Plan what Parse made of it.
	Spec experiment.Spec
	Plan *Plan
	// Baseline and Candidate are the measuring points of the arms.
	Baseline, Candidate string
	// Want begins a subscription to the tap.
	Want func(tap.Selection) (*tap.Subscription, error)
	// OTLPNames returns the OTLP names of the metrics that the backend knows by
	// these names. It is asked at each look, and what is new is subscribed to.
	// Nil: all metrics are.
	OTLPNames func(ctx context.Context, backendNames []string) ([]string, error)
	// Lateness is how long a point takes from the time that it bears to its
	// measuring point. Default: DefaultLateness.
	Lateness time.Duration
	// Backend says how the exporter makes names and labels. Default: as Prometheus
	// does, without promoted attributes.
	Backend backend.PrometheusSettings
	// Dir is where the heads keep their directories, which stay all but empty.
	// Default: that for temporary files.
	Dir string
	// Logger is told of what cannot be judged. Default: nobody.
	Logger *zap.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

func (s Settings) withDefaults() Settings {
	s.Spec = s.Spec.WithDefaults()
	if s.Lateness <= 0 {
		s.Lateness = DefaultLateness
	}
	if s.Backend.Translation == "" {
		s.Backend.Translation = string(otlptranslator.UnderscoreEscapingWithSuffixes)
	}
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	return s
}

func (s Settings) check() error {
	var errs []error
	if s.Spec.Fidelity == nil {
		errs = append(errs, errors.New("the experiment demands no fidelity"))
	}
	if s.Plan == nil {
		errs = append(errs, errors.New("there is no plan"))
	}
	if s.Want == nil {
		errs = append(errs, errors.New("there is no tap"))
	}
	if s.Baseline == s.Candidate {
		errs = append(errs, fmt.Errorf("both arms are measured at %q", s.Baseline))
	}
	return errors.Join(errs...)
}

// timing follows from the experiment's interval.
type timing struct {
	interval, lateness time.Duration
	// slack is by how much the candidate may be later than the baseline, and how
	// long after the fact both are asked.
	slack time.Duration
	// step is the time between evaluations of rules.
	step time.Duration
}

// longestStep is the longest time between evaluations of rules, so that an alert
// that fires between two looks is seen.
const longestStep = 15 * time.Second

func newTiming(interval, lateness time.Duration) timing {
	interval = max(interval.Truncate(time.Millisecond), time.Second)
	steps := (interval + longestStep - 1) / longestStep
	return timing{
		interval: interval, lateness: lateness, slack: 2*interval + lateness,
		step: (interval / steps).Truncate(time.Millisecond),
	}
}

// instant is the newest one at which both arms are complete. It is a multiple of
// the interval in Unix time, as are the edges at which tag_consolidation emits:
// the windows of a range then begin and end where its outputs do.
func (t timing) instant(now time.Time) time.Time {
	ms, interval := now.Add(-t.slack).UnixMilli(), t.interval.Milliseconds()
	return time.UnixMilli(ms - ms%interval).UTC()
}

// instants are when rules are evaluated, after the last time and up to the next
// one. After a long pause the oldest are left out.
func (t timing) instants(last, next time.Time) []time.Time {
	const most = 40
	n := int64(next.Sub(last) / t.step)
	if last.IsZero() || n > most {
		n = min(max(n, 1), most)
		if last.IsZero() {
			n = 1
		}
	}
	list := make([]time.Time, 0, n)
	for i := n - 1; i >= 0; i-- {
		list = append(list, next.Add(-time.Duration(i)*t.step))
	}
	return list
}
