package archtest

import (
	"fmt"
	"slices"
)

// Wall is one rule about imports. Patterns are import paths with all below them; those of this module start with "./", "std"
// is the standard library, and * stands for one path element.
type Wall struct {
	Name   string
	Reason string
	// From says whose imports are looked at, Except who is excused.
	From, Except []string

	// Allow, if not empty, lists all that may be imported directly.
	Allow []string
	// DenyDirect lists what may not be imported directly, Deny what may not be reached at all, AllowReach what may all the same.
	DenyDirect, Deny, AllowReach []string
	// Apart lists trees that may not reach one another. A tree may reach itself.
	Apart []string

	// Breaks is an import that this wall must refuse: the proof, in the tests, that the wall stands.
	Breaks [2]string
}

// What the data path and the algorithms must never carry, also not through others. The exception is interfaces only; pdata
// reaches it through the version numbers of feature gates.
var heavy = []string{
	"k8s.io", "sigs.k8s.io", "github.com/prometheus/prometheus", "database/sql", "modernc.org", "github.com/jackc",
	"github.com/nats-io", "google.golang.org/genproto/googleapis/api",
}

var notHeavy = []string{"database/sql/driver"}

// Packages that only tests import: the kit, and what a package lends to the tests of others (storetest, metadatatest).
var forTests = []string{"./internal/testkit", "./...test"}

var components = []string{"./processor", "./connector", "./extension", "./receiver", "./exporter"}

// Walls are the import rules of the architecture.
var Walls = []Wall{
	{
		Name:   "algorithms",
		Reason: "algorithms are pure: they know no Collector host, no component and nothing of control, so that they can be tested and reused alone",
		From:   []string{"./internal"}, Except: []string{"./internal/testkit", "./internal/archtest"},
		Allow: []string{
			"std", "./internal", "go.opentelemetry.io/collector/pdata",
			"github.com/axiomhq/hyperloglog",                                         // the sketch
			"github.com/cespare/xxhash/v2",                                           // hashes
			"github.com/zeebo/xxh3",                                                  // hashes
			"github.com/prometheus/otlptranslator",                                   // what a Prometheus backend calls a metric
			"github.com/honeycombio/dynsampler-go",                                   // sampling rates by key
			"github.com/DataDog/sketches-go",                                         // quantiles
			"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling", // consistent probability sampling
			"gonum.org/v1/gonum",                                                     // distributions
		},
		Deny:       append([]string{"./control", "./distributions", "go.opentelemetry.io/collector/component", "go.opentelemetry.io/collector/consumer"}, slices.Concat(components, heavy)...),
		AllowReach: notHeavy,
		Breaks:     [2]string{"./internal/series", "./control/policy"},
	},
	{
		Name:   "test kit",
		Reason: "what ships does not carry what only tests need",
		From:   []string{"."}, Except: append([]string{"./distributions/e2e", "./benchmarks", "./examples"}, forTests...),
		Deny: forTests,
		// Directly only: components of contrib carry testify.
		DenyDirect: []string{"testing", "github.com/stretchr/testify"},
		Breaks:     [2]string{"./processor/cardinalityprocessor", "./internal/testkit/replay"},
	},
	{
		Name:   "data path",
		Reason: "a component is useful alone and light: of control it knows the contract, and third parties may take it without the rest",
		From:   []string{"./processor", "./connector"},
		Deny:   append([]string{"./control", "./extension", "./distributions"}, heavy...), AllowReach: append([]string{"./control/policy", "./control/report"}, notHeavy...),
		Breaks: [2]string{"./processor/cardinalityprocessor", "./control/api"},
	},
	{
		Name:   "components apart",
		Reason: "components meet in a pipeline, never in code; what two of them share belongs to internal/",
		From:   components,
		Apart:  []string{"./processor/*", "./connector/*", "./extension/*", "./receiver/*", "./exporter/*"},
		Breaks: [2]string{"./processor/cardinalityprocessor", "./processor/tagconsolidationprocessor"},
	},
	{
		Name:       "contract",
		Reason:     "both paths and third parties import the contract: it costs them nothing",
		From:       []string{"./control/policy", "./control/report"},
		Allow:      []string{"std", "./control/policy", "./control/report"},
		DenyDirect: []string{"net", "net/http", "os", "os/exec", "log", "database"},
		Breaks:     [2]string{"./control/report", "go.opentelemetry.io/collector/pdata/pcommon"},
	},
	{
		Name:       "pure control",
		Reason:     "decisions are pure: time and observations come in as values, so that a decision can be replayed",
		From:       pureControl,
		Allow:      append([]string{"std", "./internal", "./control/policy", "./control/report", "gonum.org/v1/gonum"}, pureControl...),
		DenyDirect: []string{"os", "os/exec", "net", "net/http", "log", "log/slog", "syscall", "database/sql", "math/rand"},
		Deny:       heavy, AllowReach: notHeavy,
		Breaks: [2]string{"./control/experiment", "go.uber.org/zap"},
	},
	{
		Name:   "one technology each",
		Reason: "each owns one technology and can be replaced alone; they meet in control.Plane",
		From:   []string{"./control"},
		Apart:  []string{"./control/store", "./control/bus", "./control/kube", "./control/api", "./control/dashboard"},
		Breaks: [2]string{"./control/api", "./control/store"},
	},
	{
		Name: "access", Reason: "who may do what is decided without transport, file or log, so that every door decides alike",
		From:       []string{"./control/access"},
		Allow:      []string{"std", "./control/access", "github.com/hashicorp/golang-lru/v2", "golang.org/x/time/rate"},
		DenyDirect: []string{"os", "os/exec", "net/http", "log", "log/slog", "syscall", "database/sql", "math/rand"},
		Deny:       append([]string{"google.golang.org/grpc"}, heavy...), AllowReach: notHeavy,
		Breaks: [2]string{"./control/access", "net/http"},
	},
	{
		Name:   "control",
		Reason: "the control plane reaches the data path through the contract only",
		From:   []string{"./control"},
		Deny:   append([]string{"./distributions"}, components...),
		Breaks: [2]string{"./control/api", "./processor/cardinalityprocessor"},
	},
	{
		Name:   "extension",
		Reason: "the extension hosts control.Plane; nothing else",
		From:   []string{"./extension"},
		Deny:   []string{"./processor", "./connector", "./distributions"},
		Breaks: [2]string{"./extension/phoenixcontrolextension", "./processor/cardinalityprocessor"},
	},
	{
		Name: "Kubernetes", Reason: "control/kube owns the Kubernetes API",
		From: []string{"."}, Except: []string{"./control/kube", "./internal/testkit", "./distributions/e2e"},
		DenyDirect: []string{"k8s.io", "sigs.k8s.io"},
		Breaks:     [2]string{"./control/api", "k8s.io/client-go/kubernetes"},
	},
	{
		Name: "PromQL", Reason: "control/labelusage and control/fidelity own the PromQL parser and engine",
		From: []string{"."}, Except: []string{"./control/labelusage", "./control/fidelity", "./internal/testkit", "./distributions/e2e"},
		DenyDirect: []string{"github.com/prometheus/prometheus"},
		Breaks:     [2]string{"./control/metricsource", "github.com/prometheus/prometheus/promql"},
	},
	{
		Name: "SQL", Reason: "control/store owns the database",
		From: []string{"."}, Except: []string{"./control/store", "./internal/testkit", "./distributions/e2e"},
		DenyDirect: []string{"database/sql", "modernc.org", "github.com/jackc"},
		Breaks:     [2]string{"./control/api", "database/sql"},
	},
	{
		Name: "NATS", Reason: "control/bus owns the message bus",
		From: []string{"."}, Except: []string{"./control/bus", "./internal/testkit", "./distributions/e2e"},
		DenyDirect: []string{"github.com/nats-io"},
		Breaks:     [2]string{"./control/api", "github.com/nats-io/nats.go"},
	},
}

