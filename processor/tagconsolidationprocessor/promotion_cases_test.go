package tagconsolidationprocessor

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/processor/tagconsolidationprocessor/internal/metadata"
)

// Several experiments, of several rules each, may be promoted at one edge; others
// go on.
func TestSeveralPromotionsAtOneEdge(t *testing.T) {
	bytes, requests := dropPodOfAll, dropPodOfAll
	bytes.Name, bytes.Match.Metric = "bytes", "bytes"
	requests.Name, requests.Match.Metric = "requests", "requests"
	x, xCommon := experimentRules("default/x", bytes, requests)
	errors := dropPodOfAll
	errors.Match.Metric = "errors"
	y, yCommon := experimentRules("default/y", errors)
	stays := dropPodOfAll
	stays.Match.Metric = "stays"
	z, _ := experimentRules("default/z", stays)
	a := newArms(t, "writer: none")
	a.has(append(append(x, y...), z...)...)
	a.split = true
	a.begin()
	send := func(second, value int) {
		a.at(second)
		for _, metric := range []string{"bytes", "requests", "errors", "stays"} {
			for _, pod := range []string{"a", "b"} {
				a.send(fmt.Sprintf("resource{service.name=shop} counter %s {pod=%s} 0s..%ds %d", metric, pod, second, value))
			}
		}
	}
	send(5, 10)
	require.Len(t, a.edge(true), 4)
	a.has(append(append(xCommon, yCommon...), z...)...)
	a.looks()
	send(15, 20)
	require.Len(t, a.edge(true), 4)
	require.Equal(t, 6, a.common.engine.Stats().Inputs)
	require.Equal(t, 2, a.candidate.engine.Stats().Inputs)
	send(25, 30)
	require.Equal(t, []string{
		"resource{service.name=shop} counter bytes 0s..30s 60",
		"resource{service.name=shop} counter errors 0s..30s 60",
		"resource{service.name=shop} counter requests 0s..30s 60",
		"resource{service.name=shop} counter stays 0s..30s 60",
	}, a.edge(true))
}

// The kill switch after a promotion was decided: before its edge the candidate's
// output ends as it does at a rollback, after it the common one's does.
func TestPromotionAndKillSwitch(t *testing.T) {
	for _, handedOver := range []bool{false, true} {
		t.Run(fmt.Sprint("handed over: ", handedOver), func(t *testing.T) {
			candidate, common := experimentRules("default/x", dropPodOfAll)
			a := newArms(t, "writer: none").stored()
			a.has(candidate...)
			a.split = true
			a.begin()
			a.at(5)
			a.send("resource{service.name=shop} counter requests {pod=a} 0s..5s 100")
			a.edge(true)
			a.has(common...)
			a.looks()
			if handedOver {
				a.edge(true)
			}
			a.now = a.now.Add(5 * time.Second)
			a.has()
			a.control.snapshot.Urgent = true
			a.looks()
			a.exported = nil
			<-a.common.early
			<-a.candidate.early
			a.candidate.turn(t.Context(), nanos(a.now))
			a.common.turn(t.Context(), nanos(a.now))
			shown := a.shown()
			require.Len(t, shown, 1)
			require.Regexp(t, `^resource\{service.name=shop\} counter requests 0s..\S+ stale$`, shown[0])
			a.split = false
			a.now = a.now.Add(time.Second)
			line := fmt.Sprintf("resource{service.name=shop} counter requests {pod=a} 0s..%s 101", writeDuration(a.now.Sub(epoch)))
			a.send(line)
			require.Equal(t, []string{line}, a.shown())
		})
	}
}

// Without anybody who takes it a rule that was promoted ends as one that is gone.
func TestNobodyComesForARule(t *testing.T) {
	candidate, common := experimentRules("default/x", dropPodOfAll)
	a := newArms(t, "writer: none")
	a.has(candidate...)
	a.split = true
	a.begin()
	a.at(5)
	a.send("resource{service.name=shop} counter requests {pod=a} 0s..5s 100")
	a.edge(true)
	a.has(common...)
	a.candidate.poll(t.Context()) // the common processor does not look
	require.Empty(t, a.edge(true))
	a.at(25)
	a.send("resource{service.name=shop} counter requests {pod=a} 0s..25s 103")
	require.Equal(t, []string{"resource{service.name=shop} counter requests 0s..30s 103"}, a.edge(true), "two intervals long it waits")
	a.at(35)
	a.send("resource{service.name=shop} counter requests {pod=a} 0s..35s 104")
	require.Equal(t, []string{
		"resource{service.name=shop} counter requests 0s..40.001s stale", "resource{service.name=shop} counter requests 0s..40s 104",
	}, a.edge(true))
	a.at(45)
	a.send("resource{service.name=shop} counter requests {pod=a} 0s..45s 105")
	require.Equal(t, []string{"resource{service.name=shop} counter requests {pod=a} 0s..45s 105"}, a.shown())
}

