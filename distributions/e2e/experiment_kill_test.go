//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// laboratoryConfig has both arms of an experiment behind an OTLP receiver.
const laboratoryConfig = `
extensions:
  phoenix_control:
    endpoint: localhost:%[1]d
    directory: %[3]q
  file_storage:
    directory: %[4]q
    create_directory: true
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:%[2]d
processors:
  tag_consolidation:
    control: phoenix_control
    storage: file_storage
    interval: 1s
    writer: none
  tag_consolidation/candidate:
    role: candidate
    control: phoenix_control
    storage: file_storage
    interval: 1s
    writer: none
  cardinality/baseline:
    arm: baseline
    control: phoenix_control
  cardinality/candidate:
    arm: candidate
    control: phoenix_control
connectors:
  ab_router:
    control: phoenix_control
    baseline: [metrics/baseline]
    candidate: [metrics/candidate]
    input_interval: 1s
    mirror: {mark: false}
exporters:
  file:
    path: %[5]q
    append: true
    flush_interval: 50ms
  nop:
service:
  extensions: [phoenix_control, file_storage]
  pipelines:
    metrics/ingest:
      receivers: [otlp]
      processors: [tag_consolidation]
      exporters: [ab_router]
    metrics/baseline:
      receivers: [ab_router]
      processors: [cardinality/baseline]
      exporters: [file]
    metrics/candidate:
      receivers: [ab_router]
      processors: [tag_consolidation/candidate, cardinality/candidate]
      exporters: [nop]
` + quiet

