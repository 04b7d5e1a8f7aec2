package adaptivesamplerprocessor

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// What the names of keys begin with.
const (
	serviceName      = "service.name"
	keyOfResource    = "resource."
	keyOfTraceState  = "trace.state."
	keyOfSpan        = "span."
	keySpanName      = "span.name"
	keySpanKind      = "span.kind"
	keySpanStatus    = "span.status"
	longestKeyValue  = 64 // bytes of a value in the text of a key
	rememberedStates = 4  // trace states of which members are remembered within a batch
)

// keyPlan says what spans are told apart by. It is immutable.
//
// The identity of a key is the sum of a keyed hash of each of its parts, as that
// of a series is: what comes from the resource is added up once a resource, and
// nothing is sorted, copied or allocated.
type keyPlan struct {
	hasher *series.Hasher
	// ofResource is looked at once a resource, the others at each span.
	ofResource, ofTraceState, ofSpan []keyPart
	parts                            []keyPart // all, in the order of the configuration
}

type keyPart struct {
	text string // as configured
	name string // of the attribute, or of the member of the trace state
	kind keyKind
	seed series.Seed
}

type keyKind uint8

const (
	kindResource keyKind = iota
	kindTraceState
	kindName
	kindKind
	kindStatus
	kindAttribute
)

// newKeyPlan compiles the names of keys. With byService spans of different
// services are different keys, whatever the others say.
func newKeyPlan(names []string, byService bool, secret series.Secret) (*keyPlan, error) {
	p := &keyPlan{hasher: series.NewHasher(secret)}
	var errs error
	service := false
	for i, text := range names {
		part, err := parseKeyPart(text)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("traces.key[%d]: %w", i, err))
			continue
		}
		service = service || part.kind == kindResource && part.name == serviceName
		p.add(part)
	}
	if byService && !service {
		p.add(keyPart{text: keyOfResource + serviceName, name: serviceName, kind: kindResource})
	}
	return p, errs
}

func (p *keyPlan) add(part keyPart) {
	switch part.kind {
	case kindResource:
		part.seed = p.hasher.Seed(series.Resource, part.name)
		p.ofResource = append(p.ofResource, part)
	case kindTraceState:
		part.seed = p.hasher.Seed(series.Scope, part.text)
		p.ofTraceState = append(p.ofTraceState, part)
	case kindName, kindKind, kindStatus:
		part.seed = p.hasher.Seed(series.Scope, part.text)
		p.ofSpan = append(p.ofSpan, part)
	case kindAttribute:
		part.seed = p.hasher.Seed(series.Point, part.name)
		p.ofSpan = append(p.ofSpan, part)
	}
	p.parts = append(p.parts, part)
}

var errKeyPart = errors.New("want resource.x, trace.state.x, span.name, span.kind, span.status or span.x")

func parseKeyPart(text string) (keyPart, error) {
	part := keyPart{text: text}
	switch {
	case text == keySpanName:
		part.kind = kindName
	case text == keySpanKind:
		part.kind = kindKind
	case text == keySpanStatus:
		part.kind = kindStatus
	case strings.HasPrefix(text, keyOfResource):
		part.kind, part.name = kindResource, text[len(keyOfResource):]
	case strings.HasPrefix(text, keyOfTraceState):
		part.kind, part.name = kindTraceState, text[len(keyOfTraceState):]
	case strings.HasPrefix(text, keyOfSpan):
		part.kind, part.name = kindAttribute, text[len(keyOfSpan):]
	default:
		return part, fmt.Errorf("%w, got %q", errKeyPart, text)
	}
	if part.name == "" && part.kind != kindName && part.kind != kindKind && part.kind != kindStatus {
		return part, fmt.Errorf("%w, got %q", errKeyPart, text)
	}
	return part, nil
}

// onlyResource says that all spans of a resource have one key.
func (p *keyPlan) onlyResource() bool { return len(p.ofTraceState) == 0 && len(p.ofSpan) == 0 }

// resource returns what a resource adds to the identity of a key, and whether
// something that it should have is missing, which counts as the empty text.
func (p *keyPlan) resource(attributes pcommon.Map) (sum uint64, missing bool) {
	for i := range p.ofResource {
		part := &p.ofResource[i]
		v, there := attributes.Get(part.name)
		missing = missing || !there
		sum += p.attribute(part.seed, v, there)
	}
	return sum, missing
}

