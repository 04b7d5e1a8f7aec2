package cardinalityprocessor

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/internal/sketch"
	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadata"
)

func TestAnArmNeedsAControlPlaneThatRunsExperiments(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		_, err := loadYAML(t, yaml)
		require.EqualError(t, err, want)
	}
	f("arm: candidate", "arm: needs control, which knows the experiments")
	f("{arm: left, control: phoenix_control}", `arm: must be baseline or candidate, got "left"`)
	cfg := createDefaultConfig().(*Config)
	cfg.Arm, cfg.Control = "baseline", &controlID
	start := func(extension component.Component) error {
		p, err := newInstances().create(t.Context(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
		require.NoError(t, err)
		err = p.Start(t.Context(), host{controlID: extension})
		require.NoError(t, p.Shutdown(t.Context()))
		return err
	}
	require.ErrorContains(t, start(&onlyCounting{}), "arm: cardinality needs a control plane that runs experiments, but the extension phoenix_control")
	require.NoError(t, start(newExperimenting()))
	busy := newExperimenting()
	busy.refuses = true
	require.ErrorContains(t, start(busy), "register with phoenix_control: it is taken")
}

// onlyCounting is an extension that takes reports of series only.
type onlyCounting struct {
	component.StartFunc
	component.ShutdownFunc
}

func (*onlyCounting) RegisterCardinality(report.CardinalityRegistration) (func(), error) {
	return func() {}, nil
}

func TestExperimentsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEnd(t, "baseline", "backend: {resource_attributes: [k8s.pod.name], scope_labels: true}", mirrorRoute("a/cart", "cart"))
		registered := e.control.arms[0]
		assert.Equal(t, []string{"cardinality", "default", "baseline"}, []string{registered.Component, registered.Point, registered.Arm})
		assert.Equal(t, report.ArmBackend{ResourceAttributes: []string{"k8s.pod.name"}, ScopeLabels: true, Translation: "UnderscoreEscapingWithSuffixes"}, registered.Backend)
		e.send(sumsOf("cart", 0, 10), sumsOf("web", 0, 10))
		first := e.reports()
		assert.Equal(t, uint64(10), first["a/cart"].Points)

		e.control.route(mirrorRoute("a/web", "web"), mirrorRoute("a/cart", "cart"))
		time.Sleep(2 * armLookEvery)
		e.send(sumsOf("cart", 0, 10), sumsOf("web", 0, 10))
		second := e.reports()
		assert.Equal(t, uint64(20), second["a/cart"].Points, "what stays goes on")
		assert.Equal(t, first["a/cart"].Since, second["a/cart"].Since)
		assert.Equal(t, uint64(10), second["a/web"].Points)
		assert.True(t, second["a/web"].Since.After(first["a/cart"].Since))
		assert.Len(t, e.reports("a/web", "a/nowhere"), 1)

		table := e.arm.view.Load().table
		weighed := mirrorRoute("a/cart", "cart")
		weighed.Weight, weighed.Lease = 0, &policy.Lease{}
		e.control.route(mirrorRoute("a/web", "web"), weighed)
		time.Sleep(2 * armLookEvery)
		assert.Equal(t, uint64(20), e.reports()["a/cart"].Points)
		assert.Same(t, table, e.arm.view.Load().table, "a weight or a lease makes no other table")
		weighed.Epoch++
		e.control.route(mirrorRoute("a/web", "web"), weighed)
		time.Sleep(2 * armLookEvery)
		assert.Zero(t, e.reports()["a/cart"].Points, "the candidate begins anew, and so does counting")

		other := mirrorRoute("a/cart", "web")
		e.control.route(other)
		time.Sleep(2 * armLookEvery)
		e.send(sumsOf("web", 0, 3))
		third := e.reports()
		require.Len(t, third, 1)
		assert.Equal(t, uint64(3), third["a/cart"].Points, "another scope is another experiment")

		e.control.route()
		time.Sleep(2 * armLookEvery)
		assert.Empty(t, e.reports())
		assert.Zero(t, e.arm.budget.used(), "the memory is given back")
	})
}

// A route that cannot be measured leaves the others alone.
func TestARouteThatIsNotUnderstoodIsLeftOut(t *testing.T) {
	bad := mirrorRoute("a/bad", "x")
	bad.Scope = map[string]string{"nothing.": "x", "": "y"}
	e := startEnd(t, "baseline", "", bad, splitRoute("a/worse", "x", "attribute", ""), mirrorRoute("a/cart", "cart"))
	e.send(sumsOf("cart", 0, 10))
	got := e.reports()
	require.Len(t, got, 1)
	assert.Equal(t, uint64(10), got["a/cart"].Points)
}

