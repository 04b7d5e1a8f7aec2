package insight_test

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service/insight"
)

func list(t *testing.T, w *world, r *phoenixv1.ListCardinalityRequest) *phoenixv1.ListCardinalityResponse {
	t.Helper()
	answer, err := w.Cardinality.ListCardinality(as(t, "viewer"), r)
	require.NoError(t, err)
	return answer
}

func TestAnswers(t *testing.T) {
	w := newWorld(t)
	w.measure(ingest(), export())
	// Everything, in the default order
	requireGolden(t, "list.json", shown(t, list(t, w, &phoenixv1.ListCardinalityRequest{})))
	// Patterns, an order and a limit that cuts
	requireGolden(t, "list_filtered.json", shown(t, list(t, w, &phoenixv1.ListCardinalityRequest{
		Point: "ingest", Metric: "*.*", Sort: "saving", Limit: 2, Since: "5m",
	})))
	// An exact name, and a pattern for the group
	requireGolden(t, "list_group.json", shown(t, list(t, w, &phoenixv1.ListCardinalityRequest{Metric: "db.client.calls", Group: "ch?ck*"})))
	f := func(golden string, r *phoenixv1.GetCardinalityRequest) {
		t.Helper()
		answer, err := w.Cardinality.GetCardinality(as(t, "viewer"), r)
		require.NoError(t, err)
		requireGolden(t, golden, shown(t, answer))
	}
	// One metric at one point
	f("metric.json", &phoenixv1.GetCardinalityRequest{Metric: "http.server.request.duration"})
	// One metric in groups of two points
	f("metric_groups.json", &phoenixv1.GetCardinalityRequest{Metric: "db.client.calls", Since: "2m"})
}

func TestFilters(t *testing.T) {
	w := newWorld(t)
	w.measure(ingest(), export())
	f := func(filter string, want ...string) {
		t.Helper()
		answer := list(t, w, &phoenixv1.ListCardinalityRequest{Filter: filter, Sort: "name"})
		var names []string
		for _, m := range answer.GetMetrics() {
			names = append(names, strings.TrimRight(m.GetMetric()+" "+m.GetGroup(), " "))
		}
		assert.Equal(t, want, names, filter)
		assert.EqualValues(t, len(want), answer.GetTotal())
	}
	f(`type = "histogram" AND series > 1000`, "http.server.request.duration")
	f(`type = "gauge"`, "process.runtime/heap", "up")
	f("series <= 16", "process.runtime/heap", "up")
	f("streams = 19", "db.client.calls cart")
	f(`unit = "By"`, "process.runtime/heap")
	f(`group : "c"`, "db.client.calls cart", "db.client.calls checkout")
	f("exceeded = true", "http.server.request.duration")
	f("growing = true AND saving < 10000", "db.client.calls")
	f(`metric = "up" AND growing = false`, "up")
	f("series > 99999999999 AND series < 0")
	f("saving = 0", "db.client.calls cart", "up")
}

func TestNothingIsMeasured(t *testing.T) {
	w := newWorld(t)
	answer := list(t, w, &phoenixv1.ListCardinalityRequest{})
	assert.Empty(t, answer.GetPoints())
	assert.Empty(t, answer.GetMetrics())
	_, err := w.Cardinality.GetCardinality(as(t, "viewer"), &phoenixv1.GetCardinalityRequest{Metric: "up"})
	assert.Contains(t, refused(t, err, fault.NotFound).Detail, "give a cardinality processor the option control")
	_, err = w.Cardinality.ListCardinality(as(t, "viewer"), &phoenixv1.ListCardinalityRequest{Point: "x"})
	assert.Contains(t, refused(t, err, fault.NotFound).Detail, "none is registered")
}

