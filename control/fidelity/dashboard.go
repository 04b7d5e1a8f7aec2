package fidelity

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/phoenix-platform/phoenix/control/experiment"
)

// What Grafana's own variables stand for: what a viewer of the last 30 minutes
// gets whose data source is scraped every 30 seconds.
var grafanaVariables = map[string]string{
	"__interval": "1m", "__interval_ms": "60000",
	"__rate_interval": "2m", "__rate_interval_ms": "120000",
	"__range": "30m", "__range_s": "1800", "__range_ms": "1800000",
}

// everything stands for all values of a variable. In a matcher for equality it
// becomes a regular expression.
const everything = ".*"

// dashboardJSON is what is read of Grafana's model of a dashboard.
type dashboardJSON struct {
	Title      string      `json:"title"`
	Panels     []panelJSON `json:"panels"`
	Rows       []panelJSON `json:"rows"` // before Grafana 5
	Templating struct {
		List []variableJSON `json:"list"`
	} `json:"templating"`
}

type panelJSON struct {
	Title        string          `json:"title"`
	Type         string          `json:"type"`
	Panels       []panelJSON     `json:"panels"`
	Targets      []targetJSON    `json:"targets"`
	DataSource   json.RawMessage `json:"datasource"`
	LibraryPanel json.RawMessage `json:"libraryPanel"`
}

type targetJSON struct {
	Expr       string          `json:"expr"`
	RefID      string          `json:"refId"`
	Hide       bool            `json:"hide"`
	DataSource json.RawMessage `json:"datasource"`
}

type variableJSON struct {
	Name       string          `json:"name"`
	Type       string          `json:"type"`
	Query      json.RawMessage `json:"query"`
	IncludeAll bool            `json:"includeAll"`
	AllValue   string          `json:"allValue"`
	Current    struct {
		Value json.RawMessage `json:"value"`
	} `json:"current"`
}

// dashboard reads a Grafana dashboard, also one that is wrapped as Grafana's API
// does.
func (b *builder) dashboard(key string, d experiment.Document) {
	var wrapped struct {
		Dashboard *dashboardJSON `json:"dashboard"`
		dashboardJSON
	}
	if err := json.Unmarshal([]byte(d.Text), &wrapped); err != nil {
		b.fail(key, "must be a Grafana dashboard as JSON: %s", err)
		return
	}
	board := wrapped.dashboardJSON
	if wrapped.Dashboard != nil {
		board = *wrapped.Dashboard
	}
	before := len(b.queries)
	variables := variablesOf(board.Templating.List)
	for _, p := range slices.Concat(board.Panels, board.Rows) {
		b.panel(d.Name, p, variables)
	}
	if len(b.queries) == before {
		b.fail(key, "has no panel with a query")
	}
}

// panel adds the queries of a panel and of those in it, if it is a row.
func (b *builder) panel(board string, p panelJSON, variables map[string]string) {
	for _, inner := range p.Panels {
		b.panel(board, inner, variables)
	}
	name := board + "/" + p.Title
	if len(p.Targets) == 0 && len(p.LibraryPanel) > 0 && string(p.LibraryPanel) != "null" {
		b.unjudged(name, "it is a library panel, whose queries are elsewhere")
	}
	for _, t := range p.Targets {
		if t.Hide {
			continue
		}
		one := name
		if len(p.Targets) > 1 {
			one += " " + t.RefID
		}
		if why := foreign(t.DataSource, p.DataSource); why != "" {
			b.unjudged(one, why)
			continue
		}
		b.target(one, t, variables)
	}
}

func (b *builder) target(name string, t targetJSON, variables map[string]string) {
	if strings.TrimSpace(t.Expr) == "" {
		b.unjudged(name, "it has no PromQL expression")
		return
	}
	expr, err := b.parser.ParseExpr(substitute(t.Expr, variables))
	if err != nil {
		b.unjudged(name, fmt.Sprintf("it does not parse with its variables replaced: %s", err))
		return
	}
	if why := notAnInstant(expr); why != "" {
		b.unjudged(name, "it "+why)
		return
	}
	widen(expr)
	b.add(query{kind: panel, name: name}, expr)
}

// foreign says if the data comes from something else than Prometheus.
func foreign(sources ...json.RawMessage) string {
	for _, raw := range sources {
		var source struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(raw, &source) != nil || source.Type == "" || strings.HasPrefix(source.Type, "$") {
			continue // a name or a variable: what has an expr is taken for PromQL
		}
		if source.Type == "prometheus" || source.Type == "datasource" {
			return ""
		}
		return "its data source is " + source.Type
	}
	return ""
}

// variablesOf are the values that replace a dashboard's variables: what was
// chosen when it was saved, and everything where nothing or all was.
func variablesOf(list []variableJSON) map[string]string {
	values := make(map[string]string, len(list))
	for _, v := range list {
		values[v.Name] = v.value()
	}
	return values
}

func (v variableJSON) value() string {
	var one string
	var many []string
	if json.Unmarshal(v.Current.Value, &one) != nil {
		_ = json.Unmarshal(v.Current.Value, &many)
	} else {
		many = []string{one}
	}
	var query string
	if len(many) == 0 && json.Unmarshal(v.Query, &query) == nil {
		switch v.Type {
		case "constant", "textbox":
			many = []string{query}
		case "custom", "interval":
			many = []string{strings.TrimSpace(strings.Split(query, ",")[0])}
		}
	}
	switch {
	case v.Type == "interval" && (len(many) == 0 || strings.HasPrefix(many[0], "$__auto")):
		return grafanaVariables["__interval"]
	case slices.Contains(many, "$__all"):
		if v.AllValue != "" {
			return v.AllValue
		}
		return everything
	case len(many) == 0 || v.Type == "query" && len(many) == 1 && many[0] == "":
		return everything
	case len(many) == 1:
		return many[0]
	}
	return "(" + strings.Join(many, "|") + ")"
}

// variableText is $name, ${name}, ${name:format} or [[name]].
var variableText = regexp.MustCompile(`\$(\w+)|\$\{(\w+)(?::[^}]*)?\}|\[\[(\w+)(?::[^\]]*)?\]\]`)

// substitute replaces variables. One that nobody defines stays, and does not
// parse.
func substitute(expr string, variables map[string]string) string {
	return variableText.ReplaceAllStringFunc(expr, func(text string) string {
		groups := variableText.FindStringSubmatch(text)
		name := groups[1] + groups[2] + groups[3]
		if value, ok := grafanaVariables[name]; ok {
			return value
		}
		if value, ok := variables[name]; ok {
			return value
		}
		return text
	})
}

// widen turns equality with everything into a match of all values, which is what
// a viewer sees who goes through them.
func widen(expr parser.Expr) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		vs, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for i, m := range vs.LabelMatchers {
			if m.Type == labels.MatchEqual && m.Value == everything {
				vs.LabelMatchers[i] = labels.MustNewMatcher(labels.MatchRegexp, m.Name, everything)
			}
		}
		return nil
	})
}
