package fidelity_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/fidelity"
	"github.com/phoenix-platform/phoenix/control/policy"
)

func parse(t *testing.T, f experiment.Fidelity) *fidelity.Plan {
	t.Helper()
	p, err := fidelity.Parse(f)
	require.NoError(t, err)
	return p
}

// How far back a query reads, by all the ways there are to say it.
func TestLongestRange(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]time.Duration{
		`x`:                                  0,
		`rate(x[5m])`:                        5 * time.Minute,
		`rate(x[5m] offset 1h)`:              65 * time.Minute,
		`x offset 10m`:                       10 * time.Minute,
		`max_over_time(rate(x[5m])[30m:1m])`: 35 * time.Minute,
		`max_over_time(rate(x[5m])[30m:1m] offset 1h) > rate(x[2h])`:        2 * time.Hour,
		`max_over_time(max_over_time(x[1m:1s] offset 2m)[3m:1s] offset 4m)`: 10 * time.Minute,
		`vector(1)`: 0,
	} {
		assert.Equal(t, experiment.Duration(want), parse(t, queriesOf(expr)).LongestRange(), expr)
	}
}

func TestLongestRangeGoesThroughRecordingRules(t *testing.T) {
	t.Parallel()
	p := parse(t, rulesOf(`
groups:
  - name: a
    query_offset: 30s
    rules:
      - {record: "a:b:c", expr: "rate(x[5m])"}
      - {record: "d:e:f", expr: "max_over_time(a:b:c[10m]) + d:e:f"}
  - name: b
    rules:
      - {alert: A, expr: "avg_over_time(d:e:f[1h]) > 1", for: 20m, keep_firing_for: 5m}
      - {alert: B, expr: 'count_over_time(ALERTS{alertname="A"}[2h]) > 3'}
`))
	assert.Equal(t, experiment.Duration(25*time.Minute), p.LongestFor())
	// 2h of alerts that hold 25m, over 1h of 10m of 5m, and 30s twice.
	assert.Equal(t, experiment.Duration(2*time.Hour+25*time.Minute+time.Hour+10*time.Minute+5*time.Minute+time.Minute), p.LongestRange())
	assert.Equal(t, []string{"x"}, p.Names())
}

func TestNames(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"a", "b_bucket", "c", "d"},
		parse(t, queriesOf(`a + on() group_right histogram_quantile(0.9, rate(b_bucket[5m]))`, `{__name__="c"}`, `{__name__=~"c|d"}`)).Names())
	assert.Nil(t, parse(t, queriesOf(`a`, `{job="shop"}`)).Names())
	assert.Nil(t, parse(t, queriesOf(`{__name__=~"a.*"}`)).Names())
	assert.Empty(t, parse(t, queriesOf(`vector(1)`)).Names())
}

// All mistakes come at once, each with its key.
func TestParseReportsAllMistakes(t *testing.T) {
	t.Parallel()
	_, err := fidelity.Parse(experiment.Fidelity{
		RuleFiles: []experiment.Document{
			{Name: "good", Text: "groups: []"},
			{Name: "key", Text: "groups:\n  - {name: a, rules: [{alert: A, exprs: up}]}"},
			{Name: "expr", Text: "groups:\n  - {name: a, rules: [{alert: A, expr: 'sum(up'}, {record: 'b', expr: 'up', for: 1m}]}"},
		},
		Dashboards:     []experiment.Document{{Name: "no JSON", Text: "{"}, {Name: "empty", Text: `{"panels": []}`}},
		Queries:        []experiment.Query{{Name: "good", Expr: "up"}, {Name: "bad", Expr: "sum("}, {Name: "range", Expr: "up[5m]"}, {Name: "text", Expr: `"a"`}},
		CriticalAlerts: []string{"A"},
	})
	var found []string
	for _, e := range policy.AsErrors(err) {
		found = append(found, e.Path)
	}
	assert.Equal(t, []string{
		"rule_files[1].text", "rule_files[2].text", "rule_files[2].text", "dashboards[0].text", "dashboards[1].text",
		"queries[1].expr", "queries[2].expr", "queries[3].expr", "critical_alerts[0]",
	}, found)
	require.ErrorContains(t, err, "field exprs not found")
	require.ErrorContains(t, err, "unclosed left parenthesis")
	require.ErrorContains(t, err, "queries[2].expr: must be an instant vector or a scalar, is a range vector")
	require.ErrorContains(t, err, `critical_alerts[0]: must be an alert of rule_files, "A" is none`)
}

