package tagconsolidationprocessor

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// otherRules are n hot rules beside the one of benchRules: for a metric each, or
// for the same metrics of a tenant each.
func otherRules(version uint64, n int, tenants bool) *policy.Snapshot {
	rules := make([]policy.Rule, 0, n)
	for i := range n {
		r := policy.Rule{
			Name: fmt.Sprintf("ns/policy-%d/rule-1", i), Role: policy.RoleCommon, Attributes: policy.Attributes{Drop: []string{"pod"}},
			Match: policy.Match{Metric: fmt.Sprintf("other.metric.%d", i), Types: []policy.MetricType{policy.TypeSum}},
		}
		if tenants {
			r.Match.Metric = "http.*"
			r.Match.Resource = []policy.Condition{{Attribute: "k8s.namespace.name", Value: fmt.Sprintf("tenant-%d", i)}}
		}
		rules = append(rules, r)
	}
	s, err := policy.NewSnapshot(version, rules)
	if err != nil {
		panic(err) // it is the same for all
	}
	return s
}

// hotRig has n hot rules in force.
func hotRig(tb testing.TB, n int, tenants bool) *rig {
	tb.Helper()
	cfg, err := loadConfig(tb, "control: control\n"+benchRules)
	require.NoError(tb, err)
	return newRigOf(tb, cfg, machine{controlID: &control{snapshot: otherRules(1, n, tenants)}}, epoch)
}

// scopedRig has the rules of n running experiments, each for a service of its own
// and all for one environment.
func scopedRig(tb testing.TB, n int) *rig {
	tb.Helper()
	cfg, err := loadConfig(tb, "control: control\nrole: candidate\n")
	require.NoError(tb, err)
	rules := make([]policy.Rule, 0, n)
	for i := range n {
		id := fmt.Sprintf("default/experiment-%d", i)
		rules = append(rules, policy.Rule{
			Name: id + "/pods", Role: policy.RoleCandidate, Attributes: policy.Attributes{Drop: []string{"pod", "service.instance.id"}},
			Match: policy.Match{Metric: "http.*"},
			Experiment: &policy.Experiment{ID: id, Scope: map[string]string{
				"resource.deployment.environment.name": "production", "resource.service.name": fmt.Sprintf("service-%d", i),
			}},
		})
	}
	s, err := policy.NewSnapshot(1, rules)
	require.NoError(tb, err)
	return newRigOf(tb, cfg, machine{controlID: &control{snapshot: s}}, epoch)
}

// BenchmarkTenVersusTenThousandExperiments is the same for rules of candidates,
// which are found by the scope of their experiment.
func BenchmarkTenVersusTenThousandExperiments(b *testing.B) {
	var took [2][]float64
	var rigs [2]*rig
	template := steadyBatch("http.server.requests")
	resource := template.ResourceMetrics().At(0).Resource().Attributes()
	resource.PutStr("deployment.environment.name", "production")
	resource.PutStr("service.name", "service-7")
	sender := &steadySender{template: template}
	for i, n := range []int{10, 10_000} {
		rigs[i] = scopedRig(b, n)
		require.Zero(b, rigs[i].send(sender.next()).DataPointCount(), "the rule takes all points")
	}
	runtime.GC()
	for b.Loop() {
		for i, r := range rigs {
			md := sender.next()
			began := time.Now()
			_, _ = r.c.process(b.Context(), md)
			took[i] = append(took[i], float64(time.Since(began).Nanoseconds())/benchPoints)
		}
	}
	few, many := median(took[0]), median(took[1])
	b.ReportMetric(few, "ns/point/10")
	b.ReportMetric(many, "ns/point/10000")
	b.ReportMetric(many/few, "ratio")
}

// steadySender sends the same series again and again, each time a little later.
type steadySender struct {
	template pmetric.Metrics
	round    int
}

func (s *steadySender) next() pmetric.Metrics {
	s.round++
	md := pmetric.NewMetrics()
	s.template.CopyTo(md)
	start := pcommon.NewTimestampFromTime(epoch)
	for _, p := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().All() {
		p.SetStartTimestamp(start)
		p.SetTimestamp(start + pcommon.Timestamp(s.round)*pcommon.Timestamp(time.Millisecond))
		p.SetIntValue(int64(s.round) * 7)
	}
	return md
}

// BenchmarkTenVersusTenThousandRules measures what a point costs with 10 and with
// 10,000 hot rules, in turns within one run, so that whatever else the machine
// does slows both alike. It reports the medians and their ratio.
func BenchmarkTenVersusTenThousandRules(b *testing.B) {
	for _, tenants := range []bool{false, true} {
		b.Run(fmt.Sprintf("tenants=%t", tenants), func(b *testing.B) {
			var took [2][]float64
			var rigs [2]*rig
			sender := &steadySender{template: steadyBatch("http.server.requests")}
			for i, n := range []int{10, 10_000} {
				rigs[i] = hotRig(b, n, tenants)
				rigs[i].send(sender.next())
			}
			runtime.GC()
			for b.Loop() {
				for i, r := range rigs {
					md := sender.next()
					began := time.Now()
					_, _ = r.c.process(b.Context(), md)
					took[i] = append(took[i], float64(time.Since(began).Nanoseconds())/benchPoints)
				}
			}
			few, many := median(took[0]), median(took[1])
			b.ReportMetric(few, "ns/point/10")
			b.ReportMetric(many, "ns/point/10000")
			b.ReportMetric(many/few, "ratio")
		})
	}
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// BenchmarkApply measures how long it takes to take over a snapshot of 10,000
// rules: the first one, and one in which a rule changed.
func BenchmarkApply(b *testing.B) {
	for _, tenants := range []bool{false, true} {
		b.Run(fmt.Sprintf("first/tenants=%t", tenants), func(b *testing.B) {
			s := otherRules(2, 10_000, tenants)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				r := hotRig(b, 0, tenants)
				b.StartTimer()
				require.NoError(b, r.c.Apply(s))
			}
		})
		b.Run(fmt.Sprintf("changed/tenants=%t", tenants), func(b *testing.B) {
			r := hotRig(b, 10_000, tenants)
			version := uint64(1)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				version++
				s := otherRules(version, 10_000, tenants)
				s.Rules[version%10_000].Attributes.Drop = []string{fmt.Sprint("pod", version)}
				b.StartTimer()
				require.NoError(b, r.c.Apply(s))
				r.c.swap(b.Context(), nanos(r.now))
			}
		})
	}
}

