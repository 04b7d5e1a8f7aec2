//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/testkit/prometheus"
)

// armsConfig sends one stream down four pipelines, each to a server of its own,
// so that the queries are the same to the letter: as it is; the same once more;
// consolidated; and with labels taken away that nobody adds up.
//
// Exporters without a queue keep the order of time and answer when the data is
// there. The last one has a queue, so that its refusals stay its own.
const armsConfig = `
extensions:
  phoenix_control:
    endpoint: localhost:%[1]d
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:%[2]d
processors:
  tag_consolidation:
    interval: 1s
    writer: none
    rules:
      - name: rpc
        match: {metric: rpc.*}
        attributes: {drop: &pod [pod, k8s.pod.name, resource.service.instance.id]}
        buckets: {keep_bounds: [0.05, 0.25, 1]}
      - name: memory
        match: {metric: memory.*}
        attributes: {drop: *pod}
        gauge: max
      - name: free
        match: {metric: disk.free}
        attributes: {drop: *pod}
        gauge: min
      - name: temperature
        match: {metric: disk.temperature}
        attributes: {drop: *pod}
        gauge: mean
      - name: rest
        match: {metric: "*"}
        attributes: {drop: *pod}
        gauge: sum
  attributes/colliding:
    actions:
      - {key: pod, action: delete}
  resource/colliding:
    attributes:
      - {key: k8s.pod.name, action: delete}
      - {key: service.instance.id, action: delete}
exporters:
  otlp_http/raw:
    endpoint: %[3]s
    sending_queue: {enabled: false}
  otlp_http/identity:
    endpoint: %[4]s
    sending_queue: {enabled: false}
  otlp_http/consolidated:
    endpoint: %[5]s
    sending_queue: {enabled: false}
  otlp_http/colliding:
    endpoint: %[6]s
    sending_queue: {num_consumers: 1}
service:
  extensions: [phoenix_control]
  pipelines:
    metrics/raw:
      receivers: [otlp]
      exporters: [otlp_http/raw]
    metrics/identity:
      receivers: [otlp]
      exporters: [otlp_http/identity]
    metrics/consolidated:
      receivers: [otlp]
      processors: [tag_consolidation]
      exporters: [otlp_http/consolidated]
    metrics/colliding:
      receivers: [otlp]
      processors: [attributes/colliding, resource/colliding]
      exporters: [otlp_http/colliding]
` + quiet

const (
	// dashboardTolerance is the promise: 1 % of what the raw stream says.
	dashboardTolerance = 0.01
	// wantedInstants is at how many times every query is compared.
	wantedInstants = 5
	// settled is how many ticks pass before the first instant: two ranges.
	settled = int(2 * longRange / shopTick)
	// givenUp is how many ticks may pass until there are enough instants.
	givenUp = 3 * settled
)

// Whoever asks a dashboard's questions of the consolidated stream gets the
// answers of the raw one.
func TestDashboardsOfAConsolidatedStreamAreThoseOfTheRawOne(t *testing.T) {
	t.Parallel()
	startServer := func() *prometheus.Server {
		return prometheus.Start(t, prometheus.Options{PromoteResourceAttributes: []string{"k8s.pod.name"}})
	}
	raw, identity, consolidated, colliding := startServer(), startServer(), startServer(), startServer()
	controlPort, otlpPort := freePort(t), freePort(t)
	c := startCollector(t, fmt.Sprintf(armsConfig, controlPort, otlpPort,
		raw.OTLPEndpoint, identity.OTLPEndpoint, consolidated.OTLPEndpoint, colliding.OTLPEndpoint), controlPort)

	instants := feedShop(t, sender(t, otlpPort), consolidated)
	require.NoError(t, c.stop(t))

	t.Run("identity", func(t *testing.T) {
		worst := assertAgree(t, raw, identity, instants)
		assert.Less(t, worst, 1e-9, "two servers that got the same say the same")
	})
	t.Run("consolidated", func(t *testing.T) {
		assertConsolidated(t, raw, consolidated, instants[0])
		worst := assertAgree(t, raw, consolidated, instants)
		assert.LessOrEqual(t, worst, dashboardTolerance)
	})
	t.Run("colliding", func(t *testing.T) {
		assertFoundWrong(t, raw, colliding, instants)
	})
}

// assertConsolidated wants the labels to be gone, and the series with them: what
// changes nothing agrees with everything.
func assertConsolidated(t *testing.T, raw, consolidated *prometheus.Server, at time.Time) {
	t.Helper()
	for query, want := range map[string][2]float64{
		`count(http_requests_total)`:                                        {shopPods * 12, 12},
		`count(http_latency_seconds_bucket)`:                                {shopPods * 4 * 13, 4 * 13},
		`count(rpc_latency_seconds_bucket)`:                                 {shopPods * 4 * 13, 4 * 4},
		`count(db_latency_seconds)`:                                         {shopPods * 4, 4},
		`count(queue_depth)`:                                                {shopPods * 3, 3},
		`count(disk_temperature)`:                                           {shopPods, 4},
		`count({job="shop", __name__!="target_info", pod=""}) or vector(0)`: {0, 12 + 2 + 4 + 4*(13+2) + 4*(4+2) + 4 + 3 + 3*4},
	} {
		for side, server := range []*prometheus.Server{raw, consolidated} {
			got, err := server.Query(t.Context(), query, at)
			require.NoError(t, err)
			require.Len(t, got, 1, query)
			assert.Equal(t, want[side], float64(got[0].Value), query)
		}
	}
	for _, label := range []string{"pod", "k8s_pod_name", "instance"} {
		left, err := consolidated.Query(t.Context(), fmt.Sprintf(`{%s!=""}`, label), at)
		require.NoError(t, err)
		assert.Empty(t, left, label)
	}
}

// feedShop lets the shop report in real time, until there are enough instants
// at which the consolidated stream can be compared, and returns these.
func feedShop(t *testing.T, send func(pmetric.Metrics), consolidated *prometheus.Server) []time.Time {
	t.Helper()
	s := shop{start: time.Now().Truncate(shopTick).Add(shopTick)}
	var instants []time.Time
	for tick := range givenUp {
		last := s.measured(tick).Add(shopPods * podDelay)
		<-time.After(time.Until(last))
		send(s.report(tick))
		if tick < settled+wantedInstants {
			continue
		}
		current, err := s.current(t.Context(), consolidated, tick)
		require.NoError(t, err)
		if instants = s.instants(current, tick); len(instants) >= wantedInstants {
			t.Logf("%d ticks sent, %d of %d edges show the tick before them", tick+1, len(current), tick)
			return instants
		}
	}
	require.FailNowf(t, "no instants to compare at", "%d of %d after %d ticks: the consolidated stream does not keep up",
		len(instants), wantedInstants, givenUp)
	return nil
}