const board = `{"title": "Shop", "panels": [
  {"title": "Row", "type": "row", "panels": [{"title": "Inner", "targets": [{"refId": "A", "expr": "sum(rate(inner[$__rate_interval]))"}]}]},
  {"title": "Two", "targets": [
    {"refId": "A", "expr": "sum by (pod) (rate(two{cluster=\"$cluster\",namespace=~\"${namespace:regex}\",env!=\"[[env]]\"}[$__interval]))"},
    {"refId": "B", "expr": "sum(increase(two[$__range]))", "datasource": {"type": "prometheus", "uid": "$ds"}},
    {"refId": "C", "expr": "hidden", "hide": true}]},
  {"title": "Logs", "datasource": {"type": "loki"}, "targets": [{"refId": "A", "expr": "{app=\"x\"}"}]},
  {"title": "Library", "libraryPanel": {"uid": "x"}},
  {"title": "Broken", "targets": [{"refId": "A", "expr": "sum(rate(x[$unknown]))"}]},
  {"title": "Fixed", "targets": [{"refId": "A", "expr": "x @ 1700000000"}]},
  {"title": "Future", "targets": [{"refId": "A", "expr": "x offset -5m"}]},
  {"title": "Text", "type": "text"}
], "rows": [{"panels": [{"title": "Old", "targets": [{"refId": "A", "expr": "topk($top, old{instance=~\"$instance\"})"}]}]}],
"templating": {"list": [
  {"name": "ds", "type": "datasource", "current": {"value": "default"}},
  {"name": "cluster", "type": "query"},
  {"name": "namespace", "type": "query", "current": {"value": ["a", "b"]}},
  {"name": "env", "type": "custom", "query": "prod,test"},
  {"name": "top", "type": "textbox", "query": "5"},
  {"name": "instance", "type": "query", "includeAll": true, "allValue": ".+", "current": {"value": "$__all"}}
]}}`

func TestDashboard(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"model": board, "as the API wraps it": `{"meta": {}, "dashboard": ` + board + `}`} {
		p := parse(t, experiment.Fidelity{Dashboards: []experiment.Document{{Name: "Shop", Text: text}}})
		assert.Equal(t, []string{"inner", "old", "two", "x"}, p.Names(), name)
		assert.Equal(t, experiment.Duration(30*time.Minute), p.LongestRange(), name)
		assert.Equal(t, []string{
			"Shop/Inner: sum(rate(inner[2m]))",
			`Shop/Two A: sum by (pod) (rate(two{cluster=~".*",env!="prod",namespace=~"(a|b)"}[1m]))`,
			"Shop/Two B: sum(increase(two[30m]))",
			`Shop/Old: topk(5, old{instance=~".+"})`,
		}, p.Queries(), name)
		warnings := p.Warnings()
		require.Len(t, warnings, 5, name)
		assert.Equal(t, "Shop/Logs: its data source is loki", warnings[0])
		assert.Equal(t, "Shop/Library: it is a library panel, whose queries are elsewhere", warnings[1])
		assert.Contains(t, warnings[2], "Shop/Broken: it does not parse with its variables replaced: ")
		assert.Equal(t, "Shop/Fixed: it reads a fixed time (@), which may lie before the experiment", warnings[3])
		assert.Equal(t, "Shop/Future: it reads the future (a negative offset)", warnings[4])
	}
}
