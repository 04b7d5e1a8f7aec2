//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// troubleConfig and troubleSamplingConfig bring about all that the dashboard
// shows. Here the pipeline metrics works, though its bounds are too narrow for what
// comes; nothing that goes into the others comes out.
const troubleConfig = `
extensions:
  phoenix_control:
    endpoint: localhost:%[1]d
    directory: %[5]s/control
    access:
      rate_limits:
        refused: {per_second: 0.01, burst: 2}
  file_storage:
    directory: %[5]s/state
    create_directory: true
  file_storage/full:
    directory: %[5]s/full-%[7]d # another one at each start: it could not begin with one that is full
    create_directory: true
    max_size: 40000
  file_storage/tight:
    directory: %[5]s/tight-%[7]d
    create_directory: true
    max_size: 40000
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:%[2]d
  otlp/refused:
    protocols:
      grpc:
        endpoint: localhost:%[3]d
processors:
  memory_limiter:
    check_interval: 1s
    limit_mib: 1000
  memory_limiter/full:
    check_interval: 1s
    limit_mib: 1
  cardinality/ingest:
    point: ingest
    control: phoenix_control
    window: 4s
    max_metrics: 6
    limits:
      - {match: shop.requests, max_series: 3}
  cardinality/egress:
    point: egress
    control: phoenix_control
    window: 4s
  tag_consolidation: &consolidation
    storage: file_storage
    control: phoenix_control
    interval: 1s
    staleness: 3s
    heartbeat: 1s
    checkpoint: 1s
    max_streams: 25
    rules:
      - name: mixed
        match: {metric: shop.mixed}
        attributes: {drop: [pod]}
        gauge: last
      - name: looked
        match: {metric: shop.looked}
        attributes: {drop: [pod]}
        mode: preview
      - name: shop
        match: {metric: "shop.*", types: [sum, histogram]}
        attributes: {drop: [pod]}
      - name: gauges
        match: {metric: "shop.*", types: [gauge]}
        attributes: {drop: [pod]}
  tag_consolidation/full:
    <<: *consolidation
    storage: file_storage/full
exporters:
  debug:
  otlp_http/gone:
    endpoint: http://127.0.0.1:1
    retry_on_failure: {enabled: false}
  otlp_http/hangs:
    endpoint: http://%[6]s
    sending_queue: {queue_size: 1, num_consumers: 1, sizer: requests}
service:
  extensions: [phoenix_control, file_storage, file_storage/full, file_storage/tight]
  pipelines:
    metrics:
      receivers: [otlp]
      processors: [memory_limiter, cardinality/ingest, tag_consolidation, cardinality/egress]
      exporters: [debug, otlp_http/gone]
    metrics/full:
      receivers: [otlp/refused]
      processors: [tag_consolidation/full]
      exporters: [otlp_http/hangs]
    metrics/refused:
      receivers: [otlp/refused]
      processors: [memory_limiter/full]
      exporters: [debug]
  telemetry:
    metrics:
      level: normal
      readers:
        - pull: {exporter: {prometheus: {host: localhost, port: %[4]d}}}
`

// troubled is a collector with that configuration.
type troubled struct {
	*process
	dir, deaf              string
	viewer                 string // an API key that may only look
	address                string
	port, telemetryPort    int
	otlpPort, troubledPort int
	clients                map[int]*senders
}

func startTroubled(t *testing.T) *troubled {
	t.Helper()
	// A server that takes requests and never answers.
	deaf, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = deaf.Close() })
	port := freePort(t)
	c := &troubled{
		port: port, address: fmt.Sprintf("http://localhost:%d", port), telemetryPort: freePort(t), otlpPort: freePort(t), troubledPort: freePort(t),
		dir: t.TempDir(), deaf: deaf.Addr().String(), clients: map[int]*senders{},
	}
	for _, port := range []int{c.otlpPort, c.troubledPort} {
		c.clients[port] = newSenders(t, port)
	}
	c.begin(t, 1)
	return c
}

// begin starts the collector, for the first time or again.
func (c *troubled) begin(t *testing.T, run int) {
	t.Helper()
	cmd := collectorCommand(t, fmt.Sprintf(troubleConfig, c.port, c.otlpPort, c.troubledPort, c.telemetryPort, c.dir, c.deaf, run))
	cmd.Args = append(cmd.Args, "--config", "yaml:"+troubleSamplingConfig)
	c.process = start(t, cmd)
	poll(t, patience, func(ctx context.Context) error {
		select {
		case <-c.ended:
			require.FailNow(t, "the collector ended at its start", tail(c.output.String(), 20))
		default:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		err = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			err = errors.New(answer.Status)
		}
		return err
	})
}

// liveThroughTrouble sends data, kills the collector, and goes on until the end
// of the test with other pods and with all that the control plane has to tell of.
func (c *troubled) liveThroughTrouble(t *testing.T) {
	t.Helper()
	stop := c.live(t, "before", nil)
	<-time.After(4 * time.Second)
	stop()
	require.NoError(t, syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL))
	<-c.ended
	c.begin(t, 2)
	c.setUpControl(t)
	t.Cleanup(c.live(t, "after", c.useControl))
	<-time.After(5 * time.Second)
	c.control(t, http.StatusOK, http.MethodPost, "killSwitch:engage", `{"reason": "a test"}`)
}

// control asks the API, wants a status, and returns what it says.
func (c *troubled) control(t *testing.T, status int, method, path, body string) string {
	t.Helper()
	got, said := ask(t.Context(), t, method, c.address+"/api/v1/"+path, body)
	require.Equal(t, status, got, "%s %s: %s", method, path, said)
	return said
}

