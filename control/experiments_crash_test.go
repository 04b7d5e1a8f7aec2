package control_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/conductor/conductortest"
	"github.com/phoenix-platform/phoenix/control/policy"
)

// conductDirectory is crashDirectory for experiments.
const conductDirectory = "PHOENIX_CONTROL_CONDUCT_DIRECTORY"

// TestConductUntilKilled serves a plane with a data path in the process that
// other tests kill; otherwise it has nothing to do.
func TestConductUntilKilled(t *testing.T) {
	directory := os.Getenv(conductDirectory)
	if directory == "" {
		return
	}
	plane, err := control.Open(t.Context(), control.Settings{Directory: directory, Access: unlimited()})
	require.NoError(t, err)
	path := conductortest.New()
	path.Policies = plane
	_, err = path.Register(plane)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", plane.Handler())
	mux.HandleFunc("/inForce", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(inForceOf(plane.Policy())) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	api.Configure(server)
	fmt.Println("http://" + listener.Addr().String())
	require.NoError(t, server.Serve(listener))
}

// inForce is what a snapshot says, by experiment.
type inForce struct {
	// Common and Candidate are the experiments of which there are rules, Open those
	// whose candidate gets anything.
	Common, Candidate, Open []string
}

func inForceOf(s *policy.Snapshot) inForce {
	var f inForce
	for _, r := range s.Rules {
		id := r.Name[:strings.LastIndex(r.Name, "/")]
		if r.Role == policy.RoleCommon {
			f.Common = append(f.Common, id)
		} else {
			f.Candidate = append(f.Candidate, id)
		}
	}
	for i := range s.Routes {
		if r := &s.Routes[i]; (r.Mirror || r.Weight > 0) && r.Lease.Held(time.Now()) {
			f.Open = append(f.Open, r.Experiment)
		}
	}
	return f
}

// trial is what the API says of an experiment.
type trial struct {
	Name   string
	Status struct {
		Phase          string
		PromotedPolicy string `json:"promoted_policy"`
	}
}

// trials asks for all experiments.
func (v *victim) trials(t *testing.T) map[string]trial {
	t.Helper()
	status, text := v.do(t.Context(), http.MethodGet, "/api/v1/experiments?page_size=1000", "")
	require.Equal(t, http.StatusOK, status, string(text))
	var page struct{ Experiments []trial }
	require.NoError(t, json.Unmarshal(text, &page))
	all := map[string]trial{}
	for _, e := range page.Experiments {
		all[e.Name] = e
	}
	return all
}

// nothingIsHalfApplied compares every experiment with what is in force: of a
// promotion there is all or nothing, and who does not run has no weight.
func nothingIsHalfApplied(t *testing.T, v *victim) map[string]trial {
	t.Helper()
	var found inForce
	var all map[string]trial
	policies := map[string]int{} // what their policies are answered with
	for {                        // a look that falls between two changes is taken again
		all = v.trials(t)
		status, text := v.do(t.Context(), http.MethodGet, "/inForce", "")
		require.Equal(t, http.StatusOK, status)
		found = inForce{}
		require.NoError(t, json.Unmarshal(text, &found))
		for name := range all {
			policies[name], _ = v.do(t.Context(), http.MethodGet, "/api/v1/policies/shop/"+name, "")
		}
		if again := v.trials(t); assert.ObjectsAreEqual(all, again) {
			break
		}
	}
	for name, e := range all {
		id := "shop/" + name
		common, candidate := slices.Contains(found.Common, id), slices.Contains(found.Candidate, id)
		open := slices.Contains(found.Open, id)
		status := policies[name]
		switch phase := e.Status.Phase; phase {
		case "Promoted":
			assert.Equal(t, []any{true, false, false, http.StatusOK, "policies/" + id}, []any{common, candidate, open, status, e.Status.PromotedPolicy}, id)
		case "Running":
			assert.Equal(t, []any{false, true, true, http.StatusNotFound}, []any{common, candidate, open, status}, id)
		case "Paused":
			assert.Equal(t, []any{false, true, false, http.StatusNotFound}, []any{common, candidate, open, status}, id)
		default:
			assert.Equal(t, []any{false, false, false, http.StatusNotFound}, []any{common, candidate, open, status}, id+" is "+phase)
		}
	}
	return all
}

func startConducting(t *testing.T, directory string) *victim {
	t.Helper()
	return startProcess(t, "TestConductUntilKilled", conductDirectory+"="+directory)
}

// draft is an experiment that can be promoted after seconds.
func draft(name, more string) string {
	return fmt.Sprintf(`{"namespace":"shop","name":%q,"spec":{"mode":"mirror","scope":{"service.name":%q},
		"rules":[{"name":"drop-pod","match":{"metric":"http_*"},"attributes":{"drop":["pod"]}}],
		"interval":"1s","success":[{"measure":"series","at_least":0.3}]%s}}`, name, name, more)
}

func (v *victim) post(t *testing.T, path, body string) {
	t.Helper()
	status, text := v.do(t.Context(), http.MethodPost, path, body)
	require.Less(t, status, 300, "%s: %s", path, text)
	require.NotZero(t, status)
}

// TestAKillInEachPhase kills the process with an experiment in every phase. Back
// within seconds, all of them are where they were.
func TestAKillInEachPhase(t *testing.T) {
	directory := t.TempDir()
	v := startConducting(t, directory)
	const long = `,"min_duration":"1h"`
	want := map[string]string{}
	for name, make := range map[string]struct {
		more, phase string
		commands    []string
	}{
		"draft":     {long, "Draft", nil},
		"scheduled": {`,"schedule":{"not_before":"2999-01-01T00:00:00Z"}`, "Scheduled", []string{"start"}},
		"running":   {long, "Running", []string{"start"}},
		"paused":    {long, "Paused", []string{"start", "pause"}},
		"resumed":   {long, "Running", []string{"start", "pause", "resume"}},
		"aborted":   {long, "RolledBack", []string{"start", "abort"}},
		"ended":     {`,"max_duration":"2s","min_duration":"2s","success":[{"measure":"points","at_least":0.99}]`, "Inconclusive", []string{"start"}},
		"promoted":  {"", "Promoted", []string{"start"}},
	} {
		body := draft(name, make.more)
		if name == "ended" {
			body = strings.Replace(body, `"success":[{"measure":"series","at_least":0.3}],`, "", 1)
		}
		v.post(t, "/api/v1/experiments", body)
		for _, command := range make.commands {
			v.post(t, "/api/v1/experiments/shop/"+name+":"+command, "{}")
		}
		want[name] = make.phase
	}
	phases := func(all map[string]trial) map[string]string {
		got := map[string]string{}
		for name, e := range all {
			got[name] = e.Status.Phase
		}
		return got
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, want, phases(v.trials(t))) }, time.Minute, 100*time.Millisecond)
	for range 3 {
		v.kill(t)
		v = startConducting(t, directory)
		assert.Equal(t, want, phases(nothingIsHalfApplied(t, v)))
	}
	v.post(t, "/api/v1/experiments/shop/paused:resume", "{}")
	want["paused"] = "Running"
	assert.Equal(t, want, phases(nothingIsHalfApplied(t, v)))
	v.kill(t)
}

