//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

// twoWaysConfig measures what is scraped and what is sent.
const twoWaysConfig = `
extensions:
  phoenix_control:
    endpoint: localhost:%[1]d
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:%[2]d
        max_recv_msg_size_mib: 32
  prometheus:
    config:
      scrape_configs:
        - job_name: kube-apiserver
          scrape_interval: 1s
          static_configs:
            - targets: [%[3]q]
processors:
  cardinality/scraped:
    point: scraped
    control: phoenix_control
  cardinality/sent:
    point: sent
    control: phoenix_control
exporters:
  nop:
service:
  extensions: [phoenix_control]
  pipelines:
    metrics/scraped:
      receivers: [prometheus]
      processors: [cardinality/scraped]
      exporters: [nop]
    metrics/sent:
      receivers: [otlp]
      processors: [cardinality/sent]
      exporters: [nop]
` + quiet

// sender sends metrics over OTLP as an application would.
func sender(t *testing.T, port int) func(pmetric.Metrics) {
	t.Helper()
	connection, err := grpc.NewClient(fmt.Sprintf("localhost:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	client := pmetricotlp.NewGRPCClient(connection)
	return func(md pmetric.Metrics) {
		t.Helper()
		answer, err := client.Export(t.Context(), pmetricotlp.NewExportRequestFromMetrics(md))
		require.NoError(t, err)
		require.Zero(t, answer.PartialSuccess().RejectedDataPoints(), answer.PartialSuccess().ErrorMessage())
	}
}

// The backend bills the same series whichever way a metric comes.
func TestSentCaptureCostsWhatTheScrapedOneCosts(t *testing.T) {
	t.Parallel()
	first := readRounds(t)[0]
	families := countRounds(t, first)
	controlPort, otlpPort := freePort(t), freePort(t)
	c := startCollector(t, fmt.Sprintf(twoWaysConfig, controlPort, otlpPort, serveRounds(t, first)), controlPort)

	now := time.Now()
	md, err := capture.Metrics(first, capture.Origin{
		Job: "kube-apiserver", Instance: "api-0:6443", Start: now.Add(-time.Hour), Time: now,
	})
	require.NoError(t, err)
	sender(t, otlpPort)(md)

	poll(t, patience, func(ctx context.Context) error {
		byScrape, err := c.list(ctx, "scraped")
		if err != nil {
			return err
		}
		byOTLP, err := c.list(ctx, "sent")
		if err != nil {
			return err
		}
		if len(byOTLP) != len(families) || len(byScrape) != len(families)+len(scrapeMetrics) {
			return fmt.Errorf("%d metrics scraped, %d sent, want %d sent and %v scraped too", len(byScrape), len(byOTLP), len(families), scrapeMetrics)
		}
		var errs []error
		for name := range families {
			was, is := byScrape[name], byOTLP[name]
			if was.Series != is.Series || was.Streams != is.Streams || was.BackendName != is.BackendName {
				errs = append(errs, fmt.Errorf("%s: scraped as %s with %v series of %v streams, sent as %s with %v of %v", name,
					was.BackendName, was.Series, was.Streams, is.BackendName, is.Series, is.Streams))
			}
		}
		return errors.Join(errs...)
	})
	poll(t, patience, func(ctx context.Context) error { return c.agreesWith(ctx, "sent", families) })
}
