package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// pollInterval is how often control is asked for new rules: an atomic load.
const pollInterval = 250 * time.Millisecond

// maxProblems bounds the problems that are reported.
const maxProblems = 100

// rulebook is which rules are in force, and where they come from.
type rulebook struct {
	source  policy.Source // nil: rules are those of the configuration
	version atomic.Uint64

	// lock is held while rules change or a part is added.
	lock    sync.Mutex
	inForce []ruleInForce
	seen    *policy.Snapshot // the latest one that was looked at
	refused []string         // what parts refuse, while they apply rules

	current  atomic.Pointer[[]ruleInForce] // inForce, for who does not hold the lock
	problems atomic.Pointer[[]string]

	unsaved *policy.Snapshot // nil: what is stored is what is in force
	retry   time.Time
}

func findSource(host component.Host, id *component.ID) (policy.Source, error) {
	if id == nil {
		return nil, nil
	}
	extension, there := host.GetExtensions()[*id]
	if !there {
		return nil, fmt.Errorf("control: there is no extension %s; add it to service.extensions", id)
	}
	source, ok := extension.(policy.Source)
	if !ok {
		return nil, fmt.Errorf("control: the extension %s has no policies", id)
	}
	return source, nil
}

// beginRules puts in force what control has now, or had when the last process
// ended.
func (h *hub) beginRules(ctx context.Context) {
	h.use(nil)
	h.poll(ctx)
	if h.rules.version.Load() == 0 {
		h.recallRules(ctx)
	}
}

// listen asks control for new rules until stop.
func (h *hub) listen() {
	if h.rules.source == nil {
		return
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-ticker.C:
			h.poll(context.Background())
		}
	}
}

// poll takes over a new snapshot of control.
//
// A snapshot is new if it is not the one that was looked at last; whether its
// version is higher does not matter, because a control plane whose store was
// restored or replaced counts from elsewhere. Version 0 says that control does
// not know its rules yet: those in force stay.
func (h *hub) poll(ctx context.Context) {
	b := &h.rules
	if b.source == nil {
		return
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	h.keepAgain(ctx)
	s := b.source.Policy()
	if s == nil || s.Version == 0 || s == b.seen {
		return
	}
	before := b.seen
	b.seen = s
	if before == nil || !reflect.DeepEqual(before.Sampling, s.Sampling) {
		h.use(s)
		h.keep(ctx, s)
	}
	b.version.Store(s.Version)
}

// use puts the rules of a snapshot in force after those of the configuration. A
// rule that is refused does not keep the others from acting. The lock is held, or
// there are no parts yet.
func (h *hub) use(s *policy.Snapshot) {
	b := &h.rules
	b.refused = nil
	names := map[string]bool{}
	before := map[string]*ruleInForce{}
	for i := range b.inForce {
		before[b.inForce[i].Name] = &b.inForce[i]
	}
	next := make([]ruleInForce, 0, len(h.cfg.Rules))
	add := func(r policy.SamplingRule, static bool) {
		names[r.Name] = true
		f := ruleInForce{SamplingRule: h.cfg.share(r.WithDefaults()), static: static, since: h.now()}
		if old := before[r.Name]; old != nil && old.static == static && reflect.DeepEqual(old.SamplingRule, f.SamplingRule) {
			f.since = old.since
		}
		next = append(next, f)
	}
	for _, r := range h.cfg.Rules {
		add(r, true)
	}
	if s != nil {
		for _, r := range s.Sampling {
			if err := usable(r, names); err != nil {
				h.refuse(r.Name, err)
				continue
			}
			add(r, false)
		}
	}
	b.inForce = next
	b.current.Store(&next)
	for _, w := range h.workers { // written under the same lock
		w.part.apply(next)
	}
	h.conclude(s)
}

var (
	errTwice = errors.New("name: another rule has it already")
	errMoney = errors.New("budget.monthly_cost: only control knows prices; it has to be points_per_second or bytes_per_second here")
)

// usable says why a rule of control cannot be used.
func usable(r policy.SamplingRule, names map[string]bool) error {
	if names[r.Name] {
		return errTwice
	}
	if b := r.Budget; b != nil && b.MonthlyCost != 0 {
		return errMoney
	}
	return policy.ValidateSamplingRules([]policy.SamplingRule{r})
}

// refuse notes why a rule is not in force. The lock is held.
func (h *hub) refuse(rule string, err error) {
	for line := range strings.Lines(err.Error()) {
		if len(h.rules.refused) == maxProblems {
			return
		}
		line = strings.TrimPrefix(strings.TrimSpace(line), "rules[0].")
		h.rules.refused = append(h.rules.refused, "rule "+rule+": "+line)
	}
}

// conclude reports what was refused.
func (h *hub) conclude(s *policy.Snapshot) {
	b := &h.rules
	problems := slices.Clone(b.refused)
	if s != nil {
		for i, p := range problems {
			problems[i] = fmt.Sprintf("version %d: %s", s.Version, p)
		}
		h.log.Info("Rules of control are in force", zap.Uint64("version", s.Version), zap.Int("rules", len(b.inForce)-len(h.cfg.Rules)))
	}
	b.problems.Store(&problems)
	if len(problems) > 0 {
		h.log.Error("Rules are refused, the others are in force", zap.Strings("problems", problems))
	}
}

// share is the part of a rule's budget that is this collector's.
func (c *Config) share(r policy.SamplingRule) policy.SamplingRule {
	if r.Budget != nil {
		n := c.collectors()
		r.Budget.PointsPerSecond /= n
		r.Budget.BytesPerSecond /= n
	}
	return r
}

// collectors is among how many targets are divided.
func (c *Config) collectors() float64 {
	if c.TargetScope == ScopeFleet {
		return float64(c.Replicas)
	}
	return 1
}

// shared is the configuration with this collector's share of its targets.
func (c *Config) shared() *Config {
	own, n := *c, c.collectors()
	own.Traces.Target.SpansPerSecond /= n
	own.Traces.Target.PerService /= n
	own.Traces.Target.Services = divided(c.Traces.Target.Services, n)
	own.Logs.Target.RecordsPerSecond /= n
	own.Logs.Target.PerService /= n
	own.Logs.Target.Services = divided(c.Logs.Target.Services, n)
	return &own
}

func divided(targets map[string]float64, by float64) map[string]float64 {
	if targets == nil {
		return nil
	}
	own := make(map[string]float64, len(targets))
	for name, target := range targets {
		own[name] = target / by
	}
	return own
}
