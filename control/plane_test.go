package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// answer is what the REST door said.
type answer struct {
	status int
	header http.Header
	body   string
}

// send asks a handler without a network.
func send(t *testing.T, handler http.Handler, method, path, body string, header ...string) answer {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+path, bytes.NewReader([]byte(body)))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, req)
	result := w.Result()
	defer result.Body.Close()
	text, err := io.ReadAll(result.Body)
	require.NoError(t, err)
	return answer{result.StatusCode, result.Header, string(text)}
}

// field returns a field of a JSON object.
func (a answer) field(t *testing.T, name string) any {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &object), a.body)
	return object[name]
}

const dropPod = `{"namespace":"shop","name":"drop-pod","spec":{"rules":[{"match":{"metric":"http_*"},"attributes":{"drop":["pod"]}}]}}`

func TestAPolicyReachesTheDataPathBeforeItIsAnswered(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
	before := plane.Policy().Version
	assert.Positive(t, before, "what the store has is published when Open returns")
	created := send(t, plane.Handler(), http.MethodPost, "/api/v1/policies?preview=true", dropPod)
	require.Equal(t, http.StatusCreated, created.status, created.body)
	rules := plane.Policy().Rules
	require.Len(t, rules, 1)
	assert.Equal(t, "shop/drop-pod/rule-1", rules[0].Name)
	assert.Equal(t, policy.ModePreview, rules[0].Mode)

	engaged := send(t, plane.Handler(), http.MethodPost, "/api/v1/killSwitch:engage", `{"reason":"a test"}`)
	require.Equal(t, http.StatusOK, engaged.status, engaged.body)
	assert.Empty(t, plane.Policy().Rules)
	released := send(t, plane.Handler(), http.MethodPost, "/api/v1/killSwitch:release", `{}`)
	require.Equal(t, http.StatusOK, released.status, released.body)
	assert.Len(t, plane.Policy().Rules, 1)
}

func TestTheKillFileIsInTheDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a second is one, however busy the machine is
		directory := t.TempDir()
		plane := controltest.Open(t, control.Settings{Directory: directory})
		second := func() {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		require.Equal(t, http.StatusCreated, send(t, plane.Handler(), http.MethodPost, "/api/v1/policies?preview=true", dropPod).status)
		require.NoError(t, os.WriteFile(filepath.Join(directory, "kill-switch"), nil, 0o600))
		second()
		assert.Empty(t, plane.Policy().Rules)
		require.NoError(t, os.Remove(filepath.Join(directory, "kill-switch")))
		second()
		assert.Len(t, plane.Policy().Rules, 1)
	})
}

// TestTheKillFileIsHonouredFromTheStart: there is no moment at which a plane
// that opens has rules, though its store has.
func TestTheKillFileIsHonouredFromTheStart(t *testing.T) {
	directory := t.TempDir()
	first, err := control.Open(t.Context(), control.Settings{Directory: directory})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, send(t, first.Handler(), http.MethodPost, "/api/v1/policies?preview=true", dropPod).status)
	require.NoError(t, first.Shutdown(t.Context()))
	kill := filepath.Join(directory, "kill-switch")
	require.NoError(t, os.WriteFile(kill, []byte("not yet"), 0o600))
	second := controltest.Open(t, control.Settings{Directory: directory})
	off := second.Policy()
	assert.Empty(t, off.Rules)
	assert.True(t, off.Urgent)
	assert.EqualValues(t, 1, off.Version, "it is the first one that was published")
	assert.Contains(t, send(t, second.Handler(), http.MethodGet, "/api/v1/killSwitch", "").body, "not yet")
	require.NoError(t, os.Remove(kill))
	require.Eventually(t, func() bool { return len(second.Policy().Rules) == 1 }, 10*time.Second, time.Millisecond)
}

func TestAPlaneRemembersByItsDirectory(t *testing.T) {
	directory := t.TempDir()
	first, err := control.Open(t.Context(), control.Settings{Directory: directory})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, send(t, first.Handler(), http.MethodPost, "/api/v1/policies?preview=true", dropPod).status)
	require.NoError(t, first.Shutdown(t.Context()))
	assert.Len(t, first.Policy().Rules, 1, "the data path keeps what it has")
	second := controltest.Open(t, control.Settings{Directory: directory})
	assert.Len(t, second.Policy().Rules, 1)
	assert.Equal(t, http.StatusOK, send(t, second.Handler(), http.MethodGet, "/api/v1/policies/shop/drop-pod", "").status)
}

