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

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
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
func (c *collector) list(ctx context.Context, point string) (map[string]*phoenixv1.MetricEntry, error) {
	answer, err := c.api.ListCardinality(ctx, &phoenixv1.ListCardinalityRequest{Point: point, Limit: 10_000})
	if err != nil {
		return nil, err
	}
	if answer.GetTruncated() || int(answer.GetTotal()) != len(answer.GetMetrics()) {
		return nil, fmt.Errorf("%d metrics of %d, truncated %t", len(answer.GetMetrics()), answer.GetTotal(), answer.GetTruncated())
	}
	metrics := map[string]*phoenixv1.MetricEntry{}
	for _, m := range answer.GetMetrics() {
		metrics[m.GetMetric()] = m
	}
	if len(metrics) != int(answer.GetTotal()) {
		return nil, fmt.Errorf("%d metrics have %d names", answer.GetTotal(), len(metrics))
	}
	return metrics, nil
}

// detail returns the one entry of a metric at a point.
func (c *collector) detail(ctx context.Context, point, metric string) (*phoenixv1.MetricEntry, error) {
	answer, err := c.api.GetCardinality(ctx, &phoenixv1.GetCardinalityRequest{Metric: metric, Point: point})
	if err != nil {
		return nil, err
	}
	if len(answer.GetEntries()) != 1 {
		return nil, fmt.Errorf("metric %s at %s has %d entries", metric, point, len(answer.GetEntries()))
	}
	return answer.GetEntries()[0], nil
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
func judge(family *capture.Family, got *phoenixv1.MetricEntry) error {
	j := &judgement{metric: family.Name}
	j.equal("metric", family.Name, got.GetMetric())
	j.equal("type", typeNames[family.Type], got.GetType())
	j.equal("estimated", false, got.GetEstimated())
	j.equal("series", float64(family.Series), got.GetSeries())
	j.equal("streams", float64(family.Streams), got.GetStreams())
	wanted, labels := family.Labels, map[string]bool{}
	for _, a := range got.GetAttributes() {
		want := capture.LabelCount{Distinct: 1, SeriesWithout: family.Series}
		if a.GetLevel() == "datapoint" {
			want = wanted[a.GetKey()] // zero for a label that the text lacks
			labels[a.GetKey()] = true
			j.equal("name of "+a.GetAttribute(), a.GetKey(), a.GetAttribute())
			j.equal("label of "+a.GetAttribute(), a.GetKey(), a.GetLabel())
		}
		j.equal("distinct "+a.GetAttribute(), float64(want.Distinct), a.GetDistinct())
		j.saved(a.GetAttribute(), family.Series, want.SeriesWithout, a)
	}
	j.equal("labels", fmt.Sprint(slices.Sorted(maps.Keys(wanted))), fmt.Sprint(slices.Sorted(maps.Keys(labels))))
	for _, g := range got.GetGroups() {
		j.saved(fmt.Sprint(g.GetAttributes()), family.Series, family.SeriesWithout(g.GetAttributes()...), g)
	}
	j.best(family, got)
	return errors.Join(j.errs...)
}

// savedSeries is what an attribute, a group and the best saving say.
type savedSeries interface {
	GetSeriesWithout() float64
	GetSaving() float64
	GetSavingRatio() float64
}

func (j *judgement) saved(what string, series, without int, got savedSeries) {
	j.equal("series without "+what, float64(without), got.GetSeriesWithout())
	j.equal("saving of "+what, float64(series-without), got.GetSaving())
	j.equal("saving ratio of "+what, float64(series-without)/float64(series), got.GetSavingRatio())
}

// best must save as much as the best single attribute, and what it says.
func (j *judgement) best(family *capture.Family, got *phoenixv1.MetricEntry) {
	most := 0
	for _, l := range family.Labels {
		most = max(most, family.Series-l.SeriesWithout)
	}
	if got.GetBest() == nil {
		j.equal("saving without a best", 0, most)
		return
	}
	j.saved(fmt.Sprintf("best %v", got.GetBest().GetAttributes()), family.Series,
		family.SeriesWithout(got.GetBest().GetAttributes()...), got.GetBest())
	j.equal("best saves as much as any label", true, got.GetBest().GetSaving() >= float64(most))
}
