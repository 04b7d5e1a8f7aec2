package phoenixcontrolextension

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configauth"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// host is a Collector host with extensions that hears of component states.
type host struct {
	extensions map[component.ID]component.Component
	events     chan *componentstatus.Event
}

func newHost() *host {
	return &host{extensions: map[component.ID]component.Component{}, events: make(chan *componentstatus.Event, 1)}
}

func (h *host) GetExtensions() map[component.ID]component.Component { return h.extensions }
func (h *host) Report(event *componentstatus.Event)                 { h.events <- event }

// started is an extension that serves, with the address where it does.
type started struct {
	component.Component
	address string
	logs    *observer.ObservedLogs
}

func start(t *testing.T, h *host, change func(*Config)) started {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.NetAddr.Endpoint = "localhost:0"
	cfg.Directory = t.TempDir()
	change(cfg)
	core, logs := observer.New(zap.InfoLevel)
	set := extensiontest.NewNopSettings(NewFactory().Type())
	set.Logger = zap.New(core)
	ext, err := NewFactory().Create(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), h))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.WithoutCancel(t.Context()))) })
	listens := logs.FilterMessage("Control API listens").All()
	require.Len(t, listens, 1)
	return started{Component: ext, address: "http://" + listens[0].ContextMap()["address"].(string), logs: logs}
}

func unchanged(*Config) {}

// get asks without keeping the connection.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestReadinessFollowsThePipelines(t *testing.T) {
	ext := start(t, newHost(), unchanged)
	watcher := ext.Component.(extensioncapabilities.PipelineWatcher)
	status := func() int {
		code, _ := get(t, ext.address+"/readyz")
		return code
	}
	assert.Equal(t, http.StatusServiceUnavailable, status())
	require.NoError(t, watcher.Ready())
	assert.Equal(t, http.StatusOK, status())
	require.NoError(t, watcher.NotReady())
	assert.Equal(t, http.StatusServiceUnavailable, status())
	code, _ := get(t, ext.address+"/healthz")
	assert.Equal(t, http.StatusOK, code)
}

func TestComponentsFindTheRegistryThroughTheHost(t *testing.T) {
	h := newHost()
	ext := start(t, h, unchanged)
	h.extensions[component.MustNewID("phoenix_control")] = ext.Component

	registry, ok := h.GetExtensions()[component.MustNewID("phoenix_control")].(report.CardinalityRegistry)
	require.True(t, ok)
	controltest.Register(t, registry, controltest.Ingest())

	status, body := get(t, ext.address+"/api/v1/cardinality?limit=1")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, "http.server.request.duration")
}

func TestComponentsThatComeBeforeTheExtension(t *testing.T) {
	unstarted := newExtension(createDefaultConfig().(*Config), extensiontest.NewNopSettings(NewFactory().Type()))
	_, err := unstarted.RegisterCardinality(report.CardinalityRegistration{})
	require.ErrorContains(t, err, "add it to service.extensions")
	_, err = unstarted.RegisterConsolidation(report.ConsolidationRegistration{})
	require.ErrorContains(t, err, "add it to service.extensions")
	assert.Zero(t, unstarted.Policy().Version)
	assert.False(t, unstarted.Tap("ingest").Wants(""))
	assert.True(t, unstarted.Tap("ingest").Offer(report.TapBatch{}))
	require.NoError(t, unstarted.Ready())
	require.NoError(t, unstarted.NotReady())
	require.NoError(t, unstarted.NotifyConfig(t.Context(), confmap.New()))
}

func TestThePolicyAndTheTapAreThoseOfThePlane(t *testing.T) {
	ext := start(t, newHost(), unchanged)
	assert.Positive(t, ext.Component.(policy.Source).Policy().Version)
	assert.False(t, ext.Component.(report.TapSource).Tap("ingest").Wants(""))
	unregister, err := ext.Component.(report.ConsolidationRegistry).RegisterConsolidation(report.ConsolidationRegistration{
		Component: "tag_consolidation", Role: "common", Source: nothing{},
	})
	require.NoError(t, err)
	_, body := get(t, ext.address+"/api/v1/system")
	assert.Contains(t, body, `"id":"tag_consolidation"`)
	unregister()
	_, body = get(t, ext.address+"/api/v1/system")
	assert.NotContains(t, body, `"id":"tag_consolidation"`)
}

// nothing is a processor without rules.
type nothing struct{}

func (nothing) Consolidation(context.Context) (report.Consolidation, error) {
	return report.Consolidation{}, nil
}
func (nothing) PolicyVersion() uint64 { return 0 }