// TestProblems keeps every way to ask wrongly, and what is answered, in one file
// that can be read aloud.
func TestProblems(t *testing.T) {
	w := newWorld(t)
	w.measure(ingest(), export())
	var transcript strings.Builder
	say := func(asked proto.Message, err error) {
		t.Helper()
		var f *fault.Fault
		require.ErrorAs(t, err, &f, "%v", asked)
		fmt.Fprintf(&transcript, "%s\n%d %s\n", strings.TrimSpace(shown(t, asked)), f.HTTPStatus(), f.Detail)
		for _, v := range f.Violations {
			fmt.Fprintf(&transcript, "  %s: %s\n", v.Field, v.Description)
		}
		if f.Suggestions != nil {
			fmt.Fprintf(&transcript, "  nearest: %s\n", strings.Join(f.Suggestions, ", "))
		}
		transcript.WriteString("\n")
	}
	all := func(r *phoenixv1.ListCardinalityRequest) {
		t.Helper()
		_, err := w.Cardinality.ListCardinality(as(t, "viewer"), r)
		say(r, err)
	}
	one := func(r *phoenixv1.GetCardinalityRequest) {
		t.Helper()
		_, err := w.Cardinality.GetCardinality(as(t, "viewer"), r)
		say(r, err)
	}
	// Several bad parameters at once
	all(&phoenixv1.ListCardinalityRequest{Limit: 10_001, Sort: "size", Since: "-5m", Filter: "series ~ 5", PageToken: "AA"})
	// Each bound of each parameter
	all(&phoenixv1.ListCardinalityRequest{Since: "5"})
	all(&phoenixv1.ListCardinalityRequest{Metric: strings.Repeat("a", 1025)})
	all(&phoenixv1.ListCardinalityRequest{Filter: `mtric = "up"`})
	all(&phoenixv1.ListCardinalityRequest{Filter: `type = "sum" OR type = "gauge"`})
	// A page of another list
	other := list(t, w, &phoenixv1.ListCardinalityRequest{Limit: 1}).GetNextPageToken()
	_, err := w.Cardinality.ListCardinality(as(t, "viewer"), &phoenixv1.ListCardinalityRequest{Sort: "name", PageToken: other})
	require.Equal(t, "page_token", refused(t, err, fault.Invalid).Violations[0].Field)
	// What the window does not hold
	all(&phoenixv1.ListCardinalityRequest{Since: "6m"})
	all(&phoenixv1.ListCardinalityRequest{Since: "11m", Point: "ingest"})
	// Unknown things
	all(&phoenixv1.ListCardinalityRequest{Point: "egress"})
	one(&phoenixv1.GetCardinalityRequest{Metric: "up", Point: "egress"})
	one(&phoenixv1.GetCardinalityRequest{Metric: "up", Point: "export"})
	one(&phoenixv1.GetCardinalityRequest{Metric: "db.client.calls", Group: "payment"})
	one(&phoenixv1.GetCardinalityRequest{})
	one(&phoenixv1.GetCardinalityRequest{Metric: strings.Repeat("a", 1025), Since: "x"})
	// Near names: the backend's, a typo, a sibling, none
	one(&phoenixv1.GetCardinalityRequest{Metric: "http_server_request_duration_seconds_bucket"})
	one(&phoenixv1.GetCardinalityRequest{Metric: "http.server.request.duratoin"})
	one(&phoenixv1.GetCardinalityRequest{Metric: "db.client.errors"})
	one(&phoenixv1.GetCardinalityRequest{Metric: "zzz"})
	requireGolden(t, "problems.txt", transcript.String())
}

func TestAFailureInsideIsNotTold(t *testing.T) {
	w := newWorld(t)
	w.measure(ingest())
	w.set(func() { w.sick = errors.New("password is hunter2") })
	_, err := w.Cardinality.ListCardinality(as(t, "viewer"), &phoenixv1.ListCardinalityRequest{})
	f := refused(t, err, fault.Internal)
	assert.NotContains(t, f.Detail, "hunter2")
	assert.ErrorContains(t, f.Cause, "hunter2", "for the log")
}

