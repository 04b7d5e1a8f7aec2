package fidelity_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/goleak"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/fidelity"
	"github.com/phoenix-platform/phoenix/control/tap"
	"github.com/phoenix-platform/phoenix/internal/walk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A query is judged only once its whole range lies after the moment when both
// arms had data. Until one is, there is no verdict.
func TestJudgedOnceTheRangeIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := queriesOf(`sum(up_pods)`, `sum(rate(http_requests_total[2m]))`, `sum(rate(http_requests_total[2m] offset 3m))`)
		r := newRig(t, rigSettings{fidelity: f, consolidation: dropPod(10 * time.Second), interval: 30 * time.Second})
		first := map[uint64]time.Duration{}
		verdicts := r.run(9*time.Minute, (&shop{pods: 10, scrape: 10 * time.Second}).at)
		for i, v := range verdicts {
			if v == nil {
				continue
			}
			assert.Equal(t, uint64(3), v.Panels.Judged()+v.Panels.NotJudged)
			if n := v.Panels.Judged(); n > 0 && first[n] == 0 {
				first[n] = time.Duration(i+1) * 30 * time.Second
			}
		}
		// Twice the slack of 65s, rounded up to 75s, and what is left of an interval.
		assert.Greater(t, first[1], 140*time.Second)
		assert.LessOrEqual(t, first[1], 3*time.Minute)
		assert.Equal(t, first[1]+2*time.Minute, first[2])
		assert.Equal(t, first[1]+5*time.Minute, first[3])
		assert.Nil(t, verdicts[0])
	})
}

// What the tap had no room for is missing in an arm, so that the queries which
// read it are not judged until it is older than their range; others are.
func TestLostOfferIsNotJudged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := queriesOf(`sum(queue_depth)`, `sum(rate(http_requests_total[2m]))`)
		r := newRig(t, rigSettings{fidelity: f, consolidation: dropPod(10 * time.Second), interval: 30 * time.Second, queue: 60_000})
		s := &shop{pods: 10, scrape: 10 * time.Second}
		huge := func() pmetric.Metrics {
			md := s.at(10 * time.Minute)
			dp := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
			dp.SetName("queue.depth")
			dp.SetDescription(string(make([]byte, 70_000)))
			dp.SetEmptyGauge().DataPoints().AppendEmpty().SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			keep := func(m pmetric.Metric) bool { return m.Name() != "queue.depth" }
			for _, rm := range md.ResourceMetrics().All() {
				rm.ScopeMetrics().At(0).Metrics().RemoveIf(keep)
			}
			return md
		}
		var lost []string
		verdicts := r.run(18*time.Minute, func(elapsed time.Duration) pmetric.Metrics {
			if elapsed == 10*time.Minute+time.Second {
				r.offer("baseline", huge())
			}
			return s.at(elapsed)
		})
		for _, v := range verdicts[8:] {
			lost = append(lost, fmt.Sprintf("%d/%d", v.Panels.Judged(), v.LostOffers))
		}
		// At 10m30s one is lost. The gauge is judged again once the instant is two slacks later.
		assert.Equal(t, "2/0", lost[11])
		assert.Equal(t, "1/1", lost[12])
		assert.Equal(t, "2/1", lost[len(lost)-1])
		assert.Less(t, countOf(lost, "1/1"), 8)
	})
}

func countOf(list []string, text string) (n int) {
	for _, one := range list {
		if one == text {
			n++
		}
	}
	return n
}

// Over its bounds an arm lacks series: what reads those metrics is not judged.
func TestBoundIsNotJudged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := queriesOf(`sum(up_pods)`)
		f.MaxSeries = 40
		r := newRig(t, rigSettings{fidelity: f, interval: 30 * time.Second})
		for _, v := range r.run(5*time.Minute, (&shop{pods: 10, scrape: 10 * time.Second}).at) {
			require.Nil(t, v)
		}
		for _, counts := range r.judge.Samples() {
			assert.LessOrEqual(t, counts[0], int64(40))
			assert.Positive(t, counts[2])
		}
	})
}

