package adaptivesamplerprocessor

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/sampling/budget"
)

// maxSpanBudgets bounds the budgets of spans.
const maxSpanBudgets = 10_000

// spanBudget bounds what goes on of the resources that match. It is immutable but
// for its flow.
type spanBudget struct {
	name     string
	static   bool
	preview  bool
	bytes    bool
	target   float64 // a second
	limits   budget.Policy
	resource []attributeTest
	flow     *budgetFlow
}

// budgetFlow is what a budget measures, and the level that follows from it. It
// goes on when the rules are replaced.
type budgetFlow struct {
	level atomic.Uint64 // bits of a float64
	// Since the start, in the unit of the budget; certain is what of out was kept
	// without chance.
	in, out, certain atomic.Uint64
	offers           offers

	// Below is adjust's, under the lock of the budgets.
	lastIn, lastOut, lastCertain uint64
	shown                        report.SampledBudget // but for what is configured
}

// end ends an interval, and returns what there was in it.
func (f *budgetFlow) end() (in, out, certain float64) {
	nowIn, nowOut, nowCertain := f.in.Load(), f.out.Load(), f.certain.Load()
	in, out, certain = float64(nowIn-f.lastIn), float64(nowOut-f.lastOut), float64(nowCertain-f.lastCertain)
	f.lastIn, f.lastOut, f.lastCertain = nowIn, nowOut, nowCertain
	return in, out, certain
}

func (f *budgetFlow) current() float64 { return math.Float64frombits(f.level.Load()) }

func (f *budgetFlow) set(level float64) { f.level.Store(math.Float64bits(level)) }

func newSpanBudget(r ruleInForce) (*spanBudget, error) {
	c := r.Budget
	b := &spanBudget{
		name: r.Name, static: r.static, preview: r.Mode == policy.ModePreview,
		target: c.PointsPerSecond, bytes: c.BytesPerSecond > 0,
	}
	if b.bytes {
		b.target = c.BytesPerSecond
	}
	if c.Match.Metric != "" {
		return nil, errors.New("budget.match.metric: spans have no metric")
	}
	b.limits = budget.Policy{Target: b.target, Floor: c.Floor, Ceiling: c.Ceiling}
	if err := b.limits.Validate(); err != nil {
		return nil, fmt.Errorf("budget: %w", err)
	}
	for i, condition := range c.Match.Resource {
		test, err := newAttributeTest(condition)
		if err != nil {
			return nil, fmt.Errorf("budget.match.resource[%d].%w", i, err)
		}
		b.resource = append(b.resource, test)
	}
	return b, nil
}

// group is the name of the budget's state: one in another unit is another one.
func (b *spanBudget) group() string { return b.name + "/" + b.unit() }

// The units of budgets.
const (
	unitPoints = "points"
	unitBytes  = "bytes"
)

func (b *spanBudget) unit() string {
	if b.bytes {
		return unitBytes
	}
	return unitPoints
}

// spanRules are the budgets in force. They are read once a batch and immutable.
type spanRules struct {
	budgets []*spanBudget
	sizes   bool // some are in bytes
}

// find returns the first budget for a resource that is enforced, and the first
// that is in preview; -1 for none. One in preview does not hide one that is
// enforced.
func (r *spanRules) find(attributes pcommon.Map) (enforced, preview int) {
	enforced, preview = -1, -1
	for i, b := range r.budgets {
		if b.preview && preview >= 0 || !b.preview && enforced >= 0 || !allHold(b.resource, attributes) {
			continue
		}
		if b.preview {
			preview = i
		} else {
			enforced = i
		}
	}
	return enforced, preview
}

// itemBudgets are the budgets of one signal of items, spans or log records, and
// the controller of their levels.
type itemBudgets struct {
	signal  string
	refuse  func(rule string, err error)
	inForce atomic.Pointer[spanRules] // read once a batch

	mu         sync.Mutex
	controller *budget.Controller
	flows      map[string]*budgetFlow // by group
}

func newItemBudgets(signal string, refuse func(rule string, err error)) (*itemBudgets, error) {
	controller, err := budget.New(maxSpanBudgets)
	if err != nil {
		return nil, err
	}
	b := &itemBudgets{signal: signal, refuse: refuse, controller: controller, flows: map[string]*budgetFlow{}}
	b.inForce.Store(&spanRules{})
	return b, nil
}

// apply replaces the budgets. Those of the same name and unit go on with their
// state.
func (b *itemBudgets) apply(rules []ruleInForce) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next, policies, flows := &spanRules{}, map[string]budget.Policy{}, map[string]*budgetFlow{}
	for _, r := range rules {
		if r.Budget == nil || r.Budget.Signal != b.signal {
			continue
		}
		one, err := newSpanBudget(r)
		if err == nil && len(next.budgets) >= maxSpanBudgets {
			err = fmt.Errorf("more than %d budgets for %s", maxSpanBudgets, b.signal)
		}
		if err != nil {
			b.refuse(r.Name, err)
			continue
		}
		if one.flow = b.flows[one.group()]; one.flow == nil {
			one.flow = &budgetFlow{}
		}
		flows[one.group()], policies[one.group()] = one.flow, one.limits
		next.budgets, next.sizes = append(next.budgets, one), next.sizes || one.bytes
	}
	if err := b.controller.SetPolicies(policies); err != nil { // each is valid, and there are not too many
		b.refuse("", err)
		return
	}
	b.flows = flows
	b.setLevels()
	b.inForce.Store(next)
}

// setLevels takes over what the controller says. The lock is held.
func (b *itemBudgets) setLevels() {
	states := b.controller.States()
	for group, flow := range b.flows {
		flow.set(states[group].Level)
		flow.shown.FloorReached = states[group].Exceeded
	}
}

// step ends an interval of all budgets.
func (b *itemBudgets) step(elapsed time.Duration) {
	seconds := elapsed.Seconds()
	if seconds <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for group, flow := range b.flows {
		in, out, certain := flow.end()
		flow.shown.In, flow.shown.Out = in/seconds, out/seconds
		offered, ratio := flow.offers.end()
		b.controller.Step(group, budget.Reading{In: in * offered, Out: certain + (out-certain)*ratio, Seconds: seconds})
	}
	b.setLevels()
}

// report returns the budgets as they are now.
func (b *itemBudgets) report() (list []report.SampledBudget) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.inForce.Load().budgets {
		s := one.flow.shown
		s.Name, s.Signal, s.Static, s.Unit = one.name, b.signal, one.static, one.unit()
		s.Target, s.Floor, s.Ceiling, s.Level = one.target, one.limits.Floor, one.limits.Ceiling, one.flow.current()
		if s.In > 0 {
			s.Error = s.Out/s.Target - 1
		}
		list = append(list, s)
	}
	return list
}

// budgetsState is what is kept of budgets over a restart.
type budgetsState struct {
	Version int                     `json:"version"`
	Groups  map[string]budget.State `json:"groups"`
}

const budgetsVersion = 1

func (b *itemBudgets) save() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return json.Marshal(budgetsState{Version: budgetsVersion, Groups: b.controller.States()})
}

// restore takes up what save wrote; nil is nothing.
func (b *itemBudgets) restore(saved []byte) error {
	if saved == nil {
		return nil
	}
	var s budgetsState
	if err := json.Unmarshal(saved, &s); err != nil {
		return fmt.Errorf("levels of budgets: %w", err)
	}
	if s.Version != budgetsVersion {
		return fmt.Errorf("levels of budgets: version %d, want %d", s.Version, budgetsVersion)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.controller.Restore(s.Groups)
	b.setLevels()
	return nil
}
