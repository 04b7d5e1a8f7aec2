package adaptivesamplerprocessor

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

func TestKeyPartsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "service.name", "resource.", "span.", "trace.state.", "trace.id", "span"} {
		_, err := parseKeyPart(text)
		require.ErrorIs(t, err, errKeyPart, "%q", text)
	}
	_, err := newKeyPlan([]string{"resource.a", "b", "span.c", ""}, false, series.Secret{})
	require.EqualError(t, err, `traces.key[1]: want resource.x, trace.state.x, span.name, span.kind, span.status or span.x, got "b"
traces.key[3]: want resource.x, trace.state.x, span.name, span.kind, span.status or span.x, got ""`)
}

// keyed is a resource and a span, by the names of key parts.
type keyed struct{ values map[string]string }

func (k keyed) make() (pcommon.Map, ptrace.Span) {
	resource, s := pcommon.NewMap(), ptrace.NewSpan()
	var members []string
	for name, value := range k.values {
		part, _ := parseKeyPart(name)
		switch part.kind {
		case kindResource:
			resource.PutStr(part.name, value)
		case kindTraceState:
			members = append(members, part.name+"="+value)
		case kindName:
			s.SetName(value)
		case kindKind:
			s.SetKind(map[string]ptrace.SpanKind{"Server": ptrace.SpanKindServer, "Client": ptrace.SpanKindClient}[value])
		case kindStatus:
			s.Status().SetCode(map[string]ptrace.StatusCode{"error": ptrace.StatusCodeError, "ok": ptrace.StatusCodeOk}[value])
		case kindAttribute:
			s.Attributes().PutStr(part.name, value)
		}
	}
	s.TraceState().FromRaw(strings.Join(members, ","))
	return resource, s
}

// id is what find computes.
func (p *keyPlan) id(resource pcommon.Map, s ptrace.Span) (uint64, bool) {
	var states stateParts
	a, first := p.resource(resource)
	b, second := p.span(s)
	c, third := p.traceState(s.TraceState().AsRaw(), &states)
	return a + b + c, first || second || third
}

var allParts = []string{
	"resource.service.name", "resource.env", "trace.state.tenant", "span.name", "span.kind", "span.status", "span.http.route",
}

// TestKeysDifferExactlyInTheirParts compares identities with what the values are.
func TestKeysDifferExactlyInTheirParts(t *testing.T) {
	values := map[string][]string{"span.kind": {"Server", "Client"}, "span.status": {"error", "ok"}}
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom(allParts), 1, -1, rapid.ID[string]).Draw(t, "parts")
		p, err := newKeyPlan(names, false, series.Secret{})
		require.NoError(t, err)
		draw := func(label string) keyed {
			k := keyed{map[string]string{}}
			for _, name := range allParts {
				from := values[name]
				if from == nil {
					from = []string{"a", "b"}
				}
				k.values[name] = rapid.SampledFrom(from).Draw(t, label+" "+name)
			}
			return k
		}
		one, other := draw("one"), draw("other")
		a, missing := p.id(one.make())
		require.False(t, missing)
		b, _ := p.id(other.make())
		same := true
		for _, name := range names {
			same = same && one.values[name] == other.values[name]
		}
		require.Equal(t, same, a == b)
		la, lb := p.label(one.make()), p.label(other.make())
		require.Equal(t, same, la == lb, "labels %q and %q", la, lb)
	})
}

func TestKeyThatIsMissingCountsAsEmpty(t *testing.T) {
	for _, name := range allParts {
		p, err := newKeyPlan([]string{name}, false, series.Secret{})
		require.NoError(t, err)
		none, missing := p.id(keyed{}.make())
		part, _ := parseKeyPart(name)
		assert.Equal(t, part.kind != kindName && part.kind != kindKind && part.kind != kindStatus, missing, name)
		if part.kind != kindResource && part.kind != kindAttribute {
			continue
		}
		empty, missing := p.id(keyed{map[string]string{name: ""}}.make())
		assert.False(t, missing, name)
		assert.Equal(t, none, empty, name)
	}
}

func TestValuesOfKeysAreTyped(t *testing.T) {
	p, err := newKeyPlan([]string{"resource.port"}, false, series.Secret{})
	require.NoError(t, err)
	one, other := pcommon.NewMap(), pcommon.NewMap()
	one.PutInt("port", 80)
	other.PutStr("port", "80")
	a, _ := p.resource(one)
	b, _ := p.resource(other)
	assert.NotEqual(t, a, b)
	assert.Equal(t, "80", p.label(one, ptrace.NewSpan()))
}

