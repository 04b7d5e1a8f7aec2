package adaptivesamplerprocessor

import (
	"context"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// core is what the part of one signal gets of the processor. Parts of one
// component id share the hub behind it; telemetry and logger are the part's own.
type core struct {
	// cfg is valid. With target_scope: fleet its targets are divided already.
	cfg *Config
	set component.TelemetrySettings
	log *zap.Logger
	tel *telemetry
	// secret keys hashes of strangers' strings. It stays over restarts if there is
	// storage, so that state under it can be used again.
	secret series.Secret
	// now is the clock.
	now func() time.Time

	id  component.ID
	hub *hub
}

// ruleInForce is a sampling rule that acts, or measures.
type ruleInForce struct {
	// SamplingRule has its defaults filled in and is valid. With target_scope:
	// fleet budgets are divided already. It is not written to.
	policy.SamplingRule
	// static is true for rules of the configuration.
	static bool
	// since is when the rule with these settings and this mode began here.
	since time.Time
}

// part is what samples one signal. The order of calls is: the constructor, apply,
// restore if there is state, then any number of the others, save with final, stop.
// Data flows after restore and before that last save.
type part interface {
	// apply replaces all rules; those for other signals are among them. What goes
	// on by a rule of the same name keeps its state: rates, levels, dead bands. It
	// may be called beside adjust, flush, save and report, not beside itself. A rule
	// that cannot be used is given to core.refuse, the others act.
	apply(rules []ruleInForce)
	// adjust ends an interval: it is called by one goroutine each Config.Interval,
	// with what passed since the call before. It does not wait for the next
	// component.
	adjust(now time.Time, elapsed time.Duration)
	// report adds what the part has to say; it may be called from any goroutine
	// until stop returned. It is also called after each adjust, for the gauges of
	// telemetry and for the event that a budget's floor is reached.
	report(out *report.Sampling)
	// save hands over what restore needs, in the goroutine of adjust; final means
	// that no data comes any more. Values are at best 1 MiB or less. They belong to
	// write.
	save(final bool, write func(key string, value []byte) error) error
	// restore takes up what save wrote. A key that was not written reads as nil.
	// After an error the part begins anew, or with what it has read by then.
	restore(read func(key string) ([]byte, error)) error
	// stop ends what the part has begun and sends what it still holds to the next
	// component.
	stop(ctx context.Context) error
}

// flusher is a part that itself sends something to the next component. flush is
// called in the goroutine of adjust, after it; the context ends when the part is
// to stop.
type flusher interface {
	flush(ctx context.Context)
}

// deadBands is a part that has dead bands: how many series they remember now, and
// how many were abandoned for want of room since the start.
type deadBands interface {
	deadBandSeries() (remembered, abandoned uint64)
}

// traceRates tells the part for logs what that for traces does.
type traceRates interface {
	// threshold is the one at which spans of a resource are sampled now; false if
	// the key of spans is not one of the resource only.
	threshold(resource pcommon.Map) (sampling.Threshold, bool)
}

// traceRates is nil while no traces pipeline has a processor of this id. It costs
// an atomic load, and is to be asked once a batch: pipelines start in any order.
func (c *core) traceRates() traceRates {
	if r := c.hub.rates.Load(); r != nil {
		return *r
	}
	return nil
}

// refuse says, within apply, why a rule is not in force.
func (c *core) refuse(rule string, err error) { c.hub.refuse(rule, err) }
