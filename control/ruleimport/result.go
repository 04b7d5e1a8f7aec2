package ruleimport

import (
	"fmt"
	"strings"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// Format is a format of rules that can be imported.
type Format string

// The formats.
const (
	// VictoriaMetrics is the YAML file of -streamAggr.config.
	VictoriaMetrics Format = "victoriametrics"
	// AdaptiveMetrics is the JSON list of rules of Grafana Adaptive Metrics.
	AdaptiveMetrics Format = "adaptive-metrics"
	// MetricsTransform is a Collector configuration with metrics_transform
	// processors, the configuration of one, or its list of transforms.
	MetricsTransform Format = "metricstransform"
)

// Formats are all formats.
var Formats = []Format{VictoriaMetrics, AdaptiveMetrics, MetricsTransform}

// Severity says how far a rule departs from its original.
type Severity string

// The severities.
const (
	// Info: it works the same way, or better.
	Info Severity = "info"
	// Warning: the result differs, or may; a person should look.
	Warning Severity = "warning"
	// Error: there is no equal, and what it belongs to was left out.
	Error Severity = "error"
)

// Message says what became of one part of the source.
type Message struct {
	Severity Severity
	// Line and Column are its place, from 1. 0: the source as a whole.
	Line, Column int
	// Path is its place in the structure, such as [1].outputs[0].
	Path string
	// Text says what there is to know, Advice what to do. Advice may be empty.
	Text, Advice string
}

// String returns a line as compilers write it, without the file's name.
func (m Message) String() string {
	var b strings.Builder
	if m.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", m.Line, m.Column)
	}
	b.WriteString(string(m.Severity) + ": ")
	if m.Path != "" {
		b.WriteString(m.Path + ": ")
	}
	b.WriteString(m.Text)
	if m.Advice != "" {
		b.WriteString("; " + m.Advice)
	}
	return b.String()
}

// Result is what an import made.
type Result struct {
	// Rules are valid, in the order in which they shall be tried.
	Rules []policy.Rule
	// Messages are in the order of the source, as far as they have a place.
	Messages []Message
	// Errors counts the messages of that severity, also those past the bound on
	// messages.
	Errors int
}

// Bounds on what is read from a source that somebody else wrote.
const (
	maxSourceBytes = 16 << 20
	maxNodes       = 500_000
	maxDepth       = 64
	maxRules       = 20_000
	maxMessages    = 1_000
	maxOverlaps    = 100
)

const textMoreOverlaps = "more rules overlap, or may, than are named here"

// Import converts rules. It never fails as a whole: what cannot be read is an
// error among the messages.
func Import(format Format, source []byte) Result {
	im := &importer{once: map[string]bool{}, options: map[string]string{}, names: map[string]int{}}
	var convert func(*importer, value)
	parse := parseYAML
	switch format {
	case VictoriaMetrics:
		convert = importVictoriaMetrics
	case AdaptiveMetrics:
		convert, parse = importAdaptiveMetrics, parseJSON
	case MetricsTransform:
		convert = importMetricsTransform
	default:
		im.say(Error, value{}, fmt.Sprintf("unknown format %q", format), "")
		return im.result()
	}
	root, err := parse(source)
	if err != nil {
		im.say(Error, err.at, err.Error(), "")
		return im.result()
	}
	convert(im, root)
	im.finish(format)
	return im.result()
}