// Data that does not take part comes from the baseline on both arms, also within
// a resource and for metrics that the experiment does not name; the router's mark
// does not show.
func TestOutOfScopeIsTheSameOnBothArms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := queriesOf(
			`sum by (pod, k8s_pod_name) (up_pods{job="bank"})`, `sum by (route) (rate(http_requests_total{job="shop"}[1m])) / on() group_left() sum(rate(http_requests_total{job="bank"}[1m]))`,
			`count by (__name__) ({phoenix_arm!=""})`, `count by (job) (target_info{job="bank"})`,
		)
		r := newRig(t, rigSettings{fidelity: f, consolidation: dropPod(10 * time.Second), interval: 30 * time.Second})
		verdicts := r.run(6*time.Minute, (&shop{pods: 10, scrape: 10 * time.Second}).at)
		last := verdicts[len(verdicts)-1]
		require.NotNil(t, last)
		assert.Empty(t, last.Differences)
		assert.Equal(t, uint64(3), last.Panels.Judged())
		assert.Equal(t, uint64(1), last.Panels.NoData, "nothing bears the router's mark")
	})
}

// An interval that is too long for a range empties it: the dashboard is broken.
func TestIntervalTooLongForRange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, rigSettings{fidelity: queriesOf(`sum(rate(http_requests_total{job="shop"}[1m]))`), consolidation: dropPod(60 * time.Second), interval: 30 * time.Second})
		verdicts := r.run(8*time.Minute, (&shop{pods: 10, scrape: 10 * time.Second}).at)
		last := verdicts[len(verdicts)-1]
		require.NotNil(t, last)
		require.Len(t, last.Differences, 1)
		assert.Contains(t, last.Differences[0].Detail, "the candidate has no answer")
	})
}

// A query that fails on the candidate only differs.
func TestErrorOnTheCandidate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// The candidate has one element for both routes on the side that must be unique.
		expr := `sum by (pod, route) (rate(http_requests_total{job="shop"}[1m])) * on (pod) group_left () up_pods{job="shop"}`
		r := newRig(t, rigSettings{
			fidelity: queriesOf(expr), interval: 30 * time.Second,
			after: func(md pmetric.Metrics) {
				forPoints(md, func(p walk.Points, i int) {
					p.Attributes(i).PutStr("pod", "one")
					p.Attributes(i).PutStr("was", strconv.Itoa(i))
				})
				for i, rm := range md.ResourceMetrics().All() {
					for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
						if m.Name() == "up.pods" {
							m.Gauge().DataPoints().At(0).Attributes().PutInt("was", int64(i))
						}
					}
				}
			},
		})
		verdicts := r.run(6*time.Minute, (&shop{pods: 10, scrape: 10 * time.Second}).at)
		last := verdicts[len(verdicts)-1]
		require.NotNil(t, last)
		require.Len(t, last.Differences, 1)
		assert.Contains(t, last.Differences[0].Detail, "fails on the candidate only: ")
	})
}

// Batches come out of order and twice; the heads hold each sample once, by its
// time.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, rigSettings{fidelity: queriesOf(shopQueries...), interval: 30 * time.Second, lateness: 8 * time.Second})
		s := &shop{pods: 10, scrape: 10 * time.Second, burst: 3}
		random := rand.New(rand.NewPCG(1, 2))
		var held []pmetric.Metrics
		verdicts := r.run(10*time.Minute, func(elapsed time.Duration) pmetric.Metrics {
			md := s.at(elapsed)
			late := pmetric.NewMetrics()
			md.CopyTo(late)
			held = append(held, late)
			if len(held) < 7 {
				return md
			}
			// The candidate, which nothing changes, gets all of it again, out of order.
			random.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
			for _, one := range held {
				r.send(one)
			}
			held = nil
			return md
		})
		last := verdicts[len(verdicts)-1]
		require.NotNil(t, last)
		assert.Equal(t, uint64(len(shopQueries)), last.Panels.Identical, "%+v", last)
		for _, counts := range r.judge.Samples() {
			assert.Zero(t, counts[3], "late")
			assert.Zero(t, counts[4], "different values of one time")
		}
	})
}

