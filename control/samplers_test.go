package control_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
)

const samplingPolicy = `{"namespace":"shop","name":"sample","spec":{"sampling":[
	{"dead_band":{"match":{"metric":"db.*"},"tolerance":{"relative":0.01},"heartbeat":"30s"}},
	{"name":"half","series":{"match":{"metric":"http.*"},"ratio":0.5}},
	{"name":"budget","budget":{"signal":"metrics","points_per_second":1000}}]}}`

const moneyPolicy = `{"namespace":"shop","name":"money","spec":{"sampling":[{"name":"m","budget":{"signal":"metrics","match":{"metric":"process.*"},"monthly_cost":26.28}}]}}`

func bySample(name, price string) string {
	return `{"name":"` + name + `","currency":"EUR","effective":"2026-03-01","components":[{"name":"samples","kind":"samples","price":"` + price + `","per":1000000}]}`
}

// ask sends a request that must succeed and returns what the answer is.
func ask(t *testing.T, plane *control.Plane, method, path, body string, header ...string) answer {
	t.Helper()
	got := send(t, plane.Handler(), method, path, body, header...)
	require.Less(t, got.status, 300, "%s %s: %s", method, path, got.body)
	return got
}

// published are the names of the sampling rules that the data path has.
func published(plane *control.Plane) []string {
	var list []string
	for _, r := range plane.Policy().Sampling {
		list = append(list, r.Name+" "+string(r.Mode))
	}
	return list
}

func TestSamplingReachesTheDataPath(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
	sampler := controltest.RegisterSampler(t, plane, "adaptive_sampler", time.Now)
	created := ask(t, plane, http.MethodPost, "/api/v1/policies?preview=true", samplingPolicy)
	want := []string{"shop/sample/sampling-1 preview", "shop/sample/half preview", "shop/sample/budget preview"}
	assert.Equal(t, want, published(plane))
	assert.Equal(t, 30*time.Second, plane.Policy().Sampling[0].DeadBand.Heartbeat.Std())
	assert.Contains(t, created.body, `"heartbeat":"30s"`)

	// It is applied once samplers have it, and nobody waits for other processors.
	require.Eventually(t, func() bool {
		status := ask(t, plane, http.MethodGet, "/api/v1/policies/shop/sample", "").field(t, "status").(map[string]any)
		list := status["sampling"].([]any)
		return status["applied"] == true && len(status["warnings"].([]any)) == 0 && len(list) == 3 &&
			list[0].(map[string]any)["left_out_per_second"] != 0.0
	}, 10*time.Second, 10*time.Millisecond)
	sampler.Lag(true)
	status := ask(t, plane, http.MethodGet, "/api/v1/policies/shop/sample", "").field(t, "status").(map[string]any)
	assert.Equal(t, false, status["applied"])

	ask(t, plane, http.MethodPost, "/api/v1/killSwitch:engage", `{"reason":"a test"}`)
	assert.Empty(t, plane.Policy().Sampling)
	assert.True(t, plane.Policy().Urgent)
	ask(t, plane, http.MethodPost, "/api/v1/killSwitch:release", `{}`)
	assert.Equal(t, want, published(plane))
	ask(t, plane, http.MethodPost, "/api/v1/policies/shop/sample:enforce", `{"force":true}`)
	assert.Equal(t, "shop/sample/budget enforce", published(plane)[2])
	ask(t, plane, http.MethodPost, "/api/v1/policies/shop/sample:rollback", `{"revision":1}`)
	assert.Equal(t, want, published(plane))
	assert.Contains(t, ask(t, plane, http.MethodGet, "/api/v1/audit", "").body, "policies.rollback")
}