// setUpControl makes prices, a policy in force and an experiment.
func (c *troubled) setUpControl(t *testing.T) {
	t.Helper()
	c.control(t, http.StatusOK, http.MethodPut, "priceModels/list", `{"currency": "EUR", "effective": "2026-01-01",
		"components": [{"name": "series", "kind": "active_series", "price": "1"}]}`)
	c.control(t, http.StatusOK, http.MethodPost, "priceModels/list:activate", `{}`)
	c.control(t, http.StatusCreated, http.MethodPost, "policies?preview=true", fmt.Sprintf(dropPod, 0))
	c.control(t, http.StatusOK, http.MethodPost, "policies/default/drop-pod:enforce", `{"force": true}`)
	c.control(t, http.StatusCreated, http.MethodPost, "experiments", moveHalf)
	c.control(t, http.StatusOK, http.MethodPost, "experiments/default/tried:start", `{}`)
	said := c.control(t, http.StatusCreated, http.MethodPost, "apiKeys", `{"name": "viewer", "grants": ["viewer:default"]}`)
	var key struct{ Secret string }
	require.NoError(t, json.Unmarshal([]byte(said), &key))
	c.viewer = key.Secret
}

const dropPod = `{"name": "drop-pod",
	"spec": {"description": "Change %d", "rules": [{"match": {"metric": "cart.*"}, "attributes": {"drop": ["pod"]}}]}}`

// useControl changes the policy, and is refused to whoever may only look.
func (c *troubled) useControl(ctx context.Context, n int) error {
	policy := c.address + "/api/v1/policies/default/drop-pod"
	for _, do := range []struct {
		method, body, key string
		status            int
	}{
		{http.MethodPut, fmt.Sprintf(dropPod, n), "", http.StatusOK},
		{http.MethodDelete, "", c.viewer, http.StatusForbidden},
	} {
		request, err := http.NewRequestWithContext(ctx, do.method, policy, strings.NewReader(do.body))
		if err != nil {
			return err
		}
		if do.body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		if do.key != "" {
			request.Header.Set("Authorization", "Bearer "+do.key)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		if err := answer.Body.Close(); err != nil {
			return err
		}
		if answer.StatusCode != do.status {
			return fmt.Errorf("%s %s: %s", do.method, policy, answer.Status)
		}
	}
	return nil
}

// live sends a batch five times a second, and does what else is to be done, until
// stop is called. What goes to the second receiver is refused, and that is what
// it is for.
func (c *troubled) live(t *testing.T, pods string, also func(context.Context, int) error) (stop func()) {
	t.Helper()
	ended, end := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		ctx, began, refused := context.WithoutCancel(ended), time.Now(), 0
		for n := 0; ended.Err() == nil; n++ {
			now := <-tick.C
			md, td, ld := troubledBatch(pods, began, now, n), troubledSpans(pods, now, n), troubledRecords(pods, now, n)
			metrics, traces, logs := c.clients[c.troubledPort].send(ctx, md, td, ld)
			if metrics != nil && traces != nil && logs != nil {
				refused++
			}
			err := errors.Join(c.clients[c.otlpPort].send(ctx, md, td, ld))
			if err == nil && also != nil {
				err = also(ctx, n)
			}
			if err != nil {
				done <- err
				return
			}
		}
		if refused == 0 {
			done <- errors.New("the second receiver has memory limiters and a queue that are full, and refused nothing")
		}
		close(done)
	}()
	return func() {
		end()
		require.NoError(t, <-done)
	}
}

// troubledBatch has something wrong of every kind.
func troubledBatch(pods string, began, now time.Time, n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	r := md.ResourceMetrics().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", "shop")
	metrics := r.ScopeMetrics().AppendEmpty().Metrics()
	sum := func(name, pod string, at time.Time) pmetric.NumberDataPoint {
		m := metrics.AppendEmpty()
		m.SetName(name)
		s := m.SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := s.DataPoints().AppendEmpty()
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
		p.SetTimestamp(pcommon.NewTimestampFromTime(at))
		p.Attributes().PutStr("pod", pod)
		return p
	}
	sum("shop.late", pods, now).SetIntValue(int64(n))
	sum("shop.late", pods, now.Add(-time.Second)).SetIntValue(int64(n))
	sum("shop.resets", pods, now).SetIntValue(int64(1 + n%2))
	sum("shop.broken", pods, now).SetDoubleValue(math.NaN())
	sum("shop.mixed", pods, now).SetIntValue(int64(n))
	for pod := range 12 {
		sum("shop.requests", fmt.Sprintf("%s-%d", pods, pod), now).SetIntValue(int64(n))
	}
	for _, name := range []string{"shop.mixed", "shop.level"} {
		m := metrics.AppendEmpty()
		m.SetName(name)
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(now))
		p.SetIntValue(int64(n))
	}
	for i, bounds := range [][]float64{{1, 2}, {3, 5}} {
		m := metrics.AppendEmpty()
		m.SetName("shop.latency")
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := h.DataPoints().AppendEmpty()
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
		p.SetTimestamp(pcommon.NewTimestampFromTime(now))
		p.ExplicitBounds().FromRaw(bounds)
		p.BucketCounts().FromRaw([]uint64{uint64(n), uint64(n), 0})
		p.SetCount(2 * uint64(n))
		p.Attributes().PutStr("pod", fmt.Sprintf("%s-%d", pods, i))
	}
	for pod := range 12 {
		name := fmt.Sprintf("%s-%d", pods, pod)
		sum("shop.looked", name, now).SetIntValue(int64(n))
		sum("cart.requests", name, now).SetIntValue(int64(n))
	}
	metrics.AppendEmpty().SetName("shop.empty") // without a type
	return md
}