// TestTheHashOfTheConfiguration: it is the same for the same configuration, and
// says nothing about secrets, which the Collector has replaced.
func TestTheHashOfTheConfiguration(t *testing.T) {
	ext := start(t, newHost(), unchanged)
	hash := func(conf map[string]any) string {
		t.Helper()
		require.NoError(t, ext.Component.(extensioncapabilities.ConfigWatcher).NotifyConfig(t.Context(), confmap.NewFromStringMap(conf)))
		_, body := get(t, ext.address+"/api/v1/system")
		var info struct {
			ConfigSHA256 string `json:"config_sha256"`
		}
		require.NoError(t, json.Unmarshal([]byte(body), &info))
		return info.ConfigSHA256
	}
	first := hash(map[string]any{"a": 1, "b": map[string]any{"c": "[REDACTED]", "d": []any{"x"}}})
	assert.Len(t, first, 64)
	assert.Equal(t, first, hash(map[string]any{"b": map[string]any{"d": []any{"x"}, "c": "[REDACTED]"}, "a": 1}))
	assert.NotEqual(t, first, hash(map[string]any{"a": 2}))
}

func TestTakenPortSaysWhatToChange(t *testing.T) {
	taken, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	defer taken.Close()
	cfg := createDefaultConfig().(*Config)
	cfg.NetAddr.Endpoint = taken.Addr().String()
	ext, err := NewFactory().Create(t.Context(), extensiontest.NewNopSettings(NewFactory().Type()), cfg)
	require.NoError(t, err)
	err = ext.Start(t.Context(), newHost())
	require.ErrorContains(t, err, "endpoint: listen on "+taken.Addr().String())
	require.ErrorContains(t, err, "give phoenix_control another endpoint")
	require.NoError(t, ext.Shutdown(t.Context()), "after a start that failed")
}

func TestShutdownUnstartedAndTwice(t *testing.T) {
	unstarted := newExtension(createDefaultConfig().(*Config), extensiontest.NewNopSettings(NewFactory().Type()))
	require.NoError(t, unstarted.Shutdown(t.Context()))

	ext := start(t, newHost(), unchanged)
	idle, err := net.Dial("tcp", ext.address[len("http://"):])
	require.NoError(t, err)
	defer idle.Close()
	require.NoError(t, ext.Shutdown(t.Context()))
	require.NoError(t, ext.Shutdown(t.Context()))
	// The connection that never sent a request is closed, or reset if nobody had
	// accepted it yet, and the port is free.
	require.NoError(t, idle.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = idle.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = net.Dial("tcp", ext.address[len("http://"):])
	require.Error(t, err)
}

// blocked is a source that answers who asks for the last minute when the context
// ends; the plane asks by itself for the whole window.
type blocked struct{ asked chan struct{} }

func (b *blocked) Cardinality(ctx context.Context, q report.CardinalityQuery) (report.Cardinality, error) {
	if q.Since != time.Minute {
		return report.Cardinality{Window: time.Hour}, nil
	}
	close(b.asked)
	<-ctx.Done()
	return report.Cardinality{}, ctx.Err()
}

func TestShutdownEndsRequestsThatRun(t *testing.T) {
	ext := start(t, newHost(), unchanged)
	source := &blocked{asked: make(chan struct{})}
	_, err := ext.Component.(report.CardinalityRegistry).RegisterCardinality(report.CardinalityRegistration{
		Component: "cardinality", Point: "ingest", Source: source,
	})
	require.NoError(t, err)
	answered := make(chan int)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ext.address+"/api/v1/cardinality?since=1m", nil)
		if !assert.NoError(t, err) {
			return
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if !assert.NoError(t, err) {
			return
		}
		defer resp.Body.Close()
		answered <- resp.StatusCode
	}()
	<-source.asked
	require.NoError(t, ext.Shutdown(t.Context()))
	assert.Equal(t, http.StatusServiceUnavailable, <-answered)
}

func TestMissingAuthenticatorFailsTheStart(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.NetAddr.Endpoint = "localhost:0"
	cfg.Auth = configoptional.Some(confighttp.AuthConfig{Config: configauth.Config{AuthenticatorID: component.MustNewID("token")}})
	cfg.Middlewares = []configmiddleware.Config{{ID: component.MustNewID("limit")}}
	ext := newExtension(cfg, extensiontest.NewNopSettings(NewFactory().Type()))
	assert.Equal(t, []component.ID{component.MustNewID("token"), component.MustNewID("limit")}, ext.Dependencies())
	require.ErrorContains(t, ext.Start(t.Context(), newHost()), "auth: ")
	cfg.Auth = configoptional.None[confighttp.AuthConfig]()
	require.ErrorContains(t, ext.Start(t.Context(), newHost()), "set up the control API")
	require.NoError(t, ext.Shutdown(t.Context()), "nothing runs")
}

func TestInsecureBindWarns(t *testing.T) {
	ext := start(t, newHost(), func(c *Config) { c.InsecureBind = true })
	assert.Equal(t, 1, ext.logs.FilterLevelExact(zap.WarnLevel).FilterMessageSnippet("insecure_bind").Len())
}

func TestBrokenListenerIsAFatalState(t *testing.T) {
	h := newHost()
	broken, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	require.NoError(t, broken.Close())
	ext := newExtension(createDefaultConfig().(*Config), extensiontest.NewNopSettings(NewFactory().Type()))
	ext.serve(h, broken, &http.Server{})
	event := <-h.events
	assert.Equal(t, componentstatus.StatusFatalError, event.Status())
	require.ErrorContains(t, event.Err(), "serve the control API on localhost:8620")
}
