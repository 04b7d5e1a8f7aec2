package observability

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const dashboardFile = "grafana/phoenix.json"

// dashboard is what this dashboard uses of Grafana's model, version 1,
// https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/.
type dashboard struct {
	UID                  string         `json:"uid"`
	Title                string         `json:"title"`
	Description          string         `json:"description"`
	Tags                 []string       `json:"tags"`
	Timezone             string         `json:"timezone"`
	Editable             bool           `json:"editable"`
	GraphTooltip         int            `json:"graphTooltip"`
	SchemaVersion        int            `json:"schemaVersion"`
	Version              int            `json:"version"`
	Refresh              string         `json:"refresh"`
	FiscalYearStartMonth int            `json:"fiscalYearStartMonth"`
	WeekStart            string         `json:"weekStart"`
	LiveNow              bool           `json:"liveNow"`
	Time                 map[string]any `json:"time"`
	Timepicker           map[string]any `json:"timepicker"`
	Links                []struct {
		Title       string   `json:"title"`
		Type        string   `json:"type"`
		Icon        string   `json:"icon"`
		Tooltip     string   `json:"tooltip"`
		URL         string   `json:"url"`
		Tags        []string `json:"tags"`
		AsDropdown  bool     `json:"asDropdown"`
		TargetBlank bool     `json:"targetBlank"`
		IncludeVars bool     `json:"includeVars"`
		KeepTime    bool     `json:"keepTime"`
	} `json:"links"`
	Annotations struct {
		List []annotation `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// chosen is the data source that the user chooses at the top of the dashboard.
var chosen = datasource{Type: "prometheus", UID: "${datasource}"}

type annotation struct {
	Name        string     `json:"name"`
	BuiltIn     int        `json:"builtIn"`
	Type        string     `json:"type"`
	Enable      bool       `json:"enable"`
	Hide        bool       `json:"hide"`
	IconColor   string     `json:"iconColor"`
	Datasource  datasource `json:"datasource"`
	Expr        string     `json:"expr"`
	Step        string     `json:"step"`
	TitleFormat string     `json:"titleFormat"`
}

type variable struct {
	Type        string         `json:"type"`
	Name        string         `json:"name"`
	Label       string         `json:"label"`
	Datasource  datasource     `json:"datasource"`
	Definition  string         `json:"definition"`
	Query       string         `json:"query"`
	Refresh     int            `json:"refresh"`
	Sort        int            `json:"sort"`
	Multi       bool           `json:"multi"`
	IncludeAll  bool           `json:"includeAll"`
	AllValue    string         `json:"allValue"`
	Regex       string         `json:"regex"`
	Hide        int            `json:"hide"`
	Options     []any          `json:"options"`
	SkipURLSync bool           `json:"skipUrlSync"`
	Current     map[string]any `json:"current"`
}

type gridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type target struct {
	RefID        string     `json:"refId"`
	Datasource   datasource `json:"datasource"`
	EditorMode   string     `json:"editorMode"`
	Expr         string     `json:"expr"`
	LegendFormat string     `json:"legendFormat"`
	Instant      bool       `json:"instant"`
	Range        bool       `json:"range"`
	Format       string     `json:"format"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Collapsed   bool       `json:"collapsed"`
	Panels      []panel    `json:"panels"`
	GridPos     gridPos    `json:"gridPos"`
	Datasource  datasource `json:"datasource"`
	Targets     []target   `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit       string         `json:"unit"`
			Min        *float64       `json:"min"`
			Decimals   int            `json:"decimals"`
			Color      map[string]any `json:"color"`
			Thresholds map[string]any `json:"thresholds"`
			Mappings   []any          `json:"mappings"`
			Custom     map[string]any `json:"custom"`
		} `json:"defaults"`
		Overrides []any `json:"overrides"`
	} `json:"fieldConfig"`
	Options         map[string]any `json:"options"`
	Transformations []any          `json:"transformations"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var d dashboard
	require.NoError(t, decoder.Decode(&d))
	return d
}

// A dashboard that somebody exported carries what is true on their Grafana only.
func TestDashboardBelongsToNobody(t *testing.T) {
	d := readDashboard(t)
	assert.Equal(t, "phoenix", d.UID)
	assert.GreaterOrEqual(t, d.SchemaVersion, 39, "that of Grafana 11")
	require.NotEmpty(t, d.Templating.List)
	assert.Equal(t, "datasource", d.Templating.List[0].Name)
	assert.Equal(t, "prometheus", d.Templating.List[0].Query)
	for _, v := range d.Templating.List[1:] {
		assert.Equal(t, chosen, v.Datasource, v.Name)
		assert.Equal(t, v.Query, v.Definition, v.Name)
	}
	for _, p := range d.Panels {
		if p.Type == "row" {
			continue
		}
		assert.Equal(t, chosen, p.Datasource, p.Title)
		for _, target := range p.Targets {
			assert.Equal(t, chosen, target.Datasource, p.Title)
		}
	}
}

func TestDashboardPanelsAreComplete(t *testing.T) {
	ids, titles := map[int]string{}, map[string]bool{}
	for _, p := range readDashboard(t).Panels {
		assert.Empty(t, ids[p.ID], "%s has the id of another panel", p.Title)
		ids[p.ID] = p.Title
		assert.False(t, titles[p.Title], "two panels are called %s", p.Title)
		titles[p.Title] = true
		if p.Type == "row" {
			continue
		}
		assert.Contains(t, []string{"timeseries", "stat", "table"}, p.Type, p.Title)
		assert.NotEmpty(t, p.Description, p.Title)
		assert.NotEmpty(t, p.FieldConfig.Defaults.Unit, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		refs := map[string]bool{}
		for _, target := range p.Targets {
			assert.False(t, refs[target.RefID], "%s has two targets %s", p.Title, target.RefID)
			refs[target.RefID] = true
			assert.NotEqual(t, target.Instant, target.Range, "%s %s is either", p.Title, target.RefID)
			assert.Equal(t, strings.Count(target.Expr, "{"), strings.Count(target.Expr, `job=~"$job", instance=~"$instance"`),
				"%s %s follows the choice of job and instance", p.Title, target.RefID)
		}
	}
}

func TestDashboardPanelsDoNotOverlap(t *testing.T) {
	const columns = 24
	taken := map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, columns, p.Title)
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				assert.Empty(t, taken[[2]int{x, y}], "%s lies there too", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}
