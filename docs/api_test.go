package docs

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/fault"
)

var rewrite = flag.Bool("rewrite", false, "write the answers of the examples into api-reference.md")

const reference = "api-reference.md"

// chapter is an example in the order in which they are run: later ones show what
// earlier ones made.
type chapter struct {
	rpc string
	// code is the status of the answer. Default: a success.
	code int
	// before makes what the reader has to imagine.
	before func(*story)
	// during happens while the answer comes.
	during func(*story)
	// after remembers what later examples name.
	after func(*story, answer)
}

var chapters = []chapter{
	{rpc: "System.GetSystem", before: waitReported},
	{rpc: "System.WhoAmI"},
	{rpc: "APIKeys.CreateAPIKey", after: rememberKey},
	{rpc: "APIKeys.ListAPIKeys"},
	{rpc: "APIKeys.GetAPIKey"},
	{rpc: "Cardinality.ListCardinality", before: waitCounted},
	{rpc: "Cardinality.GetCardinality"},
	{rpc: "Samplers.ListSamplers", before: waitSampled},
	{rpc: "PriceModels.PutPriceModel"},
	{rpc: "PriceModels.ActivatePriceModel"},
	{rpc: "PriceModels.GetPriceModel"},
	{rpc: "PriceModels.ListPriceModels"},
	{rpc: "Costs.GetCosts", before: waitBilled},
	{rpc: "Costs.ListCosts"},
	{rpc: "Costs.GetHistory"},
	{rpc: "Savings.EstimateSaving"},
	{rpc: "Errors", code: http.StatusBadRequest},
	{rpc: "Policies.CreatePolicy"},
	{rpc: "Policies.PreviewPolicy"},
	{rpc: "Policies.GetPolicy", before: waitApplied},
	{rpc: "Savings.GetSaving", before: waitComplete},
	{rpc: "Savings.ListSavings"},
	{rpc: "Policies.EnforcePolicy"},
	{rpc: "Policies.ListPolicies"},
	{rpc: "Policies.UpdatePolicy"},
	{rpc: "Policies.ListPolicyRevisions"},
	{rpc: "Policies.GetPolicyRevision"},
	{rpc: "Policies.RollbackPolicy"},
	{rpc: "Policies.DisablePolicy"},
	{rpc: "System.EngageKillSwitch"},
	{rpc: "System.GetKillSwitch"},
	{rpc: "System.ReleaseKillSwitch"},
	{rpc: "Policies.DeletePolicy"},
	{rpc: "Experiments.CreateExperiment"},
	{rpc: "Experiments.UpdateExperiment"},
	{rpc: "Experiments.ApproveExperiment"},
	{rpc: "Experiments.StartExperiment"},
	{rpc: "Experiments.GetExperiment"},
	{rpc: "Experiments.ListExperiments"},
	{rpc: "Experiments.PromoteExperiment", code: http.StatusConflict}, // not so soon
	{rpc: "Experiments.PauseExperiment"},
	{rpc: "Experiments.ResumeExperiment"},
	{rpc: "Experiments.WatchExperiment", during: pauseExperiment},
	{rpc: "Experiments.GetExperimentAnalysis"},
	{rpc: "Experiments.AbortExperiment"},
	{rpc: "Experiments.GetExperimentReport"},
	{rpc: "Experiments.DeleteExperiment"},
	{rpc: "Events.WatchEvents", during: makeAnotherPolicy},
	{rpc: "PriceModels.DeletePriceModel", before: makeTrialModel},
	{rpc: "APIKeys.RevokeAPIKey"},
	{rpc: "Audit.ListAudit"},
	{rpc: "Audit.VerifyAudit"},
	{rpc: "System.Backup"},
}

var (
	exampleBlock = regexp.MustCompile(`(?s)<!-- example: ([\w.]+) -->\n(.*?)<!-- end of example -->\n`)
	commandBlock = regexp.MustCompile("(?s)^```sh\n(.*?)```\n")
)

// Each example of the reference gives the answer that stands with it.
func TestExamplesOfTheReference(t *testing.T) {
	text, err := os.ReadFile(reference)
	require.NoError(t, err)
	examples := map[string]string{}
	for _, match := range exampleBlock.FindAllStringSubmatch(string(text), -1) {
		examples[match[1]] = match[2]
	}
	s := &story{T: t, address: startCollector(t)}
	got := map[string]string{}
	for _, c := range chapters {
		example, there := examples[c.rpc]
		require.True(t, there, "the reference has no place for an example of %s", c.rpc)
		got[c.rpc] = s.run(c, example)
	}
	for name := range examples {
		assert.Contains(t, got, name, "add it to chapters")
	}
	if *rewrite {
		text = exampleBlock.ReplaceAllFunc(text, func(block []byte) []byte {
			name := string(exampleBlock.FindSubmatch(block)[1])
			return fmt.Appendf(nil, "<!-- example: %s -->\n%s<!-- end of example -->\n", name, got[name])
		})
		require.NoError(t, os.WriteFile(reference, text, 0o600))
		return
	}
	for _, c := range chapters {
		assert.Equal(t, examples[c.rpc], got[c.rpc], "%s; repair it with: go test ./docs -rewrite", c.rpc)
	}
}