func (p *keyPlan) attribute(seed series.Seed, v pcommon.Value, there bool) uint64 {
	if !there {
		return p.hasher.SeededString(seed, "")
	}
	return p.hasher.Seeded(seed, v)
}

// span returns what a span adds itself.
func (p *keyPlan) span(s ptrace.Span) (sum uint64, missing bool) {
	for i := range p.ofSpan {
		part := &p.ofSpan[i]
		switch part.kind {
		case kindName:
			sum += p.hasher.SeededString(part.seed, s.Name())
		case kindKind:
			sum += p.hasher.SeededString(part.seed, s.Kind().String())
		case kindStatus:
			sum += p.hasher.SeededString(part.seed, statusText(s.Status().Code()))
		case kindAttribute:
			v, there := s.Attributes().Get(part.name)
			missing = missing || !there
			sum += p.attribute(part.seed, v, there)
		case kindResource, kindTraceState: // are elsewhere
		}
	}
	return sum, missing
}

// stateParts remembers what the last few trace states add to keys.
type stateParts struct {
	known [rememberedStates]statePart
	next  int
}

type statePart struct {
	text    string
	sum     uint64
	missing bool
	used    bool
}

func (c *stateParts) reset() { *c = stateParts{} }

// traceState returns what a trace state adds.
func (p *keyPlan) traceState(text string, c *stateParts) (sum uint64, missing bool) {
	for i := range c.known {
		if k := &c.known[i]; k.used && k.text == text {
			return k.sum, k.missing
		}
	}
	for i := range p.ofTraceState {
		part := &p.ofTraceState[i]
		value, there := member(text, part.name)
		missing = missing || !there
		sum += p.hasher.SeededString(part.seed, value)
	}
	c.known[c.next] = statePart{text: text, sum: sum, missing: missing, used: true}
	c.next = (c.next + 1) % len(c.known)
	return sum, missing
}

// member returns the value of a member of a trace state. One that cannot be read
// has none.
func member(text, name string) (string, bool) {
	if text == "" {
		return "", false
	}
	state, err := sampling.NewW3CTraceState(text)
	if err != nil {
		return "", false
	}
	for _, kv := range state.ExtraValues() {
		if kv.Key == name {
			return kv.Value, true
		}
	}
	return "", false
}

// label is what a key is, for people: its values if there is one part, else each
// with its name.
func (p *keyPlan) label(resource pcommon.Map, s ptrace.Span) string {
	var b strings.Builder
	for i := range p.parts {
		part := &p.parts[i]
		value := part.value(resource, s)
		if len(p.parts) == 1 {
			return bounded(value)
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(part.text)
		b.WriteByte('=')
		b.WriteString(bounded(value))
	}
	return b.String()
}

func (part *keyPart) value(resource pcommon.Map, s ptrace.Span) string {
	switch part.kind {
	case kindName:
		return s.Name()
	case kindKind:
		return s.Kind().String()
	case kindStatus:
		return statusText(s.Status().Code())
	case kindTraceState:
		value, _ := member(s.TraceState().AsRaw(), part.name)
		return value
	case kindAttribute:
		resource = s.Attributes()
	case kindResource:
	}
	return text(resource, part.name)
}

// text is an attribute as text, empty if it is missing. Strings are not copied.
func text(attributes pcommon.Map, key string) string {
	v, there := attributes.Get(key)
	if !there {
		return ""
	}
	if v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return v.AsString()
}

// bounded cuts a long value, not within a character.
func bounded(value string) string {
	if len(value) <= longestKeyValue {
		return strings.Clone(value)
	}
	end := longestKeyValue
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end] + "…"
}

// The texts of a status.
const (
	statusUnset = "unset"
	statusOK    = "ok"
	statusError = "error"
)

func statusText(code ptrace.StatusCode) string {
	switch code {
	case ptrace.StatusCodeOk:
		return statusOK
	case ptrace.StatusCodeError:
		return statusError
	default:
		return statusUnset
	}
}
