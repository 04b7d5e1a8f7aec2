package tagconsolidationprocessor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// registry is a control plane that takes reports.
type registry struct {
	control
	err     error
	sources map[string]report.ConsolidationSource
}

var errTaken = errors.New("it is full")

// RegisterConsolidation keeps the source by its component and role.
func (r *registry) RegisterConsolidation(one report.ConsolidationRegistration) (func(), error) {
	if r.err != nil {
		return nil, r.err
	}
	key := one.Component + " as " + one.Role
	if r.sources == nil {
		r.sources = map[string]report.ConsolidationSource{}
	}
	r.sources[key] = one.Source
	return func() { delete(r.sources, key) }, nil
}

func TestRegistersWhileItRuns(t *testing.T) {
	cfg, err := loadConfig(t, "control: control\nrole: candidate\n")
	require.NoError(t, err)
	plane := &registry{control: control{snapshot: &policy.Snapshot{}}}
	host := machine{controlID: plane}
	r := newUnstartedRig(t, cfg, host)
	require.NoError(t, r.c.start(t.Context(), host))
	source := plane.sources["tag_consolidation as candidate"]
	require.NotNil(t, source)
	out, err := source.Consolidation(t.Context())
	require.NoError(t, err)
	require.Equal(t, "tag_consolidation", out.Component)
	require.Equal(t, "candidate", out.Role)
	require.Equal(t, 15*time.Second, out.Interval)
	require.Equal(t, 5*time.Minute, out.Staleness)
	require.WithinRange(t, out.NextEdge, time.Now(), time.Now().Add(16*time.Second))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = source.Consolidation(cancelled)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.c.shutdown(t.Context()))
	require.Empty(t, plane.sources)
}

func TestStartFailsIfControlRefusesTheSource(t *testing.T) {
	cfg, err := loadConfig(t, "control: control\n")
	require.NoError(t, err)
	host := machine{controlID: &registry{control: control{snapshot: &policy.Snapshot{}}, err: errTaken}}
	r := newUnstartedRig(t, cfg, host)
	require.EqualError(t, r.c.start(t.Context(), host), "register with control: it is full")
	require.NoError(t, r.c.shutdown(t.Context()))
}

var _ component.Component = (*registry)(nil)

// reported returns the report without times that are the same in all.
func (s *stage) reported() []report.RuleReport {
	s.t.Helper()
	out, err := s.c.Consolidation(s.t.Context())
	require.NoError(s.t, err)
	return out.Rules
}

const reportRules = `
rules:
  - name: hot
    match: {metric: "*"}
    attributes: {drop: [pod]}
    gauge: sum
    summary: merge_count_sum
    buckets: {keep_bounds: [1, 4]}
`

// reportPoints are of two pods, of all types.
func reportPoints(pods int, at string) (lines []string) {
	for pod := range pods {
		id := fmt.Sprintf("{pod=%d code=%d}", pod, pod%2)
		lines = append(lines,
			"counter requests "+id+" 11s.."+at+" 10",
			"gauge temperature "+id+" -.."+at+" 10",
			"histogram latency "+id+" 11s.."+at+" [1 1 1 1]@[1 2 4] sum=4.5",
			"histogram nosum "+id+" 11s.."+at+" [1 1]@[1]",
			"exponential size "+id+" 11s.."+at+" scale=0 pos=0[1]",
			"summary quantiles "+id+" 11s.."+at+" count=5 sum=2.5 q0.5=0.4 q0.9=1",
		)
	}
	return lines
}

// reportWant is what 4 pods with two codes are, under reportRules.
var reportWant = []report.RuleMetric{
	{Metric: "latency", Type: "histogram", Streams: 4, StreamsAfter: 2, Series: 24, SeriesAfter: 10},
	{Metric: "nosum", Type: "histogram", Streams: 4, StreamsAfter: 2, Series: 12, SeriesAfter: 6},
	{Metric: "quantiles", Type: "summary", Streams: 4, StreamsAfter: 2, Series: 16, SeriesAfter: 4},
	{Metric: "requests", Type: "sum", Streams: 4, StreamsAfter: 2, Series: 4, SeriesAfter: 2},
	{Metric: "size", Type: "exponential_histogram", Streams: 4, StreamsAfter: 2, Series: 4, SeriesAfter: 2},
	{Metric: "temperature", Type: "gauge", Streams: 4, StreamsAfter: 2, Series: 4, SeriesAfter: 2},
}