// The secret under which series are hashed is that of whoever knows series
// already, whichever processor begins first.
func TestProcessorsOfOneControlHashAlike(t *testing.T) {
	begin := func(a *arms) (candidate, common series.Secret) {
		a.begin()
		return a.candidate.state.identity.Secret, a.common.state.identity.Secret
	}
	a := newArms(t, "writer: none")
	candidate, common := begin(a)
	require.Equal(t, candidate, common)

	rules, _ := experimentRules("default/x", dropPodOfAll)
	a = newArms(t, "writer: none").stored()
	delete(a.host[diskID].(*disk).kept, "head") //nolint:forcetypeassert // it is
	rules[0].Role, rules[0].Experiment = policy.RoleCommon, nil
	a.has(rules...)
	a.configs[1].Storage = nil
	a.begin() // a common processor with a secret of its own and some state
	a.at(5)
	a.send("counter requests {pod=a} 0s..5s 100")
	a.edge(true)
	a.common.writeCheckpoint(t.Context())
	before := a.common.state.identity.Secret
	a.configs[1].Storage = &candidateDisk
	delete(a.host[candidateDisk].(*disk).kept, "head") //nolint:forcetypeassert // it is
	candidate, common = begin(a)
	require.Equal(t, before, common)
	require.Equal(t, before, candidate, "the candidate, which began first, took the other's")
	candidate, _ = begin(a)
	require.Equal(t, before, candidate, "and keeps it")
}

// Two states that were begun apart name series differently: then the candidate's
// output ends at the edge, and the common one begins anew.
func TestStatesThatWereBegunApart(t *testing.T) {
	candidate, common := experimentRules("default/x", dropPodOfAll)
	a := newArms(t, "writer: none").stored()
	a.has(candidate...)
	a.split = true
	a.begin()
	a.common.state.identity.Secret = series.NewSecret()
	a.common.hasher = series.NewHasher(a.common.state.identity.Secret)
	a.at(5)
	a.send("resource{service.name=shop} counter requests {pod=a} 1s..5s 100")
	a.edge(true)
	a.has(common...)
	a.looks()
	a.at(15)
	a.send("resource{service.name=shop} counter requests {pod=a} 1s..15s 104")
	require.Equal(t, []string{
		"resource{service.name=shop} counter requests 0s..20.001s stale", "resource{service.name=shop} counter requests 0s..20s 104",
	}, a.edge(true))
	require.Empty(t, a.candidate.rules.Load().rules)
	a.at(25)
	a.send("resource{service.name=shop} counter requests {pod=a} 1s..25s 105", "resource{service.name=shop} counter requests {pod=b} 22s..25s 5")
	a.shown()
	require.Equal(t, []string{"resource{service.name=shop} counter requests 20s..30s 5"}, a.edge(true))
}

// A unit that comes from the other arm was seen there: only what began after the
// change counts in full. So it is when a part of the units is promoted to all.
func TestUnitsThatChangeTheArm(t *testing.T) {
	candidate, common := experimentRules("default/x", dropPodOfAll)
	a := newArms(t, "writer: none")
	routed := func(weight, second int, rules []policy.Rule) {
		a.has(rules...)
		a.control.snapshot.Routes = []policy.Route{{
			Experiment: "default/x", Signal: "metrics", Mode: "split", Weight: weight, ChangedAt: epoch.Add(time.Duration(second) * time.Second),
		}}
	}
	send := func(pod string, start, at, value int) {
		a.at(at)
		a.send(fmt.Sprintf("resource{service.name=shop} counter requests {pod=%s} %ds..%ds %d", pod, start, at, value))
	}
	routed(25, 0, candidate)
	a.split = true
	a.begin()
	send("a", 1, 5, 100)
	require.Equal(t, []string{"resource{service.name=shop} counter requests 0s..10s 100"}, a.edge(true))
	a.at(12)
	routed(50, 12, candidate)
	a.looks()
	send("b", 3, 15, 1000) // went to the baseline until now
	send("c", 13, 16, 7)
	require.Equal(t, []string{"resource{service.name=shop} counter requests 0s..20s 107"}, a.edge(true))
	a.has(common...)
	a.looks()
	send("b", 3, 25, 1001)
	require.Equal(t, []string{"resource{service.name=shop} counter requests 0s..30s 108"}, a.edge(true))
	send("d", 14, 35, 5000) // went to the baseline until the promotion
	require.Equal(t, []string{"resource{service.name=shop} counter requests {pod=d} 14s..40s stale"}, a.shown())
	send("c", 13, 36, 8)
	send("e", 31, 37, 20)
	require.Equal(t, []string{"resource{service.name=shop} counter requests 0s..40s 129"}, a.edge(true))
}