// Both ends count in the same sub-windows, whenever they started, so that arms
// which got the same report the same, from when what was under way has passed.
func TestBothArmsHaveTheSameWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(90 * time.Second))) // half a minute after an edge
		ends := []*end{startEnd(t, "baseline", "", mirrorRoute("a/cart", "cart"))}
		time.Sleep(7 * time.Second)
		ends = append(ends, startEnd(t, "candidate", "", mirrorRoute("a/cart", "cart")))
		for step, want := range []uint64{0, 0, 0, 40, 40, 50, 50, 40} {
			for _, e := range ends {
				e.send(sumsOf("cart", 10*step, 10*step+30))
			}
			for _, e := range ends {
				r := e.reports()["a/cart"]
				assert.Equal(t, want, r.Series, "step %d", step)
				assert.Zero(t, r.RelativeError)
				assert.Equal(t, want > 0, r.MemoryBytes > 0)
				assert.Equal(t, uint64(30*(step+1)), r.Points)
			}
			if step == 4 { // twice within a sub-window
				time.Sleep(5 * time.Second)
				continue
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Hour)
		r := ends[0].reports()["a/cart"]
		assert.Zero(t, r.Series)
		assert.Equal(t, uint64(8*30), r.Points)
	})
}

// series8 makes eight series of each point.
type series8 struct{ points []armPoint }

func (s *series8) series(i int) []uint64 {
	list := make([]uint64, 8)
	for k := range list {
		list[k] = s.points[i].stream + uint64(k)<<33
	}
	return list
}

// TestCountersEqualModel drives a counter through sub-windows, pauses, and a clock
// that is set back, and compares it with a list of what was seen.
func TestCountersEqualModel(t *testing.T) {
	e := startEnd(t, "baseline", "", splitRoute("a/b", "x", "attribute", "tenant"))
	rapid.Check(t, func(t *rapid.T) {
		streams := rapid.Bool().Draw(t, "streams")
		c := e.arm.newCounter(&policy.Route{Experiment: "x"}, "attribute", time.Unix(1_000_000, 0))
		c.streams = streams
		c.first -= settled
		now, seen := c.running.Load(), map[armPoint]int64{} // when last
		points, units := uint64(0), map[uint64]uint64{}
		t.Repeat(map[string]func(*rapid.T){
			"points": func(t *rapid.T) {
				at := now
				if rapid.IntRange(0, 9).Draw(t, "late") == 0 {
					at -= rapid.Int64Range(0, 3).Draw(t, "back") // counts as now
				}
				var batch []armPoint
				for _, id := range rapid.SliceOfN(rapid.Uint64Range(1, 60), 1, 20).Draw(t, "points") {
					p := armPoint{stream: id * 0x9e3779b97f4a7c15, unit: id % 7, size: 3, inUnit: id%7 != 0}
					batch = append(batch, p)
					seen[p] = now
					points++
					if p.inUnit {
						units[p.unit]++
					}
				}
				c.observe(at, batch, &series8{batch})
			},
			"end": func(*rapid.T) {
				c.weigh(now, armPoint{unit: 3, inUnit: true, size: 3})
				points++
				units[3]++
			},
			"time": func(t *rapid.T) {
				now += rapid.SampledFrom([]int64{1, 1, 1, 2, 3, 70_000}).Draw(t, "sub-windows")
			},
			"": func(t *rapid.T) {
				r := c.report(time.Unix(0, now*int64(c.subWindow)+1))
				each := uint64(8)
				if streams {
					each = 1
				}
				series, ofUnit := uint64(0), map[uint64]uint64{}
				for p, last := range seen {
					if now-last < armWindow {
						series += each
						if p.inUnit {
							ofUnit[p.unit] += each
						}
					}
				}
				require.Equal(t, series, r.Series)
				require.Equal(t, [2]uint64{points, 3 * points}, [2]uint64{r.Points, r.Bytes})
				require.Len(t, r.Units, len(units))
				for _, u := range r.Units {
					require.Equal(t, report.UnitReport{Unit: u.Unit, Points: units[u.Unit], Bytes: 3 * units[u.Unit], Series: ofUnit[u.Unit]}, u)
				}
			},
		})
	})
}

func TestUnitsBeyondTheBoundAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEnd(t, "baseline", "", splitRoute("a/cart", "cart", "series", ""))
		time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute)))
		e.send(sumsOf("cart", 0, maxUnits+100), sumsOf("cart", 0, maxUnits+100))
		r := e.settled()["a/cart"]
		assert.Len(t, r.Units, maxUnits)
		assert.Equal(t, uint64(200), r.UnitsLeftOut, "points")
		assert.Equal(t, uint64(2*(maxUnits+100)), r.Points, "the whole has them")
		assert.InEpsilon(t, maxUnits+100, r.Series, 4*r.RelativeError)
		time.Sleep(2 * time.Minute)
		e.send(sumsOf("cart", maxUnits, maxUnits+50), sumsOf("cart", 0, 10))
		r = e.reports()["a/cart"]
		assert.Len(t, r.Units, 60, "units that are gone make room")
		assert.Equal(t, uint64(200), r.UnitsLeftOut)
		for _, u := range r.Units {
			assert.Equal(t, []uint64{1, 1}, []uint64{u.Points, u.Series})
		}
	})
}

// Many series are counted by sketches; their number is within four standard errors
// of what is said, also when there is no memory for good ones.
func TestManySeriesAreEstimated(t *testing.T) {
	for _, c := range []struct {
		yaml     string
		series   int
		relative float64
	}{
		{"", 3000, 0},
		{"", 100_000, sketch.StandardError(15)},
		{"precision: 12", 100_000, sketch.StandardError(12)},
		{"max_memory_mib: 1", 100_000, sketch.StandardError(15)},
		{"max_memory_mib: 1\nprecision: 18", 30_000, sketch.StandardError(leastPrecision)},
		{"backend: {kind: otlp}", 100_000, 0}, // the table of streams is exact
	} {
		t.Run(fmt.Sprint(c.series, " ", c.yaml), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := startEnd(t, "baseline", c.yaml, mirrorRoute("a/cart", "cart"), mirrorRoute("a/web", "web"))
				for range 2 {
					for from := 0; from < c.series; from += 1000 {
						e.send(sumsOf("cart", from, from+1000))
					}
					time.Sleep(time.Second)
				}
				e.send(sumsOf("web", 0, 20))
				r := e.settled()
				cart := r["a/cart"]
				assert.InDelta(t, c.relative, cart.RelativeError, 1e-12)
				assert.LessOrEqual(t, math.Abs(float64(cart.Series)-float64(c.series)), 4*c.relative*float64(c.series))
				assert.Equal(t, uint64(20), r["a/web"].Series)
				assert.Equal(t, uint64(2*c.series), cart.Points)
				assert.LessOrEqual(t, e.arm.budget.used(), e.arm.budget.bound+8<<10)
			})
		})
	}
}

// TestArmsWhileExperimentsChange lets callers send while experiments come and go
// and control asks.
func TestArmsWhileExperimentsChange(t *testing.T) {
	e := startEnd(t, "candidate", "", mirrorRoute("a/stays", "s0"))
	const callers, rounds = 4, 60
	var sending sync.WaitGroup
	for caller := range callers {
		sending.Go(func() {
			for i := range rounds {
				md := sumsOf(fmt.Sprintf("s%d", i%3), caller, caller+50)
				assert.NoError(t, e.p.ConsumeMetrics(t.Context(), md))
			}
		})
	}
	var sent atomic.Bool
	var asking sync.WaitGroup
	asking.Go(func() {
		for i := 0; !sent.Load(); i++ {
			routes := []policy.Route{mirrorRoute("a/stays", "s0"), splitRoute("a/comes", "s1", []string{"series", "resource", "attribute"}[i%3], "point.tenant")}
			e.control.route(routes[:1+i%2]...)
			e.arm.look(time.Now())
			e.reports()
		}
	})
	sending.Wait()
	sent.Store(true)
	asking.Wait()
	r := e.settled()["a/stays"]
	assert.Equal(t, uint64(callers*rounds/3*50), r.Points)
	assert.Equal(t, uint64(50+callers-1), r.Series)
	e.control.route()
	e.arm.look(time.Now())
	assert.Zero(t, e.arm.budget.used())
}

func TestArmsEndsWithItsContext(t *testing.T) {
	e := startEnd(t, "baseline", "", mirrorRoute("a/b", "b"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.arm.Arms(ctx, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAnArmIsUnregisteredOnce(t *testing.T) {
	e := startEnd(t, "baseline", "")
	require.NoError(t, e.p.Shutdown(t.Context()))
	assert.Empty(t, e.control.arms)
	require.NoError(t, e.p.Shutdown(t.Context()))
	p, err := newInstances().create(t.Context(), processortest.NewNopSettings(metadata.Type), createDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()), "without the option there is nothing to find")
	require.NoError(t, p.ConsumeMetrics(t.Context(), pmetric.NewMetrics()))
	require.NoError(t, p.Shutdown(t.Context()))
}
