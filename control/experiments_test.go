package control_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/conductor/conductortest"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
)

// dropPodMirror is an experiment that runs for an hour at least.
const dropPodMirror = `{"namespace":"shop","name":"try","spec":{"mode":"mirror","scope":{"service.name":"cart"},
	"rules":[{"name":"drop-pod","match":{"metric":"http_*"},"attributes":{"drop":["pod"]}}],
	"interval":"30s","min_duration":"1h","success":[{"measure":"series","at_least":0.3}]}}`

// phaseOf asks the API for the phase of an experiment.
func phaseOf(t *testing.T, h http.Handler, name string) string {
	t.Helper()
	a := send(t, h, http.MethodGet, "/api/v1/experiments/shop/"+name, "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	var e struct{ Status struct{ Phase string } }
	require.NoError(t, json.Unmarshal([]byte(a.body), &e))
	return e.Status.Phase
}

func TestAnExperimentThroughThePlane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := controltest.Open(t, control.Settings{})
		path := conductortest.New()
		path.Policies = plane
		unregister, err := path.Register(plane)
		require.NoError(t, err)
		do := func(method, at, body string, want int) answer {
			t.Helper()
			a := send(t, plane.Handler(), method, at, body)
			require.Equal(t, want, a.status, a.body)
			return a
		}
		do(http.MethodPost, "/api/v1/experiments", dropPodMirror, http.StatusCreated)
		do(http.MethodPost, "/api/v1/experiments/shop/try:start", "{}", http.StatusOK)
		require.Len(t, plane.Policy().Routes, 1)
		assert.True(t, plane.Policy().Routes[0].Mirror)
		time.Sleep(30 * time.Minute)
		assert.Equal(t, "Running", phaseOf(t, plane.Handler(), "try"))
		time.Sleep(31 * time.Minute)
		assert.Equal(t, "Promoted", phaseOf(t, plane.Handler(), "try"))
		policies := do(http.MethodGet, "/api/v1/policies/shop/try", "", http.StatusOK)
		assert.Contains(t, policies.body, `"enforced"`)
		assert.Len(t, plane.Policy().For(policy.RoleCommon), 1)
		assert.Empty(t, plane.Policy().Routes)
		assert.Contains(t, do(http.MethodGet, "/api/v1/audit:verify", "", http.StatusOK).body, `"intact":true`)
		system := do(http.MethodGet, "/api/v1/system", "", http.StatusOK).body
		assert.Contains(t, system, `"ab_router"`)
		unregister()
		assert.NotContains(t, do(http.MethodGet, "/api/v1/system", "", http.StatusOK).body, `"ab_router"`)
	})
}

// silent is a source that has nothing to say.
type silent struct{}

func (silent) Routes(context.Context, []string) ([]report.RouteReport, error) { return nil, nil }
func (silent) Arms(context.Context, []string) ([]report.ArmReport, error)     { return nil, nil }
func (silent) PolicyVersion() uint64                                          { return 0 }

func TestRegistrationsThatAreRefused(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
	_, err := plane.RegisterRouter(report.RouterRegistration{Signal: "profiles"})
	require.EqualError(t, err, "register router: the component has no id\n"+
		`register router "": the signal must be one of metrics, traces, logs, got "profiles"`+"\n"+`register router "": there is no source`)
	_, err = plane.RegisterArm(report.ArmRegistration{Component: "cardinality/x", Arm: "left", Source: silent{}})
	require.EqualError(t, err, `register arm: the component and the point must have names, got "cardinality/x" and ""`+"\n"+
		`register arm of "cardinality/x": the arm must be baseline or candidate, got "left"`)
	unregister, err := plane.RegisterRouter(report.RouterRegistration{Component: "ab_router", Signal: "logs", Source: silent{}})
	require.NoError(t, err)
	unregister()
	unregister()
}
