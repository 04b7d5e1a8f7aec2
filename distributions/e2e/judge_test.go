//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
	"github.com/phoenix-platform/phoenix/internal/testkit/replay"
)

const requestDuration = "apiserver_request_duration_seconds"

var (
	// exampleRounds is the capture that the example replays.
	exampleRounds = filepath.Join(root, "examples", "kube-apiserver", "rounds")
	// scrapeMetrics are not in the text: what the Prometheus receiver says about
	// each scrape, and the series in which Prometheus keeps the attributes of a
	// resource that are no labels. Sorted.
	scrapeMetrics = []string{
		"scrape_duration_seconds", "scrape_samples_post_metric_relabeling",
		"scrape_samples_scraped", "scrape_series_added", "target_info", "up",
	}
	// typeNames are what the API calls the types of Prometheus.
	typeNames = map[string]string{
		capture.TypeCounter: "sum", capture.TypeGauge: "gauge", capture.TypeHistogram: "histogram",
		capture.TypeSummary: "summary", capture.TypeUntyped: "gauge",
	}
)

func readRounds(t *testing.T) []capture.Round {
	t.Helper()
	rounds, err := capture.Read(os.DirFS(exampleRounds))
	require.NoError(t, err)
	return rounds
}

func countRounds(t *testing.T, rounds ...capture.Round) map[string]*capture.Family {
	t.Helper()
	families, err := capture.Count(rounds...)
	require.NoError(t, err)
	return families
}

// serveRounds serves rounds, one a scrape, and returns host and port.
func serveRounds(t *testing.T, rounds ...capture.Round) string {
	t.Helper()
	handler, err := replay.New(replay.Settings{Rounds: rounds})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// list returns everything that is measured at a point, by metric.
func (c *collector) list(ctx context.Context, point string) (map[string]api.Metric, error) {
	answer, err := c.api.Cardinality(ctx, api.CardinalityQuery{Point: point, Limit: api.MaxLimit})
	if err != nil {
		return nil, err
	}
	if answer.Truncated || answer.Total != len(answer.Metrics) {
		return nil, fmt.Errorf("%d metrics of %d, truncated %t", len(answer.Metrics), answer.Total, answer.Truncated)
	}
	metrics := map[string]api.Metric{}
	for _, m := range answer.Metrics {
		metrics[m.Metric] = m
	}
	if len(metrics) != answer.Total {
		return nil, fmt.Errorf("%d metrics have %d names", answer.Total, len(metrics))
	}
	return metrics, nil
}

// detail returns the one entry of a metric at a point.
func (c *collector) detail(ctx context.Context, point, metric string) (api.MetricDetail, error) {
	answer, err := c.api.MetricCardinality(ctx, metric, api.MetricQuery{Point: point})
	if err != nil {
		return api.MetricDetail{}, err
	}
	if len(answer.Entries) != 1 {
		return api.MetricDetail{}, fmt.Errorf("metric %s at %s has %d entries", metric, point, len(answer.Entries))
	}
	return answer.Entries[0], nil
}

// judgement compares a metric's entry with the oracle's count and collects
// what differs.
type judgement struct {
	metric string
	errs   []error
}

func (j *judgement) equal(what string, want, got any) {
	if want != got {
		j.errs = append(j.errs, fmt.Errorf("%s: %s: want %v, got %v", j.metric, what, want, got))
	}
}

// judge compares everything that the API says about a metric with the oracle.
// Attributes of the resource and the scope say who was scraped: one target, so
// that they have one value and save nothing.
func judge(family *capture.Family, got api.MetricDetail) error {
	j := &judgement{metric: family.Name}
	j.equal("metric", family.Name, got.Metric.Metric)
	j.equal("type", typeNames[family.Type], got.Type)
	j.equal("estimated", false, got.Estimated)
	j.equal("series", uint64(family.Series), got.Series)
	j.equal("streams", uint64(family.Streams), got.Streams)
	wanted, labels := family.Labels, map[string]bool{}
	for _, a := range got.Attributes {
		want := capture.LabelCount{Distinct: 1, SeriesWithout: family.Series}
		if a.Level == "datapoint" {
			want = wanted[a.Key] // zero for a label that the text lacks
			labels[a.Key] = true
			j.equal("name of "+a.Attribute, a.Key, a.Attribute)
			j.equal("label of "+a.Attribute, a.Key, a.Label)
		}
		j.equal("distinct "+a.Attribute, uint64(want.Distinct), a.Distinct)
		j.saved(a.Attribute, family.Series, want.SeriesWithout, a.Saved)
	}
	j.equal("labels", fmt.Sprint(slices.Sorted(maps.Keys(wanted))), fmt.Sprint(slices.Sorted(maps.Keys(labels))))
	for _, g := range got.Groups {
		j.saved(fmt.Sprint(g.Attributes), family.Series, family.SeriesWithout(g.Attributes...), g.Saved)
	}
	j.best(family, got)
	return errors.Join(j.errs...)
}

func (j *judgement) saved(what string, series, without int, got api.Saved) {
	j.equal("series without "+what, uint64(without), got.SeriesWithout)
	j.equal("saving of "+what, uint64(series-without), got.Saving)
	j.equal("saving ratio of "+what, float64(series-without)/float64(series), got.SavingRatio)
}

// best must save as much as the best single attribute, and what it says.
func (j *judgement) best(family *capture.Family, got api.MetricDetail) {
	most := 0
	for _, l := range family.Labels {
		most = max(most, family.Series-l.SeriesWithout)
	}
	if got.Best == nil {
		j.equal("saving without a best", 0, most)
		return
	}
	j.saved(fmt.Sprintf("best %v", got.Best.Attributes), family.Series,
		family.SeriesWithout(got.Best.Attributes...), got.Best.Saved)
	j.equal("best saves as much as any label", true, got.Best.Saving >= uint64(most))
}
