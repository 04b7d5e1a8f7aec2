package adaptivesamplerprocessor

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"golang.org/x/tools/txtar"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// rewrite writes what scripts expect again; read the diff before you keep it.
var rewrite = flag.Bool("rewrite", false, "write the expectations in testdata/scripts again")

// TestScripts plays testdata/scripts. A script is a txtar archive: a remark of
// which the first line is the title, and the files config.yaml and script. There a
// line that is not indented is a step, and the indented ones below are what it
// sends or expects, an item each (see script_items_test.go).
//
//	traces, logs, metrics   a batch of these comes in; refused says that the next component refuses
//	out                     what came out since the last step of this kind
//	load traces a 100/s 1m  random traffic of service a comes in once a second, and what comes of it is not shown
//	wait 10s                time passes
//	counters                the processor's own counters of items
//	log                     what was logged since the last step of this kind
//
// `go test -rewrite` writes what is expected again.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := loadScript(t, file)
				s.play(t)
				if *rewrite {
					require.NoError(t, os.WriteFile(file, s.format(), 0o600))
				}
			})
		})
	}
}

// script is a parsed script.
type script struct {
	archive *txtar.Archive
	config  string
	steps   []scriptStep
}

type scriptStep struct {
	head  string
	lines []string
}

func loadScript(tb testing.TB, file string) *script {
	tb.Helper()
	archive, err := txtar.ParseFile(file)
	require.NoError(tb, err)
	require.Len(tb, archive.Files, 2)
	require.Equal(tb, "config.yaml", archive.Files[0].Name)
	require.Equal(tb, "script", archive.Files[1].Name)
	s := &script{archive: archive, config: string(archive.Files[0].Data)}
	for line := range strings.SplitSeq(strings.TrimSpace(string(archive.Files[1].Data)), "\n") {
		if strings.HasPrefix(line, " ") {
			last := &s.steps[len(s.steps)-1]
			last.lines = append(last.lines, strings.TrimSpace(line))
		} else {
			s.steps = append(s.steps, scriptStep{head: line})
		}
	}
	return s
}

// title is the first line of the remark.
func (s *script) title() string {
	line, _, _ := strings.Cut(string(s.archive.Comment), "\n")
	return line
}

// format is the archive with the steps as they are now.
func (s *script) format() []byte {
	var b strings.Builder
	for _, step := range s.steps {
		b.WriteString(step.head + "\n")
		for _, line := range step.lines {
			b.WriteString("  " + line + "\n")
		}
	}
	s.archive.Files[1].Data = []byte(b.String())
	return txtar.Format(s.archive)
}

// player plays a script in a processor of all three signals.
type player struct {
	t         *testing.T
	f         *frame
	telemetry *componenttest.Telemetry
	began     time.Time
	logged    int
	refuse    error
	counted   map[string]int64
	random    traffic
}

var errRefused = errors.New("queue is full")

func (s *script) play(t *testing.T) {
	t.Helper()
	telemetry := componenttest.NewTelemetry()
	p := &player{t: t, telemetry: telemetry, began: time.Now(), counted: map[string]int64{}, random: newTraffic(1)}
	p.f = newFrameOf(t, s.config, componenttest.NewNopHost(), frameSettings{telemetry: telemetry, refuse: func() error { return p.refuse }})
	p.f.running.newSecret = func() series.Secret { return series.Secret{} } // for shares of series
	p.f.start()
	time.Sleep(130 * time.Millisecond) // so that no load comes at the very instant in which an interval ends
	for i := range s.steps {
		step := &s.steps[i]
		shown, shows := p.step(strings.Fields(step.head), step.lines)
		switch {
		case !shows:
		case *rewrite:
			step.lines = shown
		default:
			assert.Equal(t, strings.Join(step.lines, "\n"), strings.Join(shown, "\n"), "step %d, %s; go test -rewrite writes it", i+1, step.head)
		}
	}
	p.f.shutdown()
	require.NoError(t, telemetry.Shutdown(context.WithoutCancel(t.Context())))
}