// TestAKillDuringPromotions kills the process while experiments are promoted and
// commanded: 5 times, 40 times in the long form.
func TestAKillDuringPromotions(t *testing.T) {
	kills, each := 5, 12
	if os.Getenv("PHOENIX_LONG") != "" {
		kills = 40
	}
	directory := t.TempDir()
	v := startConducting(t, directory)
	for round := range kills {
		for i := range each {
			name := fmt.Sprintf("e-%d-%d", round, i)
			v.post(t, "/api/v1/experiments", draft(name, ""))
			v.post(t, "/api/v1/experiments/shop/"+name+":start", "{}")
		}
		var commanding sync.WaitGroup
		commanding.Go(func() {
			for i := range each {
				_, _ = v.do(t.Context(), http.MethodPost, fmt.Sprintf("/api/v1/experiments/shop/e-%d-%d:promote", round, i), "{}")
			}
		})
		select { // the time is what is random about it
		case <-time.After(time.Duration(1500+rand.IntN(2500)) * time.Millisecond):
		case <-t.Context().Done():
		}
		v.kill(t)
		commanding.Wait()
		v = startConducting(t, directory)
		nothingIsHalfApplied(t, v)
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for name, e := range v.trials(t) {
			assert.Equal(c, "Promoted", e.Status.Phase, name)
		}
	}, 2*time.Minute, 200*time.Millisecond)
	assert.Len(t, nothingIsHalfApplied(t, v), kills*each)
	status, text := v.do(t.Context(), http.MethodGet, "/api/v1/audit:verify", "")
	require.Equal(t, http.StatusOK, status)
	assert.Contains(t, string(text), `"intact":true`)
	v.kill(t)
}