func TestAPlaneThatForgetsSaysSoAndLeavesNothing(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	core, logs := observer.New(zap.InfoLevel)
	plane, err := control.Open(t.Context(), control.Settings{Telemetry: component.TelemetrySettings{Logger: zap.New(core)}})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, send(t, plane.Handler(), http.MethodPost, "/api/v1/policies", dropPod).status)
	assert.Equal(t, 1, logs.FilterMessageSnippet("are lost when the collector ends").FilterLevelExact(zap.WarnLevel).Len())
	made, err := os.ReadDir(temporary)
	require.NoError(t, err)
	assert.Len(t, made, 1)
	require.NoError(t, plane.Shutdown(t.Context()))
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestAPlaneThatCannotOpenLeavesNothingRunning(t *testing.T) {
	occupied := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(occupied, nil, 0o600))
	_, err := control.Open(t.Context(), control.Settings{Directory: occupied})
	require.ErrorContains(t, err, "open the store")
	_, err = control.Open(t.Context(), control.Settings{Postgres: "postgres://somebody:s3cr3t@localhost:1/none?connect_timeout=1"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cr3t")
	_, err = control.Open(t.Context(), control.Settings{Directory: t.TempDir(), Access: &access.Config{}})
	require.ErrorContains(t, err, "access: identity.subject")
	_, err = control.Open(t.Context(), control.Settings{Directory: t.TempDir(), Origins: []string{"not an origin"}})
	require.ErrorContains(t, err, "not an origin")
}

func TestReadiness(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
	status := func() int { return send(t, plane.Handler(), http.MethodGet, "/readyz", "").status }
	assert.Equal(t, http.StatusServiceUnavailable, status())
	plane.SetReady(true)
	assert.Equal(t, http.StatusOK, status())
	plane.SetReady(false)
	assert.Equal(t, http.StatusServiceUnavailable, status())
}

func TestSystemTellsWhoReports(t *testing.T) {
	plane := controltest.Open(t, control.Settings{
		Build: component.BuildInfo{Command: "phoenix-collector", Version: "1.2.3"}, Instance: "here",
	})
	plane.SetConfigSHA256("abc")
	controltest.Register(t, plane, controltest.Ingest(), controltest.Ingest(), controltest.Export())
	old, broken := &applying{}, &applying{err: assert.AnError}
	old.version.Store(3)
	broken.version.Store(7)
	problem := &applying{answer: report.Consolidation{Problems: []string{"rule x is refused"}}}
	problem.version.Store(5)
	for _, source := range []*applying{problem, old, broken, problem} {
		_, err := plane.RegisterConsolidation(report.ConsolidationRegistration{Component: "tag_consolidation", Role: "common", Source: source})
		require.NoError(t, err)
	}
	info := send(t, plane.Handler(), http.MethodGet, "/api/v1/system", "")
	require.Equal(t, http.StatusOK, info.status, info.body)
	assert.Equal(t, "phoenix-collector", info.field(t, "name"))
	assert.Equal(t, "here", info.field(t, "instance_id"))
	assert.Equal(t, "abc", info.field(t, "config_sha256"))
	assert.Equal(t, "loopback", info.field(t, "exposure"))
	components, err := json.Marshal(info.field(t, "components"))
	require.NoError(t, err)
	assert.JSONEq(t, `[
		{"id":"cardinality/export","kind":"cardinality","place":"export","instances":1,"policy_version":0,"problems":[]},
		{"id":"cardinality/ingest","kind":"cardinality","place":"ingest","instances":2,"policy_version":0,"problems":[]},
		{"id":"tag_consolidation","kind":"tag_consolidation","place":"common","instances":4,"policy_version":3,
		 "problems":["rule x is refused","it could not be asked: `+assert.AnError.Error()+`"]}
	]`, string(components))
}

// sleepy is a source whose answers take an hour, unless it is told to end.
type sleepy struct{}

func (s *sleepy) Cardinality(ctx context.Context, _ report.CardinalityQuery) (report.Cardinality, error) {
	<-ctx.Done()
	return report.Cardinality{}, ctx.Err()
}

// TestShutdownEndsInOrder: nothing new is let in, running requests get the grace
// time, then nothing runs any more (TestMain looks).
func TestShutdownEndsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane, err := control.Open(t.Context(), control.Settings{Directory: t.TempDir(), RequestTimeout: time.Hour})
		require.NoError(t, err)
		_, err = plane.RegisterCardinality(registration("cardinality", "ingest", &sleepy{}))
		require.NoError(t, err)
		running := httptest.NewRecorder()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			plane.Handler().ServeHTTP(running, httptest.NewRequest(http.MethodGet, "http://localhost/api/v1/cardinality", nil))
		}()
		synctest.Wait()
		began := time.Now()
		ended := make(chan error)
		go func() { ended <- plane.Shutdown(context.WithoutCancel(t.Context())) }()
		synctest.Wait()
		assert.Equal(t, http.StatusServiceUnavailable, send(t, plane.Handler(), http.MethodGet, "/healthz", "").status)
		<-answered
		assert.Equal(t, http.StatusServiceUnavailable, running.Code)
		require.NoError(t, <-ended)
		assert.Equal(t, 2*time.Second, time.Since(began))
		require.NoError(t, plane.Shutdown(t.Context()), "twice")
		assert.NotNil(t, plane.Policy())
	})
}

func TestASlowSourceIsATimelyProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane, err := control.Open(t.Context(), control.Settings{Directory: t.TempDir(), RequestTimeout: 3 * time.Second})
		require.NoError(t, err)
		_, err = plane.RegisterCardinality(registration("cardinality", "ingest", &sleepy{}))
		require.NoError(t, err)
		began := time.Now()
		slow := send(t, plane.Handler(), http.MethodGet, "/api/v1/cardinality", "")
		assert.Equal(t, 3*time.Second, time.Since(began))
		assert.Equal(t, http.StatusServiceUnavailable, slow.status)
		require.NoError(t, plane.Shutdown(t.Context()))
	})
}