// Points of http.server.request.duration become many samples, and those of
// process.runtime/heap one.
func TestMoneyBecomesPoints(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
	controltest.Register(t, plane, controltest.Ingest())
	refused := send(t, plane.Handler(), http.MethodPost, "/api/v1/policies?preview=true", moneyPolicy)
	assert.Equal(t, http.StatusBadRequest, refused.status)
	assert.Contains(t, refused.body, `"field":"policy.spec.sampling[0].budget.monthly_cost"`)
	assert.Contains(t, refused.body, `bills neither samples nor ingested bytes`)

	ask(t, plane, http.MethodPut, "/api/v1/priceModels/mine", bySample("mine", "0.10"))
	ask(t, plane, http.MethodPost, "/api/v1/priceModels/mine:activate", "")
	require.Eventually(t, func() bool {
		return send(t, plane.Handler(), http.MethodPost, "/api/v1/policies?preview=true", moneyPolicy).status == http.StatusCreated
	}, 10*time.Second, 10*time.Millisecond)
	require.Len(t, plane.Policy().Sampling, 1)
	assert.InEpsilon(t, 100, plane.Policy().Sampling[0].Budget.PointsPerSecond, 2e-5)
	assert.Contains(t, ask(t, plane, http.MethodGet, "/api/v1/policies/shop/money", "").body, `"monthly_cost":26.28`)

	points := func() float64 {
		if list := plane.Policy().Sampling; len(list) == 1 {
			return list[0].Budget.PointsPerSecond
		}
		return 0
	}
	ask(t, plane, http.MethodPut, "/api/v1/priceModels/mine", bySample("mine", "0.05"))
	require.Eventually(t, func() bool { return points() > 199 && points() < 201 }, 10*time.Second, 10*time.Millisecond, "at half the price twice as many")
	histograms := `{"namespace":"shop","name":"histograms","spec":{"sampling":[{"name":"m","budget":{"signal":"metrics","match":{"metric":"http.*"},"monthly_cost":26.28}}]}}`
	ask(t, plane, http.MethodPost, "/api/v1/policies?preview=true", histograms)
	for _, r := range plane.Policy().Sampling {
		if r.Name == "shop/histograms/m" {
			assert.Less(t, r.Budget.PointsPerSecond, 50.0, "a point is many samples")
		}
	}
	ask(t, plane, http.MethodDelete, "/api/v1/policies/shop/histograms", "")

	// By a model that has no price for samples the budget is not in force, and comes back.
	ask(t, plane, http.MethodPost, "/api/v1/priceModels/custom:activate", "")
	require.Eventually(t, func() bool { return points() == 0 }, 10*time.Second, 10*time.Millisecond)
	assert.Contains(t, ask(t, plane, http.MethodGet, "/api/v1/policies/shop/money", "").body, "not in force: sampling[0].budget.monthly_cost: the active price model")
	ask(t, plane, http.MethodPost, "/api/v1/priceModels/mine:activate", "")
	require.Eventually(t, func() bool { return points() > 199 }, 10*time.Second, 10*time.Millisecond)
}