func TestStrangeNumbersAndNames(t *testing.T) {
	w := newWorld(t)
	w.measure(report.Cardinality{
		Point: "p", Component: "c\xff", Backend: "otlp", Window: time.Minute, Refused: map[string]uint64{"r\xff": 1},
		Metrics: []report.MetricCardinality{{
			Name: "bad\xff\x00name", Group: "\"<script>\u2028", RelativeError: math.NaN(),
			Growth:     report.Growth{NewPerMinute: math.Inf(1)},
			Attributes: []report.AttributeCardinality{{Key: "\xfe", Level: report.LevelScope}, {Key: "bare"}},
			Best:       &report.Saving{},
		}},
	})
	answer := list(t, w, &phoenixv1.ListCardinalityRequest{Sort: "growth"})
	_, err := proto.Marshal(answer)
	require.NoError(t, err, "proto takes UTF-8 only")
	m := answer.GetMetrics()[0]
	assert.Equal(t, "bad\uFFFD\x00name", m.GetMetric())
	assert.Zero(t, m.GetRelativeError())
	assert.Zero(t, m.GetGrowth().GetNewSeriesPerMinute())
	for _, name := range []string{"bad\xff\x00name", m.GetMetric()} { // by its bytes, and as it is shown
		detail, err := w.Cardinality.GetCardinality(as(t, "viewer"), &phoenixv1.GetCardinalityRequest{Metric: name})
		require.NoError(t, err)
		_, err = proto.Marshal(detail)
		require.NoError(t, err)
		assert.Len(t, detail.GetEntries()[0].GetAttributes(), 2)
	}
	_, err = w.Cardinality.GetCardinality(as(t, "viewer"), &phoenixv1.GetCardinalityRequest{Metric: "unknown\xff"})
	requireRefused(t, err, fault.NotFound)
}

// TestListsAgreeWithANaiveOne asks random questions about random metrics, page
// by page, and compares with filtering by regular expression, a stable sort by
// name and then by number, and a cut.
func TestListsAgreeWithANaiveOne(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		reports := map[string]report.Cardinality{}
		for _, point := range []string{"a", "b"} {
			c := randomReport(rt)
			c.Point, c.Component = point, "cardinality/"+point
			reports[point] = c
		}
		w.measure(reports["a"], reports["b"])
		q := &phoenixv1.ListCardinalityRequest{
			Point:  rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "point"),
			Metric: rapid.StringMatching(`[ab.é*?]{0,4}`).Draw(rt, "metric"),
			Group:  rapid.StringMatching(`[g*?]{0,2}`).Draw(rt, "group"),
			Sort:   string(rapid.SampledFrom(append([]insight.Order{""}, insight.Orders...)).Draw(rt, "sort")),
			Limit:  rapid.Uint32Range(1, 8).Draw(rt, "limit"),
		}
		want := naiveList(reports, q)
		var names []string
		for page := 0; ; page++ {
			got := list(t, w, q)
			require.EqualValues(rt, len(want), got.GetTotal())
			for _, m := range got.GetMetrics() {
				names = append(names, m.GetMetric()+"|"+m.GetGroup()+"|"+m.GetPoint())
			}
			require.Equal(rt, got.GetNextPageToken() != "", got.GetTruncated())
			if q.PageToken = got.GetNextPageToken(); q.PageToken == "" {
				break
			}
			require.Len(rt, got.GetMetrics(), int(q.GetLimit()), "only the last page is short")
			require.Less(rt, page, 30)
		}
		require.Equal(rt, want, names)
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

func naiveList(reports map[string]report.Cardinality, q *phoenixv1.ListCardinalityRequest) (names []string) {
	type row struct {
		name   string
		metric report.MetricCardinality
	}
	var rows []row
	for _, point := range []string{"a", "b"} {
		if q.GetPoint() != "" && q.GetPoint() != point {
			continue
		}
		for _, m := range reports[point].Metrics {
			if naiveMatch(q.GetMetric(), m.Name) && naiveMatch(q.GetGroup(), m.Group) {
				rows = append(rows, row{m.Name + "|" + m.Group + "|" + point, m})
			}
		}
	}
	sort.Slice(rows, func(i, j int) bool {
		return slices.Compare(strings.Split(rows[i].name, "|"), strings.Split(rows[j].name, "|")) < 0
	})
	if order := insight.Order(q.GetSort()); order != insight.OrderName {
		sort.SliceStable(rows, func(i, j int) bool { return naiveNumber(order, rows[i].metric) > naiveNumber(order, rows[j].metric) })
	}
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}

func naiveNumber(order insight.Order, m report.MetricCardinality) float64 {
	switch order {
	case insight.OrderSaving:
		if m.Best == nil {
			return 0
		}
		return float64(m.Best.Series)
	case insight.OrderGrowth:
		return m.Growth.NewPerMinute
	case insight.OrderPoints:
		return float64(m.Points)
	case insight.OrderStreams:
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