func TestSecretsGiveOtherIdentities(t *testing.T) {
	resource, s := keyed{map[string]string{"resource.env": "a"}}.make()
	one, err := newKeyPlan([]string{"resource.env"}, false, series.NewSecret())
	require.NoError(t, err)
	other, err := newKeyPlan([]string{"resource.env"}, false, series.NewSecret())
	require.NoError(t, err)
	a, _ := one.id(resource, s)
	b, _ := other.id(resource, s)
	assert.NotEqual(t, a, b)
}

func TestLabelsAreBounded(t *testing.T) {
	p, err := newKeyPlan([]string{"resource.a"}, false, series.Secret{})
	require.NoError(t, err)
	resource := pcommon.NewMap()
	for _, long := range []string{strings.Repeat("ü", 1000), strings.Repeat("x", 1000), strings.Repeat("\x80", 1000)} {
		resource.PutStr("a", long)
		label := p.label(resource, ptrace.NewSpan())
		assert.LessOrEqual(t, len(label), longestKeyValue+len("…"))
		assert.True(t, utf8.ValidString(label))
	}
	p, err = newKeyPlan([]string{"resource.service.name", "span.name"}, false, series.Secret{})
	require.NoError(t, err)
	resource.PutStr("service.name", "checkout")
	s := ptrace.NewSpan()
	s.SetName("GET /orders")
	assert.Equal(t, "resource.service.name=checkout, span.name=GET /orders", p.label(resource, s))
}

// TestMemberOfATraceState remembers a few, and reads the others again.
func TestMemberOfATraceState(t *testing.T) {
	p, err := newKeyPlan([]string{"trace.state.tenant"}, false, series.Secret{})
	require.NoError(t, err)
	var c stateParts
	want := map[string]uint64{}
	for range 3 {
		for i := range 2 * rememberedStates {
			state := fmt.Sprintf("tenant=t%d,ot=th:8", i)
			sum, missing := p.traceState(state, &c)
			require.False(t, missing)
			if before, seen := want[state]; seen {
				require.Equal(t, before, sum)
			}
			want[state] = sum
		}
	}
	bare, missing := p.traceState("tenant=t1", &c)
	assert.False(t, missing)
	assert.Equal(t, want["tenant=t1,ot=th:8"], bare)
	for _, state := range []string{"", "other=t1", "tenant=t1,,==", "ot=th:8"} {
		_, missing := p.traceState(state, &c)
		assert.True(t, missing, state)
	}
}

// TestKeysWithoutAttributes share one key, and are counted.
func TestKeysWithoutAttributes(t *testing.T) {
	tel := componenttest.NewTelemetry()
	r := newSpanRigOf(t, "traces: {key: [resource.team, trace.state.tenant], target: {spans_per_second: 100}}", nil, tel.NewTelemetrySettings())
	random := newTraffic(1)
	for _, service := range []string{"checkout", "cart"} {
		r.send(random.withStates(service, 10, "", "ot=th:0"))
	}
	assert.EqualValues(t, 1, r.part().rates.Stats().Keys)
	assert.EqualValues(t, 20, itemCounters(t, tel)["irregular no_key"])
	r.end()
	require.NoError(t, tel.Shutdown(context.WithoutCancel(t.Context())))
}

// TestServicesHaveKeysOfTheirOwn if there are targets for services.
func TestServicesHaveKeysOfTheirOwn(t *testing.T) {
	f := func(yaml string, keys int) {
		t.Helper()
		r := newSpanRig(t, yaml, nil)
		defer r.end()
		random := newTraffic(1)
		for _, service := range []string{"checkout", "cart"} {
			r.send(random.withStates(service, 10, "tenant=a"))
		}
		assert.EqualValues(t, keys, r.part().rates.Stats().Keys, yaml)
	}
	f("traces: {key: [trace.state.tenant], target: {spans_per_second: 100}}", 1)
	f("traces: {key: [trace.state.tenant], target: {per_service: 100}}", 2)
	f("traces: {key: [trace.state.tenant], target: {spans_per_second: 100, services: {cart: 5}}}", 2)
	f("traces: {key: [trace.state.tenant, resource.service.name], target: {per_service: 100}}", 2)
}