// After a restart money is points from the first snapshot on.
func TestMoneyIsPointsFromTheStart(t *testing.T) {
	directory := t.TempDir()
	first, err := control.Open(t.Context(), control.Settings{Directory: directory})
	require.NoError(t, err)
	ask(t, first, http.MethodPut, "/api/v1/priceModels/mine", bySample("mine", "0.10"))
	ask(t, first, http.MethodPost, "/api/v1/priceModels/mine:activate", "")
	require.Eventually(t, func() bool {
		return send(t, first.Handler(), http.MethodPost, "/api/v1/policies?preview=true", moneyPolicy).status == http.StatusCreated
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, first.Shutdown(t.Context()))
	second := controltest.Open(t, control.Settings{Directory: directory})
	require.Len(t, second.Policy().Sampling, 1)
	assert.InEpsilon(t, 100, second.Policy().Sampling[0].Budget.PointsPerSecond, 2e-5)
}

func TestSamplersAreListed(t *testing.T) {
	config := access.DefaultConfig()
	plane := controltest.Open(t, control.Settings{Access: &config})
	now := time.Date(2026, 3, 14, 15, 0, 0, 0, time.UTC)
	assert.JSONEq(t, `{"samplers":[],"warnings":[]}`, ask(t, plane, http.MethodGet, "/api/v1/samplers", "").body)
	missing := send(t, plane.Handler(), http.MethodGet, "/api/v1/samplers?component=x", "")
	assert.Equal(t, http.StatusNotFound, missing.status)
	assert.Contains(t, missing.body, "give one the option `control`")

	sampler := controltest.RegisterSampler(t, plane, "adaptive_sampler", func() time.Time { return now })
	broken := controltest.RegisterSampler(t, plane, "adaptive_sampler/broken", time.Now)
	broken.Fail("", assert.AnError)
	sampler.Fail(`rule "bank/x/y" is refused`, nil)
	ask(t, plane, http.MethodPost, "/api/v1/policies?preview=true", samplingPolicy)
	listed := ask(t, plane, http.MethodGet, "/api/v1/samplers?component=adaptive_sampler", "")
	assert.Equal(t, []any{`sampling of "adaptive_sampler/broken": ` + assert.AnError.Error()}, listed.field(t, "warnings"))
	one := listed.field(t, "samplers").([]any)[0].(map[string]any)
	assert.Equal(t, "2026-03-14T15:00:00Z", one["at"])
	assert.Len(t, one["signals"], 3)
	assert.Len(t, one["keys"], 1)
	assert.Equal(t, []any{`rule "bank/x/y" is refused`}, one["problems"])
	rules, err := json.Marshal(one["rules"])
	require.NoError(t, err)
	assert.JSONEq(t, `[
		{"name":"shop/sample/sampling-1","kind":"dead_band","mode":"preview","static":false,"in":40000,"kept":10000,
		 "since":"2026-03-14T14:58:20Z","series":2500,"ratio":0,"totals":[]},
		{"name":"shop/sample/half","kind":"series","mode":"preview","static":false,"in":40000,"kept":10000,
		 "since":"2026-03-14T14:58:20Z","series":0,"ratio":0.5,"totals":[{"metric":"db.client.calls","from":"2026-03-14T14:59:00Z",
		 "to":"2026-03-14T15:00:00Z","kept_series":25,"series":100,"series_error":17.3,"total":5000,"variance":250000,"low":4020,"high":5980}]}
	]`, string(rules))
	budgets, err := json.Marshal(one["budgets"])
	require.NoError(t, err)
	assert.JSONEq(t, `[
		{"name":"traces.target","signal":"traces","static":true,"unit":"points","target":10,"in":25,"out":12.5,"level":0.5,"floor":0.01,
		 "ceiling":100,"error":0.25,"floor_reached":false},
		{"name":"shop/sample/budget","signal":"metrics","static":false,"unit":"points","target":1000,"in":4000,"out":1000,"level":0.25,
		 "floor":0.1,"ceiling":1,"error":0,"floor_reached":false}
	]`, string(budgets))

	// Who sees one namespace sees what is of its policies.
	for namespace, rules := range map[string]int{"shop": 2, "bank": 0} {
		var key struct{ Secret string }
		made := ask(t, plane, http.MethodPost, "/api/v1/apiKeys", `{"name":"a","grants":["viewer:`+namespace+`"]}`)
		require.NoError(t, json.Unmarshal([]byte(made.body), &key))
		seen := ask(t, plane, http.MethodGet, "/api/v1/samplers", "", "Authorization", "Bearer "+key.Secret).field(t, "samplers").([]any)[0].(map[string]any)
		assert.Len(t, seen["signals"], 3)
		assert.Len(t, seen["rules"], rules, namespace)
		assert.Len(t, seen["budgets"], rules/2, namespace)
		assert.Empty(t, seen["keys"])
		assert.Empty(t, seen["problems"])
	}
}

func TestSamplersAreComponents(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
	_, err := plane.RegisterSampler(report.SamplerRegistration{})
	require.EqualError(t, err, "register sampler: the component has no id\nregister sampler \"\": there is no source")
	one := controltest.RegisterSampler(t, plane, "adaptive_sampler", time.Now)
	again, err := plane.RegisterSampler(report.SamplerRegistration{Component: "adaptive_sampler", Source: one})
	require.NoError(t, err)
	controltest.RegisterSampler(t, plane, "adaptive_sampler/other", time.Now).Fail("", assert.AnError)
	one.Fail("rule x is refused", nil)
	one.Lag(true)
	components, err := json.Marshal(ask(t, plane, http.MethodGet, "/api/v1/system", "").field(t, "components"))
	require.NoError(t, err)
	version, err := json.Marshal(plane.Policy().Version)
	require.NoError(t, err)
	assert.JSONEq(t, `[
		{"id":"adaptive_sampler","kind":"adaptive_sampler","place":"","instances":1,"policy_version":0,"problems":["rule x is refused"]},
		{"id":"adaptive_sampler/other","kind":"adaptive_sampler","place":"","instances":1,"policy_version":`+string(version)+`,
		 "problems":["it could not be asked: `+assert.AnError.Error()+`"]}
	]`, string(components), "instances that share a source are one")
	again()
	again()
	answers, err := plane.Sampling(t.Context())
	require.ErrorIs(t, err, assert.AnError)
	assert.Len(t, answers, 1, "one registration is left")
}

func TestBudgetsAtTheirFloorAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane, err := control.Open(t.Context(), control.Settings{Directory: t.TempDir()})
		require.NoError(t, err)
		sampler := controltest.RegisterSampler(t, plane, "adaptive_sampler", time.Now)
		ask(t, plane, http.MethodPost, "/api/v1/policies?preview=true", samplingPolicy)
		watch, stop := context.WithCancel(t.Context())
		events := make(chan string, 100)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			watchEvents(watch, plane, events)
		}()
		look := func() {
			time.Sleep(6 * time.Second)
			synctest.Wait()
		}
		f := func(want ...string) {
			t.Helper()
			look()
			look() // it is told once
			var told []string
			for len(events) > 0 {
				if e := <-events; strings.HasPrefix(e, "sampler.") {
					told = append(told, e)
				}
			}
			assert.Equal(t, want, told)
		}
		const budget = "shop/sample/budget"
		const reached = "sampler.floor_reached shop The budget shop/sample/budget of adaptive_sampler is exceeded and its level is at the floor 0.1: " +
			"2000 points a second go on, 1000 may"
		f()
		sampler.Exceed(budget, true)
		f(reached)
		sampler.Fail("", assert.AnError)
		f() // who does not answer is not known to keep its budgets
		sampler.Fail("", nil)
		sampler.Exceed(budget, false)
		f("sampler.floor_left shop The budget shop/sample/budget of adaptive_sampler is kept again")
		sampler.Exceed(budget, true)
		f(reached)
		ask(t, plane, http.MethodDelete, "/api/v1/policies/shop/sample", "")
		f("sampler.floor_left shop The budget shop/sample/budget of adaptive_sampler is not in force any more")
		stop()
		<-ended
		require.NoError(t, plane.Shutdown(context.WithoutCancel(t.Context())))
	})
}
