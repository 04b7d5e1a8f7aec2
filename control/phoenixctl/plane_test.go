package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
)

// rig is a control plane with a measuring point and a processor, and the
// commands that a test ran.
type rig struct {
	t      *testing.T
	plane  *control.Plane
	server *httptest.Server
	clock  *clock
	dir    string
	text   strings.Builder
	// secrets are replaced in what is compared.
	secrets []string
}

// clock is that of the machine, and what the test added.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOf(t, "")
}

// newRigOf has a namespace attribute.
func newRigOf(t *testing.T, attribute string) *rig {
	t.Helper()
	r := &rig{t: t, clock: &clock{}, dir: t.TempDir()}
	rules := access.DefaultConfig()
	rules.RateLimits.Read, rules.RateLimits.Write = access.Rate{}, access.Rate{} // a test asks faster than people
	r.server, r.plane = controltest.ServePlane(t, control.Settings{
		Directory: r.dir, Now: r.clock.Now, Access: &rules, NamespaceAttribute: attribute, Build: component.BuildInfo{Command: "phoenix-collector", Version: "1.2.3"},
	})
	controltest.Register(t, r.plane, controltest.Ingest())
	return r
}

// consolidate registers a processor that applies what the plane publishes.
func (r *rig) consolidate() *consolidator {
	r.t.Helper()
	c := &consolidator{rig: r, since: map[string]time.Time{}}
	unregister, err := r.plane.RegisterConsolidation(report.ConsolidationRegistration{
		Component: "tag_consolidation", Role: "common", Source: c,
	})
	require.NoError(r.t, err)
	r.t.Cleanup(unregister)
	return c
}

// consolidator has seen each rule match the same streams, or none.
type consolidator struct {
	rig       *rig
	unmatched atomic.Bool
	mu        sync.Mutex
	since     map[string]time.Time
}

func (c *consolidator) PolicyVersion() uint64 { return c.rig.plane.Policy().Version }

func (c *consolidator) Consolidation(context.Context) (report.Consolidation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	snapshot := c.rig.plane.Policy()
	answer := report.Consolidation{
		Component: "tag_consolidation", Role: "common", PolicyVersion: snapshot.Version,
		Interval: 15 * time.Second, Staleness: 5 * time.Minute,
	}
	for _, rule := range snapshot.Rules {
		key := rule.Name + string(rule.Mode)
		if _, known := c.since[key]; !known {
			c.since[key] = c.rig.clock.Now()
		}
		if c.unmatched.Load() {
			answer.Rules = append(answer.Rules, report.RuleReport{Name: rule.Name, Mode: string(rule.Mode), Since: c.since[key]})
			continue
		}
		answer.Rules = append(answer.Rules, report.RuleReport{
			Name: rule.Name, Mode: string(rule.Mode), Since: c.since[key], Points: 40_000, Streams: 2_500, StreamsAfter: 100,
			Metrics: []report.RuleMetric{{
				Metric: "db.client.calls", Type: "sum", Streams: 2_500, StreamsAfter: 100, Series: 2_500, SeriesAfter: 100, RelativeError: 0.0081,
			}},
		})
	}
	return answer, nil
}

// run runs a command and keeps what it printed.
func (r *rig) run(args ...string) string { return r.pipe("", args...) }

// pipe is run with text on standard input.
func (r *rig) pipe(stdin string, args ...string) string {
	r.t.Helper()
	var out, errOut bytes.Buffer
	root := newRootCommand()
	root.SetArgs(append([]string{"--address", r.server.URL}, args...))
	if contextFlag(args) {
		root.SetArgs(args)
	}
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errOut)
	err := root.ExecuteContext(r.t.Context())
	printError(&errOut, err)
	_, _ = fmt.Fprintf(&r.text, "$ phoenixctl %s\n%s", strings.Join(args, " "), out.String())
	for line := range strings.Lines(errOut.String()) {
		r.text.WriteString("! " + line)
	}
	if code := exitCode(err); code != exitOK {
		_, _ = fmt.Fprintf(&r.text, "[exit %d]\n", code)
	}
	r.text.WriteString("\n")
	return out.String()
}

// contextFlag says whether the command says itself whom to ask.
func contextFlag(args []string) bool {
	for _, arg := range args {
		if arg == "--context" || arg == "--address" || arg == "context" || arg == "restore" {
			return true
		}
	}
	return false
}

// What differs from run to run.
var changing = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d+)?Z?)?( UTC)?`), "TIME"},
	{regexp.MustCompile(`\b([0-9]+m)?[0-9.]+m?s\b`), "DURATION"},
	{regexp.MustCompile(`\b\d{16}\b`), "EVENT"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:port"},
	{regexp.MustCompile(`\b[A-Z2-7]{26}\b`), "REQUEST"},
	{regexp.MustCompile(`phx_[A-Za-z0-9_-]+`), "phx_SECRET"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "SHA256"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "SHA256_BEGIN"},
	{regexp.MustCompile(`Key \S+ may`), "Key KEYID may"},
	{regexp.MustCompile(`go1\.\S+ \w+[ /]\w+`), "go1 os arch"},
	{regexp.MustCompile(`\d+\.\d MiB`), "N MiB"},
	{regexp.MustCompile(`sqlite \d+\.\d+\.\d+`), "sqlite V"},
}

// golden compares all that was printed.
func (r *rig) golden(name string) {
	r.t.Helper()
	text := strings.NewReplacer(r.server.URL, "http://server", strings.TrimPrefix(r.server.URL, "http://"), "server", r.dir, "DIR").Replace(r.text.String())
	for _, s := range r.secrets {
		text = strings.ReplaceAll(text, s, "KEYID")
	}
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.by)
	}
	requireGolden(r.t, name, text)
}
