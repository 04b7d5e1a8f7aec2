//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/internal/testkit/synthetic"
)

// syntheticConfig has short sub-windows, because a group of labels is found in
// one and counted in the next.
const syntheticConfig = `
extensions:
  phoenix_control:
    endpoint: localhost:%[1]d
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:%[2]d
processors:
  cardinality/ingest:
    point: ingest
    control: phoenix_control
    window: 40s
    sub_windows: 4
exporters:
  nop:
service:
  extensions: [phoenix_control]
  pipelines:
    metrics:
      receivers: [otlp]
      processors: [cardinality/ingest]
      exporters: [nop]
` + quiet

// tolerance is the promise: 2 % of the metric's series.
const tolerance = 0.02

// A metric of 200,000 series is estimated within 2 % of its series, label by
// label, and the labels that save only together are found.
func TestLargeMetricIsEstimatedWithinTwoPercent(t *testing.T) {
	t.Parallel()
	metric, err := synthetic.New(synthetic.Settings{Seed: 20_260_801})
	require.NoError(t, err)
	controlPort, otlpPort := freePort(t), freePort(t)
	c := startCollector(t, fmt.Sprintf(syntheticConfig, controlPort, otlpPort), controlPort)
	send := sendAll(metric, sender(t, otlpPort))

	send()
	poll(t, patience, func(ctx context.Context) error { return withinTolerance(ctx, c, metric) })
	// Its series keep coming, as they would, until the group is found.
	poll(t, 2*time.Minute, func(ctx context.Context) error {
		send()
		return findsPods(ctx, c, metric)
	})
	require.NoError(t, withinTolerance(t.Context(), c, metric), "the same after the window moved")
	require.NoError(t, c.stop(t))
}

// sendAll returns a function that sends every series once, with a value that
// grows from call to call.
func sendAll(metric *synthetic.Metric, send func(pmetric.Metrics)) func() {
	begin, value := time.Now(), int64(0)
	return func() {
		value++
		from := synthetic.Origin{Service: "shop", Start: begin, Time: time.Now()}
		const pointsPerBatch = 5_000 // below gRPC's 4 MiB
		for md := range metric.Batches(pointsPerBatch, value, from) {
			send(md)
		}
	}
}

func near(metric *synthetic.Metric, what string, want int, got float64) error {
	off := math.Abs(got - float64(want))
	if off <= tolerance*float64(metric.Series()) {
		return nil
	}
	return fmt.Errorf("%s: want %d, got %v, off by %.1f %% of the series", what, want, got, 100*off/float64(metric.Series()))
}

func withinTolerance(ctx context.Context, c *collector, metric *synthetic.Metric) error {
	got, err := c.detail(ctx, "ingest", metric.Name())
	if err != nil {
		return err
	}
	errs := []error{near(metric, "series", metric.Series(), got.Series), near(metric, "streams", metric.Series(), got.Streams)}
	var seen []string
	for _, a := range got.Attributes {
		key := a.Attribute
		if a.Level == "datapoint" {
			seen = append(seen, key)
		}
		errs = append(errs, near(metric, "series without "+key, metric.SeriesWithout(key), a.SeriesWithout))
		if want := metric.Distinct(key); a.Level == "datapoint" && math.Abs(a.Distinct-float64(want)) > 0.05*float64(want) {
			errs = append(errs, fmt.Errorf("distinct %s: want %d, got %v", key, want, a.Distinct))
		}
	}
	slices.Sort(seen)
	if want := slices.Sorted(slices.Values(metric.Labels())); !slices.Equal(want, seen) {
		errs = append(errs, fmt.Errorf("attributes: want %v, got %v", want, seen))
	}
	return errors.Join(errs...)
}

// findsPods wants a group with the three names of a pod, and the right number
// for whatever the group holds.
func findsPods(ctx context.Context, c *collector, metric *synthetic.Metric) error {
	got, err := c.detail(ctx, "ingest", metric.Name())
	if err != nil {
		return err
	}
	pods := []string{synthetic.LabelPod, synthetic.LabelPodUID, synthetic.LabelInstance}
	at := slices.IndexFunc(got.Groups, func(g *phoenixv1.AttributeGroup) bool {
		return !slices.ContainsFunc(pods, func(pod string) bool { return !slices.Contains(g.Attributes, pod) })
	})
	if at < 0 {
		return fmt.Errorf("no group of %v among %v", pods, got.Groups)
	}
	group := got.Groups[at]
	return near(metric, fmt.Sprintf("series without %v", group.Attributes),
		metric.SeriesWithout(group.Attributes...), group.SeriesWithout)
}
