package adaptivesamplerprocessor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/match"
)

// keepPlan are the conditions under which spans keep the threshold that they came
// with. They are looked at from the cheapest to the dearest, and the first that
// holds names the reason. It is immutable.
type keepPlan struct {
	status   [3]bool         // by status code
	over     time.Duration   // 0: none
	quantile float64         // 0: none
	resource []attributeTest // one suffices
	span     []attributeTest // one suffices
}

func newKeepPlan(list []KeepSpans) (*keepPlan, error) {
	p := &keepPlan{}
	var errs error
	for i, k := range list {
		if err := p.add(k); err != nil {
			errs = errors.Join(errs, fmt.Errorf("traces.keep[%d].%w", i, err))
		}
	}
	return p, errs
}

// add adds a condition. Of several limits the lowest holds for all.
func (p *keepPlan) add(k KeepSpans) error {
	switch {
	case k.Status != "":
		for code := range p.status {
			if statusText(ptrace.StatusCode(code)) == k.Status {
				p.status[code] = true
				return nil
			}
		}
		return fmt.Errorf("status: want %s, %s or %s, got %q", statusError, statusOK, statusUnset, k.Status)
	case k.Latency != nil:
		if d := k.Latency.Over; d > 0 && (p.over == 0 || d < p.over) {
			p.over = d
		}
		if q := k.Latency.Quantile; q > 0 && (p.quantile == 0 || q < p.quantile) {
			p.quantile = q
		}
		return nil
	case k.Attribute != nil:
		c := *k.Attribute
		list := &p.span
		if key, ok := strings.CutPrefix(c.Attribute, keyOfResource); ok {
			c.Attribute, list = key, &p.resource
		}
		test, err := newAttributeTest(c)
		if err != nil {
			return fmt.Errorf("attribute.%w", err)
		}
		*list = append(*list, test)
	}
	return nil
}

// needsTime says that it is looked at how long spans took.
func (p *keepPlan) needsTime() bool { return p.over > 0 || p.quantile > 0 }

func (p *keepPlan) keepsResource(attributes pcommon.Map) bool {
	return len(p.resource) > 0 && anyHolds(p.resource, attributes)
}

func (p *keepPlan) keepsSpan(s ptrace.Span) bool {
	return len(p.span) > 0 && anyHolds(p.span, s.Attributes())
}

func (p *keepPlan) keepsStatus(s ptrace.Span) bool {
	code := s.Status().Code()
	return code >= 0 && int(code) < len(p.status) && p.status[code]
}

// duration is how long a span took; false if that cannot be said: it lacks a
// time, or ends before it begins, for which odd is not empty.
func duration(s ptrace.Span) (d time.Duration, odd reason) {
	start, end := s.StartTimestamp(), s.EndTimestamp()
	switch {
	case start == 0 || end == 0:
		return 0, reasonNoTime
	case end < start:
		return 0, reasonTimeBackwards
	case end-start > 1<<63-1:
		return 1<<63 - 1, ""
	}
	return time.Duration(end - start), "" //nolint:gosec // bounded above
}

// attributeTest is a policy.Condition, compiled.
type attributeTest struct {
	key     string
	present bool // wanted, if there is no pattern
	any     bool // there is no pattern
	pattern match.Pattern
}

func newAttributeTest(c policy.Condition) (attributeTest, error) {
	if c.Present != nil {
		return attributeTest{key: c.Attribute, any: true, present: *c.Present}, nil
	}
	pattern, err := match.Compile(c.Value)
	if err != nil {
		return attributeTest{}, fmt.Errorf("value: %w", err)
	}
	return attributeTest{key: c.Attribute, pattern: pattern}, nil
}

// holds copies no strings; other values become text.
func (t *attributeTest) holds(attributes pcommon.Map) bool {
	value, there := attributes.Get(t.key)
	if t.any {
		return there == t.present
	}
	if !there {
		return false
	}
	if value.Type() == pcommon.ValueTypeStr {
		return t.pattern.Match(value.Str())
	}
	return t.pattern.Match(value.AsString())
}

func anyHolds(tests []attributeTest, attributes pcommon.Map) bool {
	for i := range tests {
		if tests[i].holds(attributes) {
			return true
		}
	}
	return false
}

func allHold(tests []attributeTest, attributes pcommon.Map) bool {
	for i := range tests {
		if !tests[i].holds(attributes) {
			return false
		}
	}
	return true
}
