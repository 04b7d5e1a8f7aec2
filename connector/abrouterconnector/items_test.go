package abrouterconnector

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/routing"
)

func traceID(n uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[:], n*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// spans has resources of a service with so many spans each; those of one trace
// are spread over the resources.
func spans(service string, resources, each int) ptrace.Traces {
	td := ptrace.NewTraces()
	for r := range resources {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		rs.Resource().Attributes().PutInt("instance", int64(r))
		rs.SetSchemaUrl("https://example.com/resource")
		ss := rs.ScopeSpans().AppendEmpty()
		ss.SetSchemaUrl("https://example.com/scope")
		ss.Scope().SetName("library")
		for i := range each {
			s := ss.Spans().AppendEmpty()
			s.SetTraceID(traceID(uint64(i) + 1))
			s.SetSpanID(pcommon.SpanID{byte(r), byte(i), 1})
			s.SetName("GET /" + strconv.Itoa(i%3))
			s.Attributes().PutStr("user", "u"+strconv.Itoa(i%7))
		}
	}
	return td
}

// records are spans of the shop as log records.
func records(resources, each int) plog.Logs {
	ld := plog.NewLogs()
	for r := range resources {
		rl := ld.ResourceLogs().AppendEmpty()
		rl.Resource().Attributes().PutStr("service.name", "shop")
		rl.Resource().Attributes().PutInt("instance", int64(r))
		sl := rl.ScopeLogs().AppendEmpty()
		for i := range each {
			l := sl.LogRecords().AppendEmpty()
			l.SetTraceID(traceID(uint64(i) + 1))
			l.Body().SetStr("line " + strconv.Itoa(i))
			l.Attributes().PutStr("user", "u"+strconv.Itoa(i%7))
		}
	}
	return ld
}

func traceRoute(weight int) policy.Route {
	route := splitRoute("shop", weight)
	route.Signal, route.Unit = signalTraces, "trace"
	return route
}

// viewOf compiles routes.
func viewOf(tb require.TestingT, signal string, routes ...policy.Route) *view {
	c := compiler{config: testConfig(nil), signal: signal}
	for i := range routes {
		routes[i].Signal = signal
	}
	v, _, err := c.compile(&policy.Snapshot{Version: 1, Routes: routes}, time.Now())
	require.NoError(tb, err)
	return v
}

// flat is every span with all that is around it, and its trace.
func flat(list ...ptrace.Traces) (lines []string, byTrace map[pcommon.TraceID]int) {
	byTrace = map[pcommon.TraceID]int{}
	for _, td := range list {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					byTrace[s.TraceID()]++
					lines = append(lines, fmt.Sprint(rs.SchemaUrl(), rs.Resource().Attributes().AsRaw(), ss.SchemaUrl(), ss.Scope().Name(), s.Name(), s.TraceID(), s.SpanID(), s.Attributes().AsRaw()))
				}
			}
		}
	}
	return lines, byTrace
}

// Every span is in one arm as it was; the spans of a trace are in one arm, in
// whatever batch and resource they come.
func TestTracesAreWhole(t *testing.T) {
	v := viewOf(t, signalTraces, traceRoute(50))
	var counts tally
	in := map[pcommon.TraceID]side{}
	for batch := range 3 {
		td := spans("shop", 4, 200)
		want, _ := flat(td)
		counts.reset()
		p := divideTraces(v, td, time.Now(), &counts)
		got, _ := flat(p.data[toBaseline], p.data[toCandidate])
		require.ElementsMatch(t, want, got)
		for of := range sides {
			_, traces := flat(p.data[of])
			points := 0
			for id, n := range traces {
				before, known := in[id]
				require.True(t, !known || before == of, "batch %d", batch)
				require.Equal(t, 4, n)
				in[id] = of
				points += n
			}
			require.Equal(t, points, counts.total(of))
		}
	}
	require.Len(t, in, 200)
	candidates := 0
	for _, of := range in {
		candidates += int(of)
	}
	require.InDelta(t, 100, candidates, 40) // 5.6 standard deviations
	a := v.routes[0].state.assigned.Load()
	require.EqualValues(t, candidates, a.units[toCandidate].len())
	require.EqualValues(t, 200-candidates, a.units[toBaseline].len())
}

