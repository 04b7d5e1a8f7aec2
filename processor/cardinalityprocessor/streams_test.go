package cardinalityprocessor

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"golang.org/x/tools/txtar"

	"github.com/phoenix-platform/phoenix/control/report"
)

// TestStreams plays testdata/streams. A case is a txtar archive whose files are
// steps, in order:
//
//	config           the processor's options; first
//	feed [remark]    a batch, see parseStream
//	wait DURATION    time passes
//	report [since=DURATION] [metric=NAME] [remark]   what the control plane is told
//	log [remark]     the lines logged since the last step of this kind
//	telemetry [NAME…]   the processor's own metrics
//
// `go test -rewrite` writes the outcomes again.
func TestStreams(t *testing.T) {
	files, err := filepath.Glob("testdata/streams/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			synctest.Test(t, func(t *testing.T) { play(t, archive) })
			if *rewrite {
				require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o600))
			}
		})
	}
}

func play(t *testing.T, archive *txtar.Archive) {
	t.Helper()
	r := newRig(t)
	var p processor.Metrics
	for i := range archive.Files {
		step := &archive.Files[i]
		words := strings.Fields(step.Name)
		var got string
		switch words[0] {
		case "config":
			p = r.start(string(step.Data))
			continue
		case "feed":
			r.feed(p, string(step.Data))
			continue
		case "wait":
			d, err := time.ParseDuration(words[1])
			require.NoError(t, err)
			time.Sleep(d) // the clock is synctest's
			synctest.Wait()
			continue
		case "report":
			got = reportText(r.report(query(t, words[1:])))
		case "log":
			got = r.logText()
		case "telemetry":
			got = r.telemetryText(words[1:])
		default:
			require.Fail(t, "unknown step", step.Name)
		}
		if *rewrite {
			step.Data = []byte(got)
			continue
		}
		assert.Equal(t, string(step.Data), got, "step %d, %q; run go test -rewrite and inspect the diff", i+1, step.Name)
	}
}

func query(t *testing.T, words []string) (q report.CardinalityQuery) {
	t.Helper()
	for _, word := range words {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "since":
			d, err := time.ParseDuration(value)
			require.NoError(t, err)
			q.Since = d
		case "metric":
			q.Metric = value
		}
	}
	return q
}

// reportText is a report as people read it, in a fixed order.
func reportText(c report.Cardinality) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: series %d, streams %d, points %d, metrics %d, in %s\n",
		c.Backend, c.Series, c.Streams, c.Points, c.MetricsTracked, c.To.Sub(c.From))
	if len(c.Refused) > 0 {
		fmt.Fprintf(&b, "refused %v\n", c.Refused)
	}
	if o := c.Overflow; o != nil {
		fmt.Fprintf(&b, "overflow: metrics %d, series %d, points %d, metrics with folded attributes %d; %s\n",
			o.Metrics, o.Series, o.Points, o.Attributes, strings.Join(o.Reasons, ", "))
	}
	slices.SortFunc(c.Metrics, func(x, y report.MetricCardinality) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Group, y.Group))
	})
	for _, m := range c.Metrics {
		metricText(&b, c, m)
	}
	return b.String()
}

func metricText(b *strings.Builder, c report.Cardinality, m report.MetricCardinality) {
	fmt.Fprintf(b, "%s → %s, %s", m.Name, m.BackendName, m.Type)
	if c.GroupBy != "" {
		fmt.Fprintf(b, ", group %q", m.Group)
	}
	fmt.Fprintf(b, ": series %d, streams %d, points %d, new %d", m.Series, m.Streams, m.Points, m.Growth.NewInWindow)
	if m.Estimated {
		fmt.Fprintf(b, ", ± %.2f %%", 100*m.RelativeError)
	}
	b.WriteByte('\n')
	if g := m.Growth; g.NewPerMinute > 0 || g.Growing || g.Accelerating {
		fmt.Fprintf(b, "  new a minute %.3g, growing %t, accelerating %t\n", g.NewPerMinute, g.Growing, g.Accelerating)
	}
	if l := m.Limit; l != nil {
		fmt.Fprintf(b, "  limit %d of %s, exceeded %t\n", l.MaxSeries, l.Match, l.Exceeded)
	}
	slices.SortFunc(m.Attributes, func(x, y report.AttributeCardinality) int {
		return cmp.Or(cmp.Compare(x.Level, y.Level), cmp.Compare(x.Key, y.Key))
	})
	for _, a := range m.Attributes {
		name := fmt.Sprintf("%s %s", a.Level, a.Key)
		if a.Overflow {
			name = "(all other attributes)"
		}
		if a.Label != "" {
			name += " → " + a.Label
		}
		fmt.Fprintf(b, "  %s: values %d, saves %d, leaves %d\n", name, a.Distinct, a.Saving, a.SeriesWithout)
	}
	for _, g := range m.Groups {
		fmt.Fprintf(b, "  %s: saves %d, leaves %d\n", strings.Join(g.Attributes, "+"), g.Saving, g.SeriesWithout)
	}
	if s := m.Best; s != nil {
		fmt.Fprintf(b, "  best %s: saves %d, leaves %d\n", strings.Join(s.Attributes, "+"), s.Series, s.SeriesWithout)
	}
}

// logText returns what was logged since it was last asked.
func (r *rig) logText() string {
	var b strings.Builder
	for _, e := range r.logs.TakeAll() {
		fields := e.ContextMap()
		keys := make([]string, 0, len(fields))
		for key := range fields {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		fmt.Fprintf(&b, "%s %s", e.Level, e.Message)
		for _, key := range keys {
			fmt.Fprintf(&b, " %s=%v", key, fields[key])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// telemetryText returns the named metrics of the processor, all of its own if
// none is named, without the prefix of their names.
func (r *rig) telemetryText(names []string) string {
	r.t.Helper()
	var rm metricdata.ResourceMetrics
	require.NoError(r.t, r.telemetry.Reader.Collect(r.t.Context(), &rm))
	var lines []string
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			name, own := strings.CutPrefix(m.Name, "otelcol_processor_cardinality_")
			if !own || len(names) > 0 && !slices.Contains(names, name) {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Gauge[int64]:
				lines = append(lines, pointLines(name, data.DataPoints)...)
			case metricdata.Sum[int64]:
				lines = append(lines, pointLines(name, data.DataPoints)...)
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func pointLines(name string, points []metricdata.DataPoint[int64]) []string {
	lines := make([]string, 0, len(points))
	for _, p := range points {
		lines = append(lines, fmt.Sprintf("%s{%s} %d\n", name, p.Attributes.Encoded(attribute.DefaultEncoder()), p.Value))
	}
	return lines
}
