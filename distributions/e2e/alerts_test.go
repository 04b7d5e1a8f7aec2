package e2e

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// This file has no build tag: it needs no binary and no server.

const (
	alertsFolder = "../observability/prometheus"
	alertsFile   = alertsFolder + "/phoenix-alerts.yaml"
	alertsTests  = alertsFolder + "/phoenix-alerts.test.yaml"
)

// alertTests is a file for `promtool test rules`,
// https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/,
// as far as ours goes.
type alertTests struct {
	RuleFiles          []string         `yaml:"rule_files"`
	EvaluationInterval model.Duration   `yaml:"evaluation_interval"`
	Tests              []alertTestGroup `yaml:"tests"`
}

type alertTestGroup struct {
	Name        string         `yaml:"name"`
	Interval    model.Duration `yaml:"interval"`
	InputSeries []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	AlertRuleTests []alertTest `yaml:"alert_rule_test"`
}

type alertTest struct {
	EvalTime  model.Duration `yaml:"eval_time"`
	Alertname string         `yaml:"alertname"`
	ExpAlerts []struct {
		ExpLabels      map[string]string `yaml:"exp_labels"`
		ExpAnnotations map[string]string `yaml:"exp_annotations"`
	} `yaml:"exp_alerts"`
}

func readAlertTests(t *testing.T) alertTests {
	t.Helper()
	file, err := os.Open(alertsTests)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	var tests alertTests
	require.NoError(t, decoder.Decode(&tests))
	return tests
}

func readAlerts(t *testing.T) *rulefmt.RuleGroups {
	t.Helper()
	groups, errs := rulefmt.ParseFile(alertsFile, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	return groups
}

// Alerts have what whoever is woken by them needs: how bad it is, what it is
// about, and a section of the operations manual that says what to do.
func TestAlertsLeadToTheOperationsManual(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operations-manual.md")
	require.NoError(t, err)
	const address = "https://github.com/phoenix-platform/phoenix/blob/main/docs/operations-manual.md#"
	var names []string
	for _, group := range readAlerts(t).Groups {
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
			assert.Contains(t, []string{"critical", "warning", "info"}, rule.Labels["severity"], rule.Alert)
			assert.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			assert.NotEmpty(t, rule.Annotations["description"], rule.Alert)
			assert.Equal(t, address+strings.ToLower(rule.Alert), rule.Annotations["runbook_url"])
			assert.Contains(t, string(manual), "\n#### "+rule.Alert+"\n", "the section that the runbook_url names")
		}
	}
	require.NotEmpty(t, names)
	assert.Len(t, slices.Compact(slices.Sorted(slices.Values(names))), len(names), "no name twice")
	for line := range strings.Lines(string(manual)) {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), "#### Phoenix"); found {
			assert.Contains(t, names, "Phoenix"+name, "the manual explains an alert that there is not")
		}
	}
}

// Every alert fires when it should and not before, as Prometheus evaluates it.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	tests := readAlertTests(t)
	require.Equal(t, []string{filepath.Base(alertsFile)}, tests.RuleFiles)
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, group := range tests.Tests {
		for _, test := range group.AlertRuleTests {
			if len(test.ExpAlerts) > 0 {
				fires[test.Alertname] = true
			} else {
				rests[test.Alertname] = true
			}
		}
		t.Run(group.Name, func(t *testing.T) {
			group.run(t, time.Duration(tests.EvaluationInterval))
		})
	}
	var names []string
	for _, group := range readAlerts(t).Groups {
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
		}
	}
	slices.Sort(names)
	assert.Equal(t, names, slices.Sorted(maps.Keys(fires)), "alerts that a test wants to fire")
	assert.Equal(t, names, slices.Sorted(maps.Keys(rests)), "alerts that a test wants not to fire")
}

// run evaluates the rules over the series, as promtool does.
func (g alertTestGroup) run(t *testing.T, interval time.Duration) {
	t.Helper()
	var load strings.Builder
	load.WriteString("load " + time.Duration(g.Interval).String() + "\n")
	for _, series := range g.InputSeries {
		load.WriteString("  " + series.Series + " " + series.Values + "\n")
	}
	suite, err := promqltest.NewLazyLoader(load.String(), promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, suite.Close()) }()
	suite.SubqueryInterval = interval
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:  rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()),
		Appendable: suite.Storage(),
		Context:    suite.Context(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
		Logger:     slog.New(slog.DiscardHandler),
	})
	groups, errs := manager.LoadGroups(interval, labels.EmptyLabels(), "", nil, false, alertsFile)
	require.Empty(t, errs)

	tests := slices.Clone(g.AlertRuleTests)
	slices.SortStableFunc(tests, func(a, b alertTest) int { return int(a.EvalTime - b.EvalTime) })
	for now := time.Duration(0); len(tests) > 0; now += interval {
		at := time.Unix(0, 0).UTC().Add(now)
		suite.WithSamplesTill(at, func(err error) { require.NoError(t, err) })
		for _, group := range groups {
			group.Eval(suite.Context(), at)
			for _, rule := range group.Rules() {
				require.NoError(t, rule.LastError(), rule.Name())
			}
		}
		for len(tests) > 0 && time.Duration(tests[0].EvalTime) < now+interval {
			tests[0].check(t, groups)
			tests = tests[1:]
		}
	}
}

func (a alertTest) check(t *testing.T, groups map[string]*rules.Group) {
	t.Helper()
	type alert struct{ Labels, Annotations map[string]string }
	want, got := []alert{}, []alert{}
	for _, expected := range a.ExpAlerts {
		all := map[string]string{labels.AlertName: a.Alertname}
		maps.Copy(all, expected.ExpLabels)
		want = append(want, alert{all, expected.ExpAnnotations})
	}
	for _, group := range groups {
		for _, rule := range group.AlertingRules() {
			for _, active := range rule.ActiveAlerts() {
				if rule.Name() == a.Alertname && active.State == rules.StateFiring {
					got = append(got, alert{active.Labels.Map(), active.Annotations.Map()})
				}
			}
		}
	}
	assert.ElementsMatch(t, want, got, "%s after %s", a.Alertname, a.EvalTime)
}