// What is divided adds up, for every unit, scope and weight, and where it goes is
// what routing says of each item.
func TestItemsAreDividedAsRoutingSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		route := traceRoute(rapid.SampledFrom([]int{0, 1, 25, 50, 99, 100}).Draw(t, "weight"))
		route.Unit = rapid.SampledFrom([]string{"resource", "trace", "attribute"}).Draw(t, "unit")
		if route.Unit == "attribute" {
			route.Attribute = rapid.SampledFrom([]string{"user", "point.user", "resource.instance", "resource.none", "scope.x", "instance"}).Draw(t, "attribute")
		}
		if rapid.Bool().Draw(t, "point scope") {
			route.Scope["point.user"] = "u3"
		}
		mixed := spans("shop", rapid.IntRange(0, 3).Draw(t, "shops"), rapid.IntRange(0, 30).Draw(t, "spans"))
		spans("cart", rapid.IntRange(0, 2).Draw(t, "carts"), 5).ResourceSpans().MoveAndAppendTo(mixed.ResourceSpans())
		v := viewOf(t, signalTraces, route)
		want := map[string]side{}
		order, _ := flat(mixed)
		for _, rs := range mixed.ResourceSpans().All() {
			for _, s := range allSpans(rs) {
				one := ptrace.NewTraces()
				rs.Resource().CopyTo(one.ResourceSpans().AppendEmpty().Resource())
				to := toBaseline
				match := v.table.Resource(rs.Resource().Attributes())
				if e := match.Point(s.Attributes()); e != nil {
					if unit, has := unitOfItem(e, rs.Resource().Attributes(), pcommon.NewMap(), s.Attributes(), s.TraceID()); has && routing.Candidate(unit, route.Weight) {
						to = toCandidate
					}
				}
				want[s.SpanID().String()+rs.Resource().Attributes().AsRaw()["service.name"].(string)] = to
			}
		}
		var counts tally
		p := divideTraces(v, mixed, time.Now(), &counts)
		var parts []ptrace.Traces
		for of := range sides {
			if !p.has[of] {
				require.Zero(t, p.data[of].SpanCount())
				continue
			}
			parts = append(parts, p.data[of])
			for _, rs := range p.data[of].ResourceSpans().All() {
				for _, s := range allSpans(rs) {
					require.Equal(t, want[s.SpanID().String()+rs.Resource().Attributes().AsRaw()["service.name"].(string)], of)
				}
			}
		}
		got, _ := flat(parts...)
		require.ElementsMatch(t, order, got)
		if !p.has[toCandidate] {
			require.Equal(t, order, got)
		}
	})
}

func allSpans(rs ptrace.ResourceSpans) (list []ptrace.Span) {
	for _, ss := range rs.ScopeSpans().All() {
		for _, s := range ss.Spans().All() {
			list = append(list, s)
		}
	}
	return list
}

// Spans and log records without a trace belong to no unit.
func TestItemsWithoutATrace(t *testing.T) {
	td, ld := spans("shop", 1, 10), records(1, 10)
	for _, s := range allSpans(td.ResourceSpans().At(0)) {
		s.SetTraceID(pcommon.NewTraceIDEmpty())
	}
	for _, l := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		l.SetTraceID(pcommon.NewTraceIDEmpty())
	}
	var counts tally
	p := divideTraces(viewOf(t, signalTraces, traceRoute(100)), td, time.Now(), &counts)
	require.False(t, p.has[toCandidate])
	require.Equal(t, 10, p.data[toBaseline].SpanCount())
	counts.reset()
	q := divideLogs(viewOf(t, signalLogs, traceRoute(100)), ld, time.Now(), &counts)
	require.False(t, q.has[toCandidate])
	require.Equal(t, 10, q.data[toBaseline].LogRecordCount())
	require.Equal(t, 10, counts.total(toBaseline))
}

// Logs go where the spans of their trace go.
func TestLogsGoWithTheirTraces(t *testing.T) {
	var counts tally
	for _, weight := range []int{0, 1, 50, 99, 100} {
		td, ld := spans("shop", 2, 300), records(2, 300)
		counts.reset()
		p := divideTraces(viewOf(t, signalTraces, traceRoute(weight)), td, time.Now(), &counts)
		counts.reset()
		q := divideLogs(viewOf(t, signalLogs, traceRoute(weight)), ld, time.Now(), &counts)
		for of := range sides {
			_, traces := flat(p.data[of])
			logs := map[pcommon.TraceID]int{}
			for _, rl := range q.data[of].ResourceLogs().All() {
				for _, sl := range rl.ScopeLogs().All() {
					for _, l := range sl.LogRecords().All() {
						logs[l.TraceID()]++
					}
				}
			}
			require.Equal(t, traces, logs)
		}
	}
}

// itemRig has a connector of traces and one of logs.
type itemRig struct {
	traces [sides]tracesSink
	logs   [sides]logsSink
	plane  *plane
	td     connector.Traces
	ld     connector.Logs
}