// step does one step. What it returns with true is compared.
func (p *player) step(words, lines []string) (shown []string, shows bool) {
	p.t.Helper()
	switch words[0] {
	case "traces", "logs", "metrics":
		p.send(words, lines)
	case "out":
		return p.out(), true
	case "load":
		p.load(words[1], words[2], words[3], words[4])
	case "wait":
		time.Sleep(p.duration(words[1]))
		synctest.Wait()
	case "counters":
		return p.counters(), true
	case "log":
		return p.log(), true
	default:
		require.Fail(p.t, "unknown step", words[0])
	}
	return nil, false
}

func (p *player) duration(text string) time.Duration {
	p.t.Helper()
	d, err := time.ParseDuration(text)
	require.NoError(p.t, err)
	return d
}

func (p *player) send(words, lines []string) {
	p.t.Helper()
	if len(words) > 1 {
		require.Equal(p.t, "refused", words[1])
		p.refuse = errRefused
		defer func() { p.refuse = nil }()
	}
	var err error
	switch words[0] {
	case "traces":
		err = p.f.traces.ConsumeTraces(p.t.Context(), p.readSpans(lines))
	case "logs":
		err = p.f.logs.ConsumeLogs(p.t.Context(), p.readRecords(lines))
	case "metrics":
		err = p.f.metrics.ConsumeMetrics(p.t.Context(), p.readPoints(lines))
	}
	require.ErrorIs(p.t, err, p.refuse)
}

// out takes what came out, a line each.
func (p *player) out() (lines []string) {
	for _, td := range p.f.spans.AllTraces() {
		lines = append(lines, p.writeSpans(td)...)
	}
	for _, ld := range p.f.records.AllLogs() {
		lines = append(lines, p.writeRecords(ld)...)
	}
	for _, md := range p.f.points.AllMetrics() {
		lines = append(lines, p.writePoints(md)...)
	}
	p.f.spans.Reset()
	p.f.records.Reset()
	p.f.points.Reset()
	return lines
}

func (p *player) load(signal, service, rate, lasting string) {
	p.t.Helper()
	n, err := strconv.Atoi(strings.TrimSuffix(rate, "/s"))
	require.NoError(p.t, err)
	for end := time.Now().Add(p.duration(lasting)); time.Now().Before(end); {
		if signal == "traces" {
			require.NoError(p.t, p.f.traces.ConsumeTraces(p.t.Context(), p.random.spans(service, n, time.Now())))
		} else {
			require.NoError(p.t, p.f.logs.ConsumeLogs(p.t.Context(), p.random.records(service, "request served", n, time.Now())))
		}
		time.Sleep(time.Second)
	}
	synctest.Wait()
	p.out()
	p.counters()
}

// counters are what changed since the last step of this kind.
func (p *player) counters() (lines []string) {
	p.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(p.t, p.telemetry.Reader.Collect(p.t.Context(), &all))
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			name, ours := strings.CutPrefix(m.Name, "otelcol_processor_adaptive_sampler_")
			sum, is := m.Data.(metricdata.Sum[int64])
			if !ours || !is || !strings.HasSuffix(name, "_items") {
				continue
			}
			for _, d := range sum.DataPoints {
				key := name + labels(d.Attributes)
				if grown := d.Value - p.counted[key]; grown > 0 {
					lines = append(lines, fmt.Sprintf("%s %d", key, grown))
				}
				p.counted[key] = d.Value
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func labels(set attribute.Set) string {
	var list []string
	for _, a := range set.ToSlice() {
		list = append(list, string(a.Key)+"="+a.Value.String())
	}
	return "{" + strings.Join(list, ",") + "}"
}

func (p *player) log() (lines []string) {
	all := p.f.logged.All()
	for _, e := range all[p.logged:] {
		var line strings.Builder
		line.WriteString(e.Level.String() + " " + e.Message)
		fields := e.ContextMap()
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			fmt.Fprintf(&line, " %s=%v", key, fields[key])
		}
		lines = append(lines, line.String())
	}
	p.logged = len(all)
	return lines
}