// A rule in preview says what it does once it is enforced.
func TestPreviewAndEnforcementSayTheSame(t *testing.T) {
	s := newStage(t, hotConfig)
	defer s.die()
	preview := snapshotOf(t, 7, reportRules+"    mode: preview\n")
	s.sees(preview)
	began := s.now
	s.now = s.now.Add(5 * time.Second)
	s.feed(reportPoints(4, "5s"))
	want := report.RuleReport{Name: "hot", Mode: "preview", Since: began, Points: 24, Streams: 24, StreamsAfter: 12, Metrics: reportWant}
	require.Equal(t, []report.RuleReport{want}, local(s.reported()))

	s.sees(snapshotOf(t, 8, reportRules))
	require.Equal(t, []report.RuleReport{{Name: "hot", Mode: "enforce", Waiting: true}}, local(s.reported()))
	s.edge()
	began = s.now
	require.Equal(t, []report.RuleReport{{Name: "hot", Mode: "enforce", Since: began}}, local(s.reported()))
	s.now = s.now.Add(5 * time.Second)
	s.feed(reportPoints(4, "15s"))
	want.Mode, want.Since = "enforce", began
	require.Equal(t, []report.RuleReport{want}, local(s.reported()))
	s.edge()
	require.Equal(t, []report.RuleReport{want}, local(s.reported()))

	s.sees(snapshotOf(t, 9, "rules: []"))
	require.Equal(t, []report.RuleReport{want}, local(s.reported()), "until the edge")
	s.edge()
	require.Empty(t, s.reported())
}

// local brings times to the zone of the test.
func local(rules []report.RuleReport) []report.RuleReport {
	for i := range rules {
		if !rules[i].Since.IsZero() {
			rules[i].Since = rules[i].Since.UTC()
		}
	}
	return rules
}

func TestStaticRulesComeFirst(t *testing.T) {
	s := newStage(t, hotConfig+`
rules:
  - name: mine
    match: {metric: a}
    attributes: {drop: [pod]}
`)
	defer s.die()
	s.sees(snapshotOf(t, 7, dropPodRule))
	rules := s.reported()
	require.Len(t, rules, 2)
	require.True(t, rules[0].Static)
	require.Equal(t, "mine", rules[0].Name)
	require.False(t, rules[0].Waiting)
	require.False(t, rules[1].Static)
	require.True(t, rules[1].Waiting)
}

// Streams that ended, or went stale, do not count any more; after a restart those
// that were there do.
func TestOnlyLiveStreamsCount(t *testing.T) {
	s := newStage(t, hotConfig+"staleness: 20s\n")
	s.sees(snapshotOf(t, 7, dropPodRule))
	s.edge()
	f := func(streams, after uint64) {
		t.Helper()
		r := s.reported()[0]
		require.Equal(t, []uint64{streams, after}, []uint64{r.Streams, r.StreamsAfter})
	}
	s.now = s.now.Add(5 * time.Second)
	s.feed([]string{"counter requests {pod=a} 11s..15s 10", "counter requests {pod=b} 11s..15s 10", "counter requests {pod=c route=/} 11s..15s 1"})
	f(3, 2)
	s.edge()
	s.c.writeCheckpoint(t.Context())
	s.die()
	require.NoError(t, s.begin())
	f(3, 2)
	s.now = s.now.Add(5 * time.Second)
	s.feed([]string{"counter requests {pod=a} 11s..25s 11", "counter requests {pod=b} 11s..25s stale"})
	f(2, 2)
	for range 3 {
		s.edge()
	}
	f(0, 0)
	s.die()
}

// Beyond the bound metrics are one entry without a name.
func TestMetricsOfAReportAreBounded(t *testing.T) {
	for _, mode := range []string{"preview", "enforce"} {
		t.Run(mode, func(t *testing.T) {
			s := newStage(t, hotConfig)
			defer s.die()
			s.sees(snapshotOf(t, 7, dropPodRule+"    mode: "+mode+"\n"))
			s.edge()
			s.now = s.now.Add(5 * time.Second)
			var lines []string
			for metric := range 70 {
				for pod := range 1 + metric {
					lines = append(lines, fmt.Sprintf("counter m%d {pod=%d} 11s..15s 1", metric, pod))
				}
			}
			s.feed(lines)
			r := s.reported()[0]
			require.Len(t, r.Metrics, maxMeasured+1)
			require.Equal(t, uint64(70*71/2), r.Points)
			last := r.Metrics[maxMeasured]
			require.Empty(t, last.Metric)
			sum := last.Streams
			for i, m := range r.Metrics[:maxMeasured] {
				require.NotEmpty(t, m.Metric)
				require.True(t, i == 0 || m.Streams <= r.Metrics[i-1].Streams)
				sum += m.Streams
			}
			require.Equal(t, r.Streams, sum)
			if mode == "enforce" {
				require.Equal(t, uint64(70*71/2), r.Streams)
				require.Equal(t, uint64(1+2+3+4+5+6), last.Streams)
			} else {
				require.InEpsilon(t, 70*71/2, r.Streams, 0.02)
			}
		})
	}
}