// A stale marker ends a series at once.
func TestStaleMarkerEndsSeries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := newRig(t, rigSettings{
			fidelity: queriesOf(`count(up_pods{job="shop"})`), interval: 30 * time.Second,
			after: func(md pmetric.Metrics) {
				if time.Since(began) > 4*time.Minute {
					for _, rm := range md.ResourceMetrics().All() {
						for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
							if m.Name() == "up.pods" {
								dp := m.Gauge().DataPoints().At(0)
								dp.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
							}
						}
					}
				}
			},
		})
		verdicts := r.run(8*time.Minute, (&shop{pods: 10, scrape: 10 * time.Second}).at)
		assert.Equal(t, uint64(1), verdicts[6].Panels.Identical)
		last := verdicts[len(verdicts)-1]
		require.Len(t, last.Differences, 1)
		assert.Contains(t, last.Differences[0].Detail, "the candidate has no answer")
	})
}

// Names that appear later are subscribed to, and judged from then on.
func TestNamesThatAppearLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := tap.New(tap.Settings{})
		f := queriesOf(`sum(up_pods)`, `sum(queue_depth)`)
		plan := parse(t, f)
		var asked [][]string
		known := []string{"up.pods"}
		var selections []tap.Selection
		spec := experiment.Spec{ID: "a/b", Mode: experiment.ModeMirror, Scope: map[string]string{"service.name": "shop"}, Interval: experiment.Duration(30 * time.Second), Fidelity: &f}.WithDefaults()
		judge, err := fidelity.Open(fidelity.Settings{
			Spec: spec, Plan: plan, Baseline: "baseline", Candidate: "candidate", Dir: t.TempDir(),
			Want: func(s tap.Selection) (*tap.Subscription, error) {
				selections = append(selections, s)
				return hub.Want(s)
			},
			OTLPNames: func(_ context.Context, names []string) ([]string, error) {
				asked = append(asked, names)
				return known, nil
			},
		})
		require.NoError(t, err)
		defer judge.Close()
		r := &rig{t: t, hub: hub, seq: map[string]*uint64{}, judge: judge, spec: spec}
		s := &shop{pods: 10, scrape: 10 * time.Second}
		first := r.run(4*time.Minute, s.at)
		assert.Equal(t, experiment.Tally{Total: 2, Identical: 1, NoData: 1}, first[len(first)-1].Panels)
		known = []string{"queue.depth", "up.pods"}
		second := r.run(5*time.Minute, func(elapsed time.Duration) pmetric.Metrics { return s.at(4*time.Minute + elapsed) })
		assert.Equal(t, experiment.Tally{Total: 2, Identical: 2}, second[len(second)-1].Panels)
		assert.Equal(t, []string{"queue_depth", "up_pods"}, asked[0])
		require.Len(t, selections, 4)
		assert.Equal(t, tap.Selection{Point: "candidate", Metrics: []string{"queue.depth"}}, selections[3])
		assert.Equal(t, 4, hub.Stats().Subscriptions)
		judge.Close()
		judge.Close()
		assert.Zero(t, hub.Stats().Subscriptions)
		assert.Equal(t, second[len(second)-1], judge.Look(t.Context(), time.Now().Add(time.Hour)), "a closed judge has its last verdict")
	})
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	hub := tap.New(tap.Settings{})
	f := queriesOf(`up`)
	spec := experiment.Spec{ID: "a/b", Mode: experiment.ModeMirror, Scope: map[string]string{"service.name": "shop"}, Fidelity: &f}
	_, err := fidelity.Open(fidelity.Settings{Spec: experiment.Spec{ID: "a"}})
	require.EqualError(t, err, "the experiment demands no fidelity\nthere is no plan\nthere is no tap\nboth arms are measured at \"\"")
	s := fidelity.Settings{Spec: spec, Plan: parse(t, f), Want: hub.Want, Baseline: "a", Candidate: "b", Dir: "/does/not/exist"}
	_, err = fidelity.Open(s)
	require.ErrorContains(t, err, "make a directory for the head of the baseline: ")
	s.Dir, s.Backend.Translation = t.TempDir(), "Klingon"
	_, err = fidelity.Open(s)
	require.ErrorContains(t, err, "Klingon")
	hub.Close()
	s.Backend.Translation = ""
	_, err = fidelity.Open(s)
	require.ErrorIs(t, err, tap.ErrClosed)
}
