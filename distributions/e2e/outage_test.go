//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/control/store/postgrestest"
)

// outageConfig applies policies of a control plane whose store is PostgreSQL.
const outageConfig = `
extensions:
  phoenix_control:
    endpoint: localhost:%[1]d
    postgres: {dsn: %[3]q}
    kill_switch_file: %[4]q
    request_timeout: 5s
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:%[2]d
processors:
  tag_consolidation:
    control: phoenix_control
    interval: 1s
    writer: none
exporters:
  file:
    path: %[5]q
    flush_interval: 50ms
service:
  extensions: [phoenix_control]
  pipelines:
    metrics:
      receivers: [otlp]
      processors: [tag_consolidation]
      exporters: [file]
` + quiet

const ordersPods = 8

// orders is one order of each pod, as delta sums.
func orders() pmetric.Metrics {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("shop_orders")
	sum := m.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	now := time.Now()
	for pod := range ordersPods {
		p := sum.DataPoints().AppendEmpty()
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Millisecond)))
		p.SetTimestamp(pcommon.NewTimestampFromTime(now))
		p.SetIntValue(1)
		p.Attributes().PutStr("pod", fmt.Sprintf("cart-%d", pod))
	}
	return md
}

// exported counts the orders in the exporter's file, and of them those of the
// last lines that still say which pod they are of.
func exported(t *testing.T, path string) (sum, ofPods int64) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, 0 // nothing came out yet
	}
	var unmarshaler pmetric.JSONUnmarshaler
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		md, err := unmarshaler.UnmarshalMetrics(bytes.TrimSpace(line))
		require.NoError(t, err)
		for _, resource := range md.ResourceMetrics().All() {
			for _, scope := range resource.ScopeMetrics().All() {
				for _, metric := range scope.Metrics().All() {
					for _, p := range metric.Sum().DataPoints().All() {
						sum += p.IntValue()
						if _, there := p.Attributes().Get("pod"); there {
							ofPods += p.IntValue()
						}
					}
				}
			}
		}
	}
	return sum, ofPods
}

// ask sends a request to the API and returns status and body.
func ask(ctx context.Context, t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, string(text)
}

// The database dies: the API says 503, the data path goes on with the rules that
// it has, the kill switch still works, and no order is lost.
func TestDataFlowsWhileTheStoreIsGone(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t)
	out, kill := filepath.Join(t.TempDir(), "out.json"), filepath.Join(t.TempDir(), "stop")
	controlPort, otlpPort := freePort(t), freePort(t)
	c := startCollector(t, fmt.Sprintf(outageConfig, controlPort, otlpPort, server.NewDatabase(t), kill, out), controlPort)
	policies := fmt.Sprintf("http://localhost:%d/api/v1/policies", controlPort)
	status, said := ask(t.Context(), t, http.MethodPost, policies,
		`{"name": "drop-pod", "spec": {"rules": [{"match": {"metric": "shop_*"}, "attributes": {"drop": ["pod"]}}]}}`)
	require.Equal(t, http.StatusCreated, status, said)
	status, said = ask(t.Context(), t, http.MethodPost, policies+"/default/drop-pod:enforce", `{"force": true}`)
	require.Equal(t, http.StatusOK, status, said)

	send := sender(t, otlpPort)
	var sent atomic.Int64
	sending, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sending.Err() == nil {
			send(orders())
			sent.Add(ordersPods)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	defer func() { stop(); <-done }()

	// settled waits until what comes out has lost its pods, or has them again.
	settled := func(withPods bool, atMost time.Duration) {
		t.Helper()
		poll(t, atMost, func(context.Context) error {
			sumBefore, podsBefore := exported(t, out)
			time.Sleep(300 * time.Millisecond)
			sum, pods := exported(t, out)
			if sum == sumBefore || (pods-podsBefore == sum-sumBefore) != withPods || !withPods && pods != podsBefore {
				return fmt.Errorf("of %d more orders %d name a pod", sum-sumBefore, pods-podsBefore)
			}
			return nil
		})
	}
	settled(false, patience)

	require.NoError(t, server.Crash())
	poll(t, patience, func(ctx context.Context) error {
		if status, said := ask(ctx, t, http.MethodGet, policies, ""); status != http.StatusServiceUnavailable || !json.Valid([]byte(said)) {
			return fmt.Errorf("answered %d: %s", status, said)
		}
		return nil
	})
	before := sent.Load()
	time.Sleep(3 * time.Second)
	assert.Greater(t, sent.Load(), before, "data flows")
	settled(false, 5*time.Second)

	require.NoError(t, os.WriteFile(kill, nil, 0o600))
	settled(true, 2*time.Second) // a second, and what watching takes
	require.NoError(t, os.Remove(kill))
	settled(false, patience)

	require.NoError(t, server.Restart())
	poll(t, patience, func(ctx context.Context) error {
		if status, said := ask(ctx, t, http.MethodGet, policies+"/default/drop-pod", ""); status != http.StatusOK {
			return fmt.Errorf("answered %d: %s", status, said)
		}
		return nil
	})
	settled(false, patience)
	stop()
	<-done
	require.NoError(t, c.stop(t))
	sum, _ := exported(t, out)
	assert.Equal(t, sent.Load(), sum, "every order came out, once")
}
