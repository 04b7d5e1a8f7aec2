package api_test

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
)

// TestListsAgreeWithANaiveOne asks random questions about random metrics and
// compares with filtering by regular expression, a stable sort by name and then
// by number, and a cut.
func TestListsAgreeWithANaiveOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plane := control.New(control.Settings{})
		reports := map[string]report.Cardinality{}
		for _, point := range []string{"a", "b"} {
			c := randomReport(t)
			c.Point, c.Component = point, "cardinality/"+point
			reports[point] = c
			_, err := plane.RegisterCardinality(report.CardinalityRegistration{
				Component: c.Component, Point: point, Source: &controltest.Source{Answer: c},
			})
			require.NoError(t, err)
		}
		server := httptest.NewServer(plane.Handler())
		defer server.Close()
		client, err := api.NewClient(server.URL, server.Client())
		require.NoError(t, err)

		q := randomQuery(t)
		got, err := client.Cardinality(t.Context(), q)
		require.NoError(t, err)
		want, total := naiveList(reports, q)
		var names []string
		for _, m := range got.Metrics {
			names = append(names, m.Metric+"|"+m.Group+"|"+m.Point)
		}
		require.Equal(t, want, names)
		require.Equal(t, total, got.Total)
		require.Equal(t, total > len(want), got.Truncated)
	})
}

func randomReport(t *rapid.T) report.Cardinality {
	var c report.Cardinality
	small := rapid.Uint64Range(0, 3) // so that there are ties
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 11), 0, 12, rapid.ID[int]).Draw(t, "metrics") {
		m := report.MetricCardinality{
			Name:    []string{"a", "ab", "a.b", "b", "ba*", "é"}[n%6],
			Group:   []string{"", "g"}[n/6],
			Series:  small.Draw(t, "series"),
			Streams: small.Draw(t, "streams"),
			Points:  small.Draw(t, "points"),
			Growth:  report.Growth{NewPerMinute: float64(small.Draw(t, "growth")) / 2},
		}
		if saving := small.Draw(t, "saving"); saving > 0 {
			m.Best = &report.Saving{Attributes: []string{"x"}, Series: saving}
		}
		c.Metrics = append(c.Metrics, m)
	}
	return c
}

func randomQuery(t *rapid.T) api.CardinalityQuery {
	return api.CardinalityQuery{
		Point:  rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "point"),
		Metric: rapid.StringMatching(`[ab.é*?]{0,4}`).Draw(t, "metric"),
		Group:  rapid.StringMatching(`[g*?]{0,2}`).Draw(t, "group"),
		Sort:   rapid.SampledFrom(append([]api.Order{""}, api.Orders...)).Draw(t, "sort"),
		Limit:  rapid.IntRange(0, 8).Draw(t, "limit"),
	}
}

func naiveList(reports map[string]report.Cardinality, q api.CardinalityQuery) (names []string, total int) {
	type row struct {
		name   string
		metric report.MetricCardinality
	}
	var rows []row
	for _, point := range []string{"a", "b"} {
		if q.Point != "" && q.Point != point {
			continue
		}
		for _, m := range reports[point].Metrics {
			if naiveMatch(q.Metric, m.Name) && naiveMatch(q.Group, m.Group) {
				rows = append(rows, row{m.Name + "|" + m.Group + "|" + point, m})
			}
		}
	}
	sort.Slice(rows, func(i, j int) bool {
		return slices.Compare(strings.Split(rows[i].name, "|"), strings.Split(rows[j].name, "|")) < 0
	})
	if q.Sort != api.OrderName {
		sort.SliceStable(rows, func(i, j int) bool { return naiveNumber(q.Sort, rows[i].metric) > naiveNumber(q.Sort, rows[j].metric) })
	}
	for _, r := range rows {
		names = append(names, r.name)
	}
	limit := q.Limit
	if limit == 0 {
		limit = api.DefaultLimit
	}
	return names[:min(limit, len(names))], len(names)
}

func naiveNumber(order api.Order, m report.MetricCardinality) float64 {
	switch order {
	case api.OrderSaving:
		if m.Best == nil {
			return 0
		}
		return float64(m.Best.Series)
	case api.OrderGrowth:
		return m.Growth.NewPerMinute
	case api.OrderPoints:
		return float64(m.Points)
	case api.OrderStreams:
		return float64(m.Streams)
	default:
		return float64(m.Series)
	}
}

func naiveMatch(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	expr := regexp.QuoteMeta(pattern)
	expr = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(expr)
	return regexp.MustCompile(fmt.Sprintf("(?s)^(%s)$", expr)).MatchString(name)
}