// story is a run of all examples.
type story struct {
	*testing.T
	address string
}

// run sends an example and returns it with the answer that came.
func (s *story) run(c chapter, example string) string {
	s.Helper()
	command := commandBlock.FindString(example)
	require.NotEmpty(s, command, "%s has no command", c.rpc)
	if c.before != nil {
		c.before(s)
	}
	call, err := parseCurl(commandBlock.FindStringSubmatch(command)[1])
	require.NoError(s, err, c.rpc)
	if c.during != nil {
		time.AfterFunc(call.maxTime/4, func() { c.during(s) })
	}
	a, err := call.do(s.Context(), s.address)
	require.NoError(s, err, c.rpc)
	if c.code != 0 {
		require.Equal(s, c.code, a.code, "%s: %s", c.rpc, a.body)
	} else {
		require.Equal(s, 2, a.code/100, "%s: %s\n%s", c.rpc, a.status, a.body)
	}
	if c.after != nil {
		c.after(s, a)
	}
	return command + "\n```http\n" + show(a, call.download) + "```\n"
}

// shownHeaders are those of which the reference tells.
var shownHeaders = []string{"Content-Type", "Content-Disposition", "Location", "Etag"}

// show is an answer without what differs from run to run.
func show(a answer, download bool) string {
	var b strings.Builder
	b.WriteString(a.status + "\n")
	for _, name := range shownHeaders {
		value := a.header.Get(name)
		if value != "" && (name != "Content-Type" || !strings.HasPrefix(value, "application/json")) {
			b.WriteString(name + ": " + steady(value) + "\n")
		}
	}
	if download {
		return b.String()
	}
	b.WriteString("\n")
	var indented bytes.Buffer
	if json.Indent(&indented, bytes.TrimSpace(a.body), "", "  ") == nil {
		b.WriteString(steady(indented.String()) + "\n")
		return b.String()
	}
	for line := range strings.Lines(string(a.body)) {
		if !strings.HasPrefix(line, ":") { // a comment of server-sent events
			b.WriteString(steady(line))
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// What differs from run to run: times, hashes, ids, and what depends on how fast
// the machine is.
var unsteady = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "…"},
	{regexp.MustCompile(`\d{8}[T-]\d{6}Z?`), "…"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "…"},
	{regexp.MustCompile(`phx_\w+`), "phx_…"},
	{regexp.MustCompile(`("(?:instance_id|request_id|runtime|engine_version|size_bytes|memory_bytes|points|points_in|policy_version|` +
		`ran|unbroken|samples_per_second|window_seconds|sub_window_seconds|relative_error|new_series_per_minute|new_series_in_window|quantity|next_page_token|version)": ?)[^,\n{\[}]+`), `$1"…"`},
	{regexp.MustCompile(`("(?:in|kept|out|represented|level)": ?)[^,\n{\[}]+`), `$1"…"`},
	{regexp.MustCompile(`("error": ?)-?\d[^,\n{\[}]*`), `$1"…"`},
	{regexp.MustCompile(`ran for [\w.]+ without`), "ran for … without"},
	{regexp.MustCompile(`\| Ran \| [\w.]+, [\w.]+ without`), "| Ran | …, … without"},
	{regexp.MustCompile(`measured over [\dms.]+ only`), "measured over … only"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:…"},
	{regexp.MustCompile(`\b\d{16}\b`), "…"}, // ids of events
}

func steady(text string) string {
	for _, u := range unsteady {
		text = u.pattern.ReplaceAllString(text, u.replacement)
	}
	if id := os.Getenv("KEY_ID"); id != "" {
		text = strings.ReplaceAll(text, id, "8Vn3kQ0xTb2L")
	}
	return text
}

// get asks for a resource beside the story.
func (s *story) get(path string) map[string]any {
	s.Helper()
	a, err := (&curl{method: http.MethodGet, url: documented + path, maxTime: time.Minute}).do(s.Context(), s.address)
	require.NoError(s, err)
	require.Equal(s, http.StatusOK, a.code, "%s: %s", path, a.body)
	var v map[string]any
	require.NoError(s, json.Unmarshal(a.body, &v))
	return v
}

// until waits for a state of a resource.
func (s *story) until(path string, is func(map[string]any) bool) {
	s.Helper()
	var last map[string]any
	for range 300 {
		if last = s.get(path); is(last) {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	require.Failf(s, "it does not become so", "%s: %v", path, last)
}

// waitReported waits until both measuring points and the processors are known.
func waitReported(s *story) {
	s.until("/api/v1/system", func(v map[string]any) bool {
		list, _ := v["components"].([]any)
		return len(list) == 4
	})
}

// waitSampled waits until the sampler has seen the points of its rule.
func waitSampled(s *story) {
	s.until("/api/v1/samplers", func(v map[string]any) bool {
		list, _ := v["samplers"].([]any)
		for _, one := range list {
			rules, _ := one.(map[string]any)["rules"].([]any)
			for _, rule := range rules {
				if in, _ := rule.(map[string]any)["in"].(float64); in > 0 {
					return true
				}
			}
		}
		return false
	})
}

// sentSeries is what the service sends.
const sentSeries = pods * (routes*codes + 1)

func waitCounted(s *story) {
	s.until("/api/v1/cardinality", func(v map[string]any) bool {
		points, _ := v["points"].([]any)
		for _, p := range points {
			if p.(map[string]any)["series"] != float64(sentSeries) {
				return false
			}
		}
		return len(points) == 2
	})
}

func waitBilled(s *story) {
	s.until("/api/v1/costs", func(v map[string]any) bool {
		warnings, _ := v["warnings"].([]any)
		// The window is full, and the rate of samples is known, if not for long.
		return v["series"] == float64(sentSeries) && len(warnings) == 1 && strings.Contains(fmt.Sprint(warnings[0]), "was measured over")
	})
}

const dropPod = "/api/v1/policies/shop/drop-pod"

func waitApplied(s *story) {
	s.until(dropPod, func(v map[string]any) bool {
		status, _ := v["status"].(map[string]any)
		return status["applied"] == true
	})
}

func waitComplete(s *story) {
	s.until("/api/v1/savings/shop/drop-pod", func(v map[string]any) bool { return v["complete"] == true })
}

// rememberKey puts the id of the new key into the variable of the examples.
func rememberKey(s *story, a answer) {
	var v struct {
		APIKey struct {
			ID string `json:"id"`
		} `json:"api_key"`
	}
	require.NoError(s, json.Unmarshal(a.body, &v))
	s.Setenv("KEY_ID", v.APIKey.ID)
}

func makeTrialModel(s *story) {
	s.send(http.MethodPut, "/api/v1/priceModels/trial",
		`{"currency": "EUR", "effective": "2026-01-01", "components": [{"name": "series", "kind": "active_series", "price": "1"}]}`)
}

func makeAnotherPolicy(s *story) {
	s.send(http.MethodPost, "/api/v1/policies",
		`{"name": "drop-node", "namespace": "shop", "spec": {"rules": [{"match": {"metric": "queue.*"}, "attributes": {"drop": ["node"]}}]}}`)
}

func pauseExperiment(s *story) {
	s.send(http.MethodPost, "/api/v1/experiments/shop/try-drop-pod:pause", `{"reason": "lunch"}`)
}

// send changes something beside the story. It may be called by any goroutine.
func (s *story) send(method, path, body string) {
	c := &curl{
		method: method, url: documented + path, maxTime: time.Minute, body: body,
		header: http.Header{"Content-Type": {"application/json"}},
	}
	a, err := c.do(s.Context(), s.address)
	if assert.NoError(s, err) {
		assert.Equal(s, 2, a.code/100, "%s", a.body)
	}
}

// The table of reasons is that of the code.
func TestReasonsOfTheReference(t *testing.T) {
	text, err := os.ReadFile(reference)
	require.NoError(t, err)
	rows := regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (\\d+) \\| `([A-Z_]+)` \\|").FindAllStringSubmatch(string(text), -1)
	require.GreaterOrEqual(t, len(rows), 18)
	for _, row := range rows {
		f := fault.New(fault.Reason(row[1]), "")
		assert.Equal(t, strconv.Itoa(f.HTTPStatus()), row[2], row[1])
		code := regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(f.Code().String(), "${1}_$2")
		assert.Equal(t, strings.ToUpper(code), row[3], row[1])
	}
	assert.True(t, slices.ContainsFunc(rows, func(row []string) bool { return row[1] == string(fault.NotPreviewed) }))
}
