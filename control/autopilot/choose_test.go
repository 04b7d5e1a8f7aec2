package autopilot_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/autopilot"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func config() autopilot.Config {
	c := autopilot.DefaultConfig()
	c.Enabled, c.Groups, c.RuleFiles = true, []string{"cart", "web-*"}, []string{"rules.yaml"}
	return c
}

func metric(name, group, kind string, series, saved uint64, attributes ...string) report.MetricCardinality {
	return report.MetricCardinality{
		Name: name, Group: group, Type: kind, Series: series,
		Best: &report.Saving{Attributes: attributes, SeriesWithout: series - saved, Series: saved},
	}
}

func world(metrics ...report.MetricCardinality) autopilot.World {
	return autopilot.World{
		Cardinality: report.Cardinality{Point: "ingest", GroupBy: "service.name", Metrics: metrics},
		RuleFiles:   []experiment.Document{{Name: "rules.yaml", Text: "groups: []"}},
	}
}

func TestTheLargestSavingIsProposed(t *testing.T) {
	p, why := autopilot.Choose(config(), world(
		metric("requests", "cart", "sum", 20000, 18000, "pod", "resource.host.name"),
		metric("latency", "web-eu", "histogram", 90000, 60000, "pod"),
	), noon)
	require.Empty(t, why)
	assert.Equal(t, uint64(60000), p.Saving)
	assert.Regexp(t, `^auto-latency-[0-9a-f]{8}$`, p.Name)
	s := p.Spec
	require.NoError(t, s.Validate())
	assert.Equal(t, "default/"+p.Name, s.ID)
	assert.Equal(t, experiment.ModeMirror, s.Mode)
	assert.Equal(t, map[string]string{"resource.service.name": "web-eu"}, s.Scope)
	assert.Equal(t, []string{"latency"}, s.Metrics)
	assert.Equal(t, []string{"point.pod"}, s.Rules[0].Attributes.Drop)
	assert.True(t, s.Approval.Promote, "whether it is promoted is decided when it could be")
	assert.Equal(t, "rules.yaml", s.Fidelity.RuleFiles[0].Name)
}

func TestWhatIsNotProposed(t *testing.T) {
	good := metric("requests", "cart", "sum", 20000, 18000, "pod")
	first, _ := autopilot.Choose(config(), world(good), noon)
	require.NotNil(t, first)
	const nothing = "nothing that may be touched would save enough"
	for name, c := range map[string]struct {
		change func(*autopilot.Config, *autopilot.World)
		why    string
	}{
		"a gauge":          {func(_ *autopilot.Config, w *autopilot.World) { w.Cardinality.Metrics[0].Type = "gauge" }, nothing},
		"another group":    {func(_ *autopilot.Config, w *autopilot.World) { w.Cardinality.Metrics[0].Group = "bank" }, nothing},
		"no group":         {func(_ *autopilot.Config, w *autopilot.World) { w.Cardinality.Metrics[0].Group = "" }, nothing},
		"never to touch":   {func(c *autopilot.Config, _ *autopilot.World) { c.NeverTouch = []string{"req*"} }, nothing},
		"too little":       {func(c *autopilot.Config, _ *autopilot.World) { c.MinSeries = 18001 }, nothing},
		"too small a part": {func(c *autopilot.Config, _ *autopilot.World) { c.MinRatio = 0.95 }, nothing},
		"nothing to save":  {func(_ *autopilot.Config, w *autopilot.World) { w.Cardinality.Metrics[0].Best = nil }, nothing},
		"its own scope": {func(_ *autopilot.Config, w *autopilot.World) {
			w.Cardinality.Metrics[0].Best.Attributes = []string{"resource.service.name"}
		}, nothing},
		"tried before": {func(_ *autopilot.Config, w *autopilot.World) {
			w.Tried = map[string]time.Time{first.Name: noon.Add(-1000 * time.Hour)}
		}, nothing},
		"a policy has it": {func(_ *autopilot.Config, w *autopilot.World) {
			w.Rules = []policy.Rule{{Match: policy.Match{Metric: "re*"}}}
		}, nothing},
		"another one's": {func(_ *autopilot.Config, w *autopilot.World) {
			w.Active = []experiment.Active{{ID: "shop/x", Spec: first.Spec}}
		}, nothing},
		"no budget groups": {func(_ *autopilot.Config, w *autopilot.World) { w.Cardinality.GroupBy = "" }, `the cardinality processor at "ingest" has no group_by, which an experiment needs as its scope`},
		"too many at once": {func(_ *autopilot.Config, w *autopilot.World) { w.Active = []experiment.Active{{ID: "default/auto-x"}} }, "1 of its experiments run, as many as may (max_running)"},
		"too many in a day": {func(c *autopilot.Config, w *autopilot.World) {
			c.MaxPerDay, w.Tried = 1, map[string]time.Time{"auto-x": noon.Add(-time.Hour)}
		}, "1 experiments began in the last 24 hours, as many as may (max_per_day)"},
		"quiet hours": {func(c *autopilot.Config, _ *autopilot.World) {
			c.QuietHours = []autopilot.QuietHours{{From: "11:00", To: "13:00"}}
		}, "these are quiet hours"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, w := config(), world(metric("requests", "cart", "sum", 20000, 18000, "pod"))
			c.change(&cfg, &w)
			p, why := autopilot.Choose(cfg, w, noon)
			assert.Nil(t, p)
			assert.Equal(t, c.why, why)
		})
	}
	old := world(good)
	old.Tried = map[string]time.Time{"auto-x": noon.Add(-25 * time.Hour), "auto-y-split": noon}
	cfg := config()
	cfg.MaxPerDay = 1
	p, _ := autopilot.Choose(cfg, old, noon)
	assert.NotNil(t, p, "yesterday's do not count, nor do second stages")
}