// pureControl are the packages that decide: see also CheckPure.
var pureControl = []string{"./control/experiment", "./control/stats", "./control/verdict", "./control/cost", "./control/advisor"}

// Check returns a sentence for each import that the wall refuses.
func (w Wall) Check(g Graph) []string {
	var found []string
	for _, from := range g.Own() {
		if !matches(from, w.From) || matches(from, w.Except) {
			continue
		}
		found = append(found, w.checkDirect(g, from)...)
		found = append(found, w.checkReach(g, from)...)
	}
	return found
}

func (w Wall) checkDirect(g Graph, from string) []string {
	var found []string
	for _, dep := range g[full(from)] {
		dep = short(dep)
		refused := matches(dep, w.DenyDirect) || len(w.Allow) > 0 && !matches(dep, w.Allow)
		if refused && dep != "C" && dep != "unsafe" {
			found = append(found, fmt.Sprintf("%s imports %s: %s", from, dep, w.Reason))
		}
	}
	return found
}

// checkReach reports the nearest offender of a package only: what lies behind it follows from it.
func (w Wall) checkReach(g Graph, from string) []string {
	via := g.Reach(full(from))
	refused := func(dep string) bool {
		dep = short(dep)
		return matches(dep, w.Deny) && !matches(dep, w.AllowReach) || w.parts(from, dep)
	}
	var found []string
	for dep, by := range via {
		if refused(dep) && !refused(by) {
			found = append(found, fmt.Sprintf("%s reaches %s (%s): %s", from, short(dep), chain(via, full(from), dep), w.Reason))
		}
	}
	slices.Sort(found)
	return found
}

// parts says whether the wall stands between two packages because they are in different trees of Apart.
func (w Wall) parts(from, to string) bool {
	a, b := tree(from, w.Apart), tree(to, w.Apart)
	return a != "" && b != "" && a != b
}

func tree(pkg string, patterns []string) string {
	for _, p := range patterns {
		if t, ok := under(pkg, p); ok {
			return t
		}
	}
	return ""
}