// Where a rule of control begins while data flows, the series that passed end when
// their sum is there: at no time both are seen, or neither.
func TestWhatPassedEndsWhenItsSumBegins(t *testing.T) {
	a := newArms(t, "writer: none")
	a.begin()
	rule := dropPodOfAll
	rule.Role = policy.RoleCommon
	for round := range 6 {
		for i, pod := range []string{"a", "b", "c"} {
			a.at(10*round + 2 + 3*i)
			a.send(fmt.Sprintf("gauge load {pod=%s} %ds 5", pod, 10*round+2+3*i))
		}
		if round == 2 {
			a.has(rule)
			a.looks()
		}
		a.edge(true)
	}
	for second := 9; second < 60; second++ {
		require.InDelta(t, 15.0, a.instant("load", epoch.Add(time.Duration(second)*time.Second)), 0, "at %ds", second)
	}
	require.Len(t, a.database, 4)
}

// TestPromotionsUnderLoad promotes and takes back while goroutines send, with the
// factory, the timers and the polling of a collector.
func TestPromotionsUnderLoad(t *testing.T) {
	const rounds, senders = 6, 3
	synctest.Test(t, func(t *testing.T) {
		candidate, common := experimentRules("default/x", dropPodOfAll)
		snapshot := func(version uint64, rules []policy.Rule) *policy.Snapshot {
			s, err := policy.NewSnapshot(version, rules)
			require.NoError(t, err)
			return s
		}
		source := newLiveControl(snapshot(1, candidate))
		host := machine{controlID: source}
		factory, sink := NewFactory(), new(consumertest.MetricsSink)
		create := func(name string, role policy.Role, next consumer.Metrics) processor.Metrics {
			cfg := factory.CreateDefaultConfig().(*Config) //nolint:forcetypeassert // it is
			cfg.Control, cfg.Role, cfg.Interval, cfg.Writer.None = &controlID, role, 10*time.Second, true
			set := nopSettings()
			set.ID = component.NewIDWithName(metadata.Type, name)
			p, err := factory.CreateMetrics(t.Context(), set, cfg, next)
			require.NoError(t, err)
			require.NoError(t, p.Start(t.Context(), host))
			return p
		}
		second := create("candidate", policy.RoleCandidate, sink)
		first := create("common", policy.RoleCommon, second)
		var sending sync.WaitGroup
		stop := make(chan struct{})
		began := pcommon.NewTimestampFromTime(time.Now())
		for i := range senders {
			sending.Go(func() {
				for n := int64(1); ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(700+i) * time.Millisecond):
					}
					require.NoError(t, first.ConsumeMetrics(t.Context(), countOf(began, fmt.Sprint("pod", i), n)))
				}
			})
		}
		for round := range rounds {
			time.Sleep(25 * time.Second)
			rules := common
			if round%2 == 1 {
				rules = candidate
			}
			source.snapshot.Store(snapshot(uint64(round+2), rules))
		}
		time.Sleep(25 * time.Second)
		close(stop)
		sending.Wait()
		require.NoError(t, first.Shutdown(t.Context()))
		require.NoError(t, second.Shutdown(t.Context()))
		var values, latest int64
		for _, md := range sink.AllMetrics() {
			for _, m := range eachMetric(md) {
				for _, p := range m.Sum().DataPoints().All() {
					if !p.Flags().NoRecordedValue() && p.Attributes().Len() == 0 {
						values++
						latest = p.IntValue()
					}
				}
			}
		}
		require.Positive(t, values)
		require.Positive(t, latest)
	})
}

func countOf(start pcommon.Timestamp, pod string, n int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("requests")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := sum.DataPoints().AppendEmpty()
	p.Attributes().PutStr("pod", pod)
	p.SetStartTimestamp(start)
	p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	p.SetIntValue(n)
	return md
}