// waiting is a mirror experiment that waits for its approval only.
func waiting(t *testing.T, c autopilot.Config) (experiment.Spec, experiment.State) {
	t.Helper()
	c.MinDuration = 0
	w := world(metric("requests", "cart", "sum", 20000, 18000, "pod"))
	p, why := autopilot.Choose(c, w, noon)
	require.Empty(t, why)
	spec := p.Spec
	now := noon
	s, _, _, err := experiment.Apply(spec, experiment.NewState(now), experiment.Command{Kind: experiment.CommandStart}, now)
	require.NoError(t, err)
	for i := range uint64(10) {
		now = now.Add(spec.Interval.Std())
		arm := &experiment.Arm{Series: 10}
		s, _, _ = experiment.Step(spec, s, experiment.Observation{
			Seq: i + 1, SpecHash: s.SpecHash, Baseline: arm, Candidate: arm,
			Router:   experiment.RouterReport{Lease: experiment.LeaseHeld, Epoch: s.Lease.Epoch},
			Criteria: []experiment.CriterionVerdict{{Measure: experiment.MeasureSeries, Verdict: experiment.VerdictMet}},
			Fidelity: &experiment.FidelityVerdict{Alerts: experiment.Tally{Total: 2, Identical: 2}},
		}, now)
	}
	require.Equal(t, experiment.PhaseRunning, s.Phase, s.Reasons)
	return spec, s
}

func TestHowItGoesOn(t *testing.T) {
	c := config()
	spec, s := waiting(t, c)
	assert.Equal(t, autopilot.StepNothing, c.Next(spec, s, noon), "a person approves")
	c.Approval = false
	assert.Equal(t, autopilot.StepApprove, c.Next(spec, s, noon))
	c.QuietHours = []autopilot.QuietHours{{From: "00:00", To: "00:00"}}
	assert.Equal(t, autopilot.StepNothing, c.Next(spec, s, noon))
	c.QuietHours, c.Split.Enabled, c.Split.Steps = nil, true, []int{10, 100}
	assert.Equal(t, autopilot.StepSplit, c.Next(spec, s, noon))
	s.Held = []experiment.Reason{{Code: experiment.ReasonMinJudged}}
	assert.Equal(t, autopilot.StepNothing, c.Next(spec, s, noon), "something else is missing")

	second := c.InSteps(spec)
	require.NoError(t, second.Validate())
	assert.Equal(t, spec.ID+"-split", second.ID)
	assert.Equal(t, experiment.ModeSplit, second.Mode)
	assert.Equal(t, []experiment.WeightStep{{Weight: 10}, {Weight: 100}}, second.Steps)
	assert.Equal(t, experiment.ModeMirror, spec.Mode, "the first stage stays as it was")
}

func TestQuietHoursPassMidnight(t *testing.T) {
	c := config()
	c.QuietHours = []autopilot.QuietHours{{From: "22:00", To: "06:00", Zone: "Europe/Berlin"}}
	for hour, quiet := range map[int]bool{20: false, 21: true, 23: true, 4: true, 5: false, 12: false} { // UTC; Berlin is an hour ahead
		assert.Equal(t, quiet, c.Quiet(time.Date(2026, 11, 24, hour, 0, 0, 0, time.UTC)), "%d:00", hour)
	}
}

func TestConfigIsCheckedOnceItIsOn(t *testing.T) {
	c := autopilot.Config{Namespace: "/", Groups: []string{"["}, Split: autopilot.SplitConfig{Steps: []int{5, 5, 101}, Dwell: -1}, QuietHours: []autopilot.QuietHours{{From: "x"}, {From: "01:00", To: "02:00", Zone: "Mars"}}}
	require.NoError(t, c.Validate())
	c.Enabled = true
	require.EqualError(t, c.Validate(), `namespace: must consist of letters, digits and ._-, got "/"
groups[0]: must be a name or a pattern with *, got "["
rule_files, dashboards: at least one is needed: without queries nobody knows which labels are
min_ratio: must be above 0 and below 1, got 0
min_judged: must be above 0 and at most 1, got 0
max_per_day, max_running: must be positive, got 0 and 0
interval, min_duration: must be positive, got 0s and 0s
quiet_hours[0]: from: must be a time such as 22:00, got "x"
quiet_hours[1]: zone: unknown time zone Mars
split::steps[1]: must rise, up to 100, got 5
split::steps[2]: must rise, up to 100, got 101
split::dwell: must be positive, got -1ns`)
	defaults := autopilot.DefaultConfig()
	require.NoError(t, defaults.Validate())
}
