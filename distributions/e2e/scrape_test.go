//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

// scrapeConfig measures at two points of one pipeline, and writes what the
// receiver sent and what came out.
const scrapeConfig = `
extensions:
  phoenix_control:
    endpoint: localhost:%[1]d
receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: kube-apiserver
          scrape_interval: 1s
          static_configs:
            - targets: [%[2]q]
processors:
  cardinality/ingest:
    point: ingest
    control: phoenix_control
  cardinality/egress:
    point: egress
    control: phoenix_control
exporters:
  file/before:
    path: %[3]q
  file/after:
    path: %[4]q
service:
  extensions: [phoenix_control]
  pipelines:
    metrics/before:
      receivers: [prometheus]
      exporters: [file/before]
    metrics/measured:
      receivers: [prometheus]
      processors: [cardinality/ingest, cardinality/egress]
      exporters: [file/after]
` + quiet

// A scraped kube-apiserver is counted exactly: every metric, every label. And
// measuring changes nothing.
func TestScrapedCaptureIsCountedExactly(t *testing.T) {
	t.Parallel()
	first := readRounds(t)[0]
	families := countRounds(t, first)
	require.Contains(t, families, requestDuration)
	port, folder := freePort(t), t.TempDir()
	before, after := filepath.Join(folder, "before.json"), filepath.Join(folder, "after.json")
	c := startCollector(t, fmt.Sprintf(scrapeConfig, port, serveRounds(t, first), before, after), port)

	poll(t, patience, func(ctx context.Context) error { return c.agreesWith(ctx, "ingest", families) })
	poll(t, patience, func(ctx context.Context) error { return c.agreesWith(ctx, "egress", families) })
	list, err := c.list(t.Context(), "ingest")
	require.NoError(t, err)
	maps.DeleteFunc(list, func(name string, _ *phoenixv1.MetricEntry) bool { return families[name] != nil })
	assert.Equal(t, scrapeMetrics, slices.Sorted(maps.Keys(list)), "what is measured and not in the text")

	require.NoError(t, c.stop(t))
	assertSameLines(t, before, after)
}

// agreesWith judges every family, so that an error says all that is wrong. It
// gives up at once as long as the first scrape is not in.
func (c *collector) agreesWith(ctx context.Context, point string, families map[string]*capture.Family) error {
	list, err := c.list(ctx, point)
	if err != nil {
		return err
	}
	var errs []error
	for name, family := range families {
		listed, found := list[name]
		if !found {
			errs = append(errs, fmt.Errorf("%s: not measured at %s", name, point))
			continue
		}
		got, err := c.detail(ctx, point, name)
		if err != nil {
			return err
		}
		if listed.Series != got.Series || listed.Streams != got.Streams {
			errs = append(errs, fmt.Errorf("%s: the list says %v series, the detail %v", name, listed.Series, got.Series))
		}
		errs = append(errs, judge(family, got))
	}
	const enough = 20 // to see what is wrong
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) > enough {
		errs = append(errs[:enough], fmt.Errorf("and %d more", len(errs)-enough))
	}
	return errors.Join(errs...)
}

// assertSameLines compares two files of the file exporter: a line is a batch,
// and both pipelines got the same ones.
func assertSameLines(t *testing.T, before, after string) {
	t.Helper()
	want, err := os.ReadFile(before)
	require.NoError(t, err)
	got, err := os.ReadFile(after)
	require.NoError(t, err)
	require.Contains(t, string(want), requestDuration, "something went through")
	if !bytes.Equal(want, got) {
		wantLines, gotLines := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
		assert.Len(t, gotLines, len(wantLines), "batches")
		for i := range min(len(wantLines), len(gotLines)) {
			assert.True(t, bytes.Equal(wantLines[i], gotLines[i]), "batch %d is unchanged", i)
		}
	}
}