// BenchmarkSendDuringApply measures the longest call of process while snapshots
// of 10,000 rules, of which one changed, are taken over and put in force all the
// time, and while none is.
func BenchmarkSendDuringApply(b *testing.B) {
	for _, applying := range []bool{false, true} {
		b.Run(fmt.Sprintf("applying=%t", applying), func(b *testing.B) {
			r := hotRig(b, 10_000, false)
			stop, applied := make(chan struct{}), make(chan int)
			go func() {
				n := 0
				for applying {
					select {
					case <-stop:
						applied <- n
						return
					default:
					}
					n++
					s := otherRules(uint64(n)+1, 10_000, false)
					s.Rules[n%10_000].Attributes.Drop = []string{fmt.Sprint("pod", n)}
					if err := r.c.Apply(s); err != nil {
						panic(err)
					}
					r.c.swap(b.Context(), nanos(epoch))
				}
				<-stop
				applied <- n
			}()
			sender := &steadySender{template: steadyBatch("http.server.requests")}
			var took []float64
			for b.Loop() {
				md := sender.next()
				began := time.Now()
				_, _ = r.c.process(b.Context(), md)
				took = append(took, float64(time.Since(began).Nanoseconds())/1e6)
			}
			close(stop)
			b.ReportMetric(float64(<-applied), "applied")
			slices.Sort(took)
			b.ReportMetric(took[len(took)/2], "ms/batch/p50")
			b.ReportMetric(took[len(took)*99/100], "ms/batch/p99")
			b.ReportMetric(took[len(took)-1], "ms/batch/max")
		})
	}
}

// Of many rules for the same metrics only those that ask for what the resource
// says are looked at; what comes out is what the first that matches makes of it.
func TestRulesOfTenants(t *testing.T) {
	s := newStage(t, hotConfig)
	defer s.die()
	s.sees(snapshotOf(t, 7, `
rules:
  - name: numbers
    match: {metric: "req*", resource: [{attribute: tenant, value: "7"}]}
    attributes: {drop: [pod, code]}
  - name: both
    match: {metric: "req*", resource: [{attribute: zone, value: z1}, {attribute: tenant, value: a}]}
    attributes: {drop: [pod, zone]}
  - name: a
    match: {metric: "*", resource: [{attribute: tenant, value: a}]}
    attributes: {drop: [pod]}
  - name: z1
    match: {metric: "requests", resource: [{attribute: zone, value: z1}]}
    attributes: {drop: [code]}
  - name: glob
    match: {metric: "requests", resource: [{attribute: tenant, value: "b*"}]}
    attributes: {drop: [route]}
`))
	s.edge()
	s.now = s.now.Add(5 * time.Second)
	point := " counter requests {pod=p code=200 route=r} 11s..15s 1"
	passed := s.feed([]string{
		"resource{tenant=int:7}" + point,
		"resource{tenant=a zone=z1}" + point,
		"resource{tenant=a zone=z2}" + point,
		"resource{tenant=b zone=z1}" + point,
		"resource{tenant=b zone=z2}" + point,
		"resource{tenant=c zone=z2}" + point,
		"resource{zone=z2}" + point,
	})
	require.ElementsMatch(t, []string{
		"resource{tenant=c zone=z2} counter requests {code=200 pod=p route=r} 11s..15s 1",
		"resource{zone=z2} counter requests {code=200 pod=p route=r} 11s..15s 1",
	}, texts(passed))
	require.ElementsMatch(t, []string{
		"resource{tenant=int:7} counter requests {route=r} 10s..20s 1",
		"resource{tenant=a} counter requests {code=200 route=r} 10s..20s 1",
		"resource{tenant=a zone=z2} counter requests {code=200 route=r} 10s..20s 1",
		"resource{tenant=b zone=z1} counter requests {pod=p route=r} 10s..20s 1",
		"resource{tenant=b zone=z2} counter requests {code=200 pod=p} 10s..20s 1",
	}, texts(s.edge()))
}

// More tenants than are remembered are found all the same.
func TestManyTenants(t *testing.T) {
	r := hotRig(t, 10, true)
	f := r.c.free.get()
	f.use(r.c.rules.Load())
	for i := range maxTenants + 100 {
		f.tenants[strconv.Itoa(i)] = uint32(i + 1)
	}
	r.c.free.put(f)
	md := steadyBatch("http.client.requests")
	md.ResourceMetrics().At(0).Resource().Attributes().PutStr("k8s.namespace.name", "tenant-3")
	r.send(md)
	require.Equal(t, uint64(benchPoints), r.c.rules.Load().rules[1+3].points.Load())
}