func newItemRig(t *testing.T) *itemRig {
	t.Helper()
	r, set := &itemRig{plane: newPlane()}, newRig(t)
	id := pipeline.NewIDWithName
	var err error
	r.td, err = NewFactory().CreateTracesToTraces(t.Context(), set.settings(), testConfig(nil), connector.NewTracesRouter(map[pipeline.ID]consumer.Traces{
		id(pipeline.SignalTraces, "baseline"): &r.traces[toBaseline], id(pipeline.SignalTraces, "candidate"): &r.traces[toCandidate],
	}))
	require.NoError(t, err)
	r.ld, err = NewFactory().CreateLogsToLogs(t.Context(), set.settings(), testConfig(nil), connector.NewLogsRouter(map[pipeline.ID]consumer.Logs{
		id(pipeline.SignalLogs, "baseline"): &r.logs[toBaseline], id(pipeline.SignalLogs, "candidate"): &r.logs[toCandidate],
	}))
	require.NoError(t, err)
	return r
}

func (r *itemRig) start(t *testing.T) {
	t.Helper()
	require.NoError(t, r.td.Start(t.Context(), host{controlID: r.plane}))
	require.NoError(t, r.ld.Start(t.Context(), host{controlID: r.plane}))
}

func (r *itemRig) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, r.td.Shutdown(context.Background()))
	require.NoError(t, r.ld.Shutdown(context.Background()))
}

// Traces and logs through the connector: what an experiment of another signal says
// is not theirs, a candidate that is down costs nothing, a mirror gets copies.
func TestTracesAndLogs(t *testing.T) {
	f := func(mode string, down, mutates bool) {
		t.Helper()
		r := newItemRig(t)
		for of := range sides {
			r.traces[of].mutates, r.logs[of].mutates = mutates, mutates
		}
		if down {
			r.traces[toCandidate].before = func(context.Context, ptrace.Traces) error { return errDown }
			r.logs[toCandidate].before = func(context.Context, plog.Logs) error { return errDown }
		}
		tr, lr := traceRoute(50), traceRoute(50)
		if mode == modeMirror {
			tr, lr = mirrorRoute("shop"), mirrorRoute("shop")
		}
		tr.Signal, lr.Signal = signalTraces, signalLogs
		tr.Experiment, lr.Experiment = "team/traces", "team/logs"
		r.plane.publish(nil, tr, lr, splitRoute("shop", 100))
		r.start(t)
		mixed := spans("shop", 2, 50)
		spans("cart", 1, 7).ResourceSpans().MoveAndAppendTo(mixed.ResourceSpans())
		wantTraces, _ := flat(mixed)
		require.NoError(t, r.td.ConsumeTraces(t.Context(), mixed))
		require.NoError(t, r.ld.ConsumeLogs(t.Context(), records(2, 50)))
		require.NoError(t, r.td.ConsumeTraces(t.Context(), spans("shop", 1, 10)))
		require.NoError(t, r.ld.ConsumeLogs(t.Context(), records(1, 10)))
		r.stop(t)
		baseline, _ := flat(r.traces[toBaseline].got()...)
		candidate, _ := flat(r.traces[toCandidate].got()...)
		more, _ := flat(spans("shop", 1, 10))
		switch mode {
		case modeMirror:
			require.Equal(t, append(slices.Clone(wantTraces), more...), baseline)
			if !down {
				shop, _ := flat(spans("shop", 2, 50))
				require.Equal(t, append(shop, more...), candidate)
			}
		default:
			require.ElementsMatch(t, append(slices.Clone(wantTraces), more...), append(slices.Clone(baseline), candidate...))
		}
		require.Equal(t, down, len(candidate) == 0)
		logs := [sides]int{}
		for of := range sides {
			for _, ld := range r.logs[of].got() {
				logs[of] += ld.LogRecordCount()
			}
		}
		switch {
		case down:
			require.Equal(t, [sides]int{110, 0}, logs)
		case mode == modeMirror:
			require.Equal(t, [sides]int{110, 110}, logs)
		default:
			require.Equal(t, 110, logs[toBaseline]+logs[toCandidate])
			require.Positive(t, logs[toCandidate])
		}
	}
	for _, mode := range []string{modeSplit, modeMirror} {
		for _, down := range []bool{false, true} {
			for _, mutates := range []bool{false, true} {
				f(mode, down, mutates)
			}
		}
	}
}

// Items outside a mirror's scope are not copied.
func TestMirroredItems(t *testing.T) {
	route := mirrorRoute("shop")
	route.Scope["point.user"] = "u3"
	td, ld := spans("shop", 2, 14), records(2, 14)
	spans("cart", 1, 7).ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	copied, rows, whole := mirroredTraces(viewOf(t, signalTraces, route), td, time.Now())
	require.False(t, whole)
	require.Equal(t, 4, copied.SpanCount())
	require.Equal(t, 4, rows[0].points)
	require.Equal(t, 35, td.SpanCount())
	_, traces := flat(copied)
	require.Len(t, traces, 2)
	logs, rows, whole := mirroredLogs(viewOf(t, signalLogs, route), ld, time.Now())
	require.False(t, whole)
	require.Equal(t, 4, logs.LogRecordCount())
	require.Equal(t, 4, rows[0].points)
}