// shops sends the counters of shops, each of some pods, once a second until the
// test ends. A collector that is away is no error.
func shops(t *testing.T, port int, names []string) {
	t.Helper()
	conn, err := grpc.NewClient(fmt.Sprintf("localhost:%d", port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	client, ctx := pmetricotlp.NewGRPCClient(conn), t.Context()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		began := time.Now()
		for n := int64(1); ctx.Err() == nil; n++ {
			_, _ = client.Export(ctx, pmetricotlp.NewExportRequestFromMetrics(shopCounters(names, began, n)))
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
	t.Cleanup(func() {
		<-ended
		require.NoError(t, conn.Close())
	})
}

const podsOfAShop = 8

// shopCounters is the nth report of all shops: each pod has sold n.
func shopCounters(names []string, began time.Time, n int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for _, name := range names {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", name)
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("shop_orders")
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for pod := range podsOfAShop {
			p := sum.DataPoints().AppendEmpty()
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(began))
			p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			p.SetIntValue(n)
			p.Attributes().PutStr("pod", fmt.Sprintf("%s-%d", name, pod))
		}
	}
	return md
}

// laboratory is a collector with experiments that can be killed and started
// again.
type laboratory struct {
	*collector
	t       *testing.T
	config  string
	control int
	url     string
}

func newLaboratory(t *testing.T, names []string) (_ *laboratory, exported string) {
	t.Helper()
	control, otlp, dir := freePort(t), freePort(t), t.TempDir()
	exported = filepath.Join(dir, "out.json")
	l := &laboratory{
		t: t, control: control, url: fmt.Sprintf("http://localhost:%d/api/v1/experiments", control),
		config: fmt.Sprintf(laboratoryConfig, control, otlp, filepath.Join(dir, "control"), filepath.Join(dir, "state"), exported),
	}
	l.collector = startCollector(t, l.config, control)
	shops(t, otlp, names)
	return l, exported
}

// killAndRestart is a kill -9 and a start.
func (l *laboratory) killAndRestart() {
	l.t.Helper()
	require.NoError(l.t, syscall.Kill(-l.cmd.Process.Pid, syscall.SIGKILL))
	<-l.ended
	l.collector = startCollector(l.t, l.config, l.control)
}

// experimentStatus is what the API says of an experiment.
type experimentStatus struct {
	Status struct {
		Phase, Verdict string
		Looks          float64
		PromotedPolicy string `json:"promoted_policy"`
		Reasons        []struct{ Code string }
		Warnings       []string
	}
}

func (l *laboratory) do(name, verb string) experimentStatus {
	l.t.Helper()
	code, said := ask(l.t.Context(), l.t, http.MethodPost, l.url+"/default/"+name+":"+verb, "{}")
	require.Equal(l.t, http.StatusOK, code, "%s %s: %s", verb, name, said)
	var s experimentStatus
	require.NoError(l.t, json.Unmarshal([]byte(said), &s))
	return s
}

func (l *laboratory) get(name string) experimentStatus {
	l.t.Helper()
	code, said := ask(l.t.Context(), l.t, http.MethodGet, l.url+"/default/"+name, "")
	require.Equal(l.t, http.StatusOK, code, said)
	var s experimentStatus
	require.NoError(l.t, json.Unmarshal([]byte(said), &s))
	return s
}

// create makes an experiment on the shop of its name that drops the pod. There are
// no prices, so that it runs until somebody promotes it.
func (l *laboratory) create(name, more string) {
	l.t.Helper()
	body := fmt.Sprintf(`{"name": %[1]q, "spec": {"mode": "mirror", "scope": {"service.name": %[1]q}, "interval": "1s", "max_duration": "1h",
		"rules": [{"name": "drop", "match": {"metric": "shop_*"}, "attributes": {"drop": ["pod"]}}],
		"success": [{"measure": "cost", "at_least": 0.1}],
		"guardrails": [{"measure": "latency", "dry_run": true}, {"measure": "memory", "dry_run": true}] %[2]s}}`, name, more)
	code, said := ask(l.t.Context(), l.t, http.MethodPost, l.url, body)
	require.Equal(l.t, http.StatusCreated, code, said)
}

// awaitLooks waits until an experiment was looked at some more times.
func (l *laboratory) awaitLooks(name string, more float64) {
	l.t.Helper()
	begin := l.get(name).Status.Looks
	poll(l.t, patience, func(context.Context) error {
		s := l.get(name).Status
		if s.Looks < begin+more {
			return fmt.Errorf("%s (%s) has %g looks, %g are wanted; %v", name, s.Phase, s.Looks, begin+more, s.Warnings)
		}
		return nil
	})
}

// A collector that is killed in any state of an experiment goes on where it was
// when it comes back: nothing is half begun, half promoted or half taken back.
func TestExperimentsSurviveAKillInEveryState(t *testing.T) {
	t.Parallel()
	names := []string{"draft", "scheduled", "running", "paused", "promoted", "aborted"}
	l, _ := newLaboratory(t, names)
	for _, name := range names {
		more := ""
		if name == "scheduled" {
			more = `, "schedule": {"not_before": "` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`
		}
		l.create(name, more)
		if name != "draft" {
			l.do(name, "start")
		}
	}
	for _, name := range []string{"running", "paused", "promoted", "aborted"} {
		l.awaitLooks(name, 5)
	}
	l.do("paused", "pause")
	l.do("aborted", "abort")
	l.do("promoted", "promote")
	want := map[string]string{
		"draft": "Draft", "scheduled": "Scheduled", "running": "Running", "paused": "Paused", "promoted": "Promoted", "aborted": "RolledBack",
	}
	check := func(when string) {
		for _, name := range names {
			s := l.get(name).Status
			assert.Equal(t, want[name], s.Phase, "%s %s: %s", name, when, s.Verdict)
		}
		code, said := ask(t.Context(), t, http.MethodGet, fmt.Sprintf("http://localhost:%d/api/v1/policies?namespace=default", l.control), "")
		require.Equal(t, http.StatusOK, code, said)
		var list struct {
			Policies []struct{ Name, State string }
		}
		require.NoError(t, json.Unmarshal([]byte(said), &list))
		require.Len(t, list.Policies, 1, "%s: %s", when, said)
		assert.Equal(t, "promoted", list.Policies[0].Name)
		assert.Equal(t, "enforced", list.Policies[0].State)
	}
	check("before the kill")
	for range 2 {
		l.killAndRestart()
		check("after the kill")
		l.awaitLooks("running", 3)
	}
	s := l.do("paused", "resume")
	assert.Equal(t, "Running", s.Status.Phase)
	l.awaitLooks("paused", 3)
	l.do("paused", "abort")
	l.do("running", "abort")
	l.do("draft", "start")
	l.awaitLooks("draft", 3)
	code, said := ask(t.Context(), t, http.MethodGet, fmt.Sprintf("http://localhost:%d/api/v1/audit:verify", l.control), "")
	assert.Equal(t, http.StatusOK, code, said)
}
