package tagconsolidationprocessor

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// rewrite writes what scripts expect again; read the diff before you keep it.
var rewrite = flag.Bool("rewrite", false, "write the expectations in testdata/scripts again")

// TestScripts plays testdata/scripts. A script is a txtar archive: a remark of
// which the first line is the title, the files of configurations, of which
// config.yaml applies first, and the file script. There a line that is not
// indented is a step, and the indented ones below are what it sends or expects,
// a point each (see script_read_test.go). What follows a # is a remark.
//
//	at 5s             the time is now 5s after the beginning; it may not pass an edge
//	send              these points come in
//	passed            and these pass at once; without this step none does
//	edge              time moves to the next edge, where these are emitted
//	edge refused      the same, and the next component refuses what is emitted
//	edges 2m          the same for all edges until then
//	checkpoint        the state is written
//	apply x.yaml      control has the rules of this file from now on, also for a new process
//	control gone      control does not know its rules, also for a new process
//	shutdown          the process ends in order, and emits these
//	crash             the process is killed
//	crash at the edge …  at the next edge, before anything has left it
//	start [5m] [x.yaml]  a new process begins, perhaps later or with another configuration, and emits these
//	counters [NAME…]  the processor's own counters
//	log               what was logged since the last step of this kind
//
// A script with a file experiment.yaml has two processors and more steps: see
// script_promotion_test.go.
//
// `go test -rewrite` writes what is expected again.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			s := loadScript(t, file)
			s.play(t)
			if *rewrite {
				require.NoError(t, os.WriteFile(file, s.format(), 0o600))
			}
		})
	}
}

// script is a parsed script.
type script struct {
	archive *txtar.Archive
	files   map[string]string
	steps   []scriptStep
	tail    []string
}

type scriptStep struct {
	lead   []string // comments and empty lines before it
	head   string
	remark string
	lines  []string
}

const scriptFile = "script"

func loadScript(tb testing.TB, file string) *script {
	tb.Helper()
	archive, err := txtar.ParseFile(file)
	require.NoError(tb, err)
	s := &script{archive: archive, files: map[string]string{}}
	for _, f := range archive.Files {
		s.files[f.Name] = string(f.Data)
	}
	require.Contains(tb, s.files, "config.yaml")
	require.Contains(tb, s.files, scriptFile)
	s.parse(s.files[scriptFile])
	return s
}

// title is the first line of the remark.
func (s *script) title() string {
	line, _, _ := strings.Cut(string(s.archive.Comment), "\n")
	return line
}

func (s *script) parse(text string) {
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case strings.TrimSpace(line) == "" || line[0] == '#':
			s.tail = append(s.tail, line)
		case line[0] == ' ' || line[0] == '\t':
			last := &s.steps[len(s.steps)-1]
			last.lines = append(last.lines, strings.TrimSpace(line))
		default:
			head, remark, _ := strings.Cut(line, " #")
			s.steps = append(s.steps, scriptStep{lead: s.tail, head: strings.TrimSpace(head), remark: remark})
			s.tail = nil
		}
	}
}

// format is the archive with the steps as they are now.
func (s *script) format() []byte {
	var b strings.Builder
	write := func(lines []string) {
		for _, line := range lines {
			b.WriteString(line + "\n")
		}
	}
	for i := range s.steps {
		step := &s.steps[i]
		write(step.lead)
		b.WriteString(step.head)
		if step.remark != "" {
			b.WriteString(" #" + step.remark)
		}
		b.WriteByte('\n')
		for _, line := range step.lines {
			b.WriteString("  " + line + "\n")
		}
	}
	write(s.tail)
	for i := range s.archive.Files {
		if s.archive.Files[i].Name == scriptFile {
			s.archive.Files[i].Data = []byte(b.String())
		}
	}
	return txtar.Format(s.archive)
}

func (s *script) play(t *testing.T) {
	t.Helper()
	if rules, promotes := s.files["experiment.yaml"]; promotes {
		s.playPromotion(t, rules)
		return
	}
	p := &player{t: t, script: s, stage: newStage(t, s.files["config.yaml"])}
	for i := 0; i < len(s.steps); i++ {
		i = p.step(i)
	}
	if p.stage != nil && p.alive() {
		p.die()
	}
}

// player plays one script.
type player struct {
	*stage
	t      *testing.T
	script *script
	dead   bool
}

func (p *player) alive() bool { return !p.dead }

// step plays a step and returns the index of the last one that it took.
func (p *player) step(i int) int {
	p.t.Helper()
	step := &p.script.steps[i]
	args := strings.Fields(step.head)
	require.True(p.t, p.alive() || slices.Contains([]string{"start", "counters", "log"}, args[0]), "%s: there is no process", step.head)
	switch args[0] {
	case "at":
		p.at(args[1])
	case "send":
		return p.expectPassed(i, texts(p.feed(step.lines)))
	case "edge":
		if len(args) > 1 {
			require.Equal(p.t, "edge refused", step.head)
			p.edgeRefused()
			break
		}
		p.expect(i, texts(p.edge()))
	case "edges":
		p.expect(i, p.edges(args[1]))
	case "checkpoint":
		p.c.writeCheckpoint(p.t.Context())
	case "apply":
		p.apply(p.file(args[1]))
	case "control": // gone: it does not know its rules any more
		require.Equal(p.t, "control gone", step.head)
		p.control.policy = &policy.Snapshot{}
		p.c.poll(p.t.Context())
	case "shutdown":
		out := writePoints(p.end()...)
		p.emitted(p.t, out, p.now)
		p.expect(i, texts(out))
		p.conserved()
		p.dead = true
	case "crash":
		if len(args) > 1 {
			require.Equal(p.t, "crash at the edge", step.head)
			p.edgeThatDies()
		}
		p.die()
		p.dead = true
	case "start":
		p.expect(i, p.start(args[1:]))
	case "counters":
		p.expect(i, p.counters(args[1:]))
	case "log":
		p.expect(i, p.logged())
	default:
		require.Fail(p.t, "unknown step", step.head)
	}
	return i
}

func (p *player) file(name string) string {
	p.t.Helper()
	require.Contains(p.t, p.script.files, name)
	return p.script.files[name]
}

func (p *player) duration(text string) time.Duration {
	p.t.Helper()
	d, err := time.ParseDuration(text)
	require.NoError(p.t, err)
	return d
}

func (p *player) at(text string) {
	p.t.Helper()
	then := epoch.Add(p.duration(text))
	next := p.now.Truncate(p.cfg.Interval).Add(p.cfg.Interval)
	require.False(p.t, then.Before(p.now), "at %s: time goes back", text)
	require.True(p.t, then.Before(next), "at %s: there is an edge before", text)
	p.now = then
}

// edges plays all edges until a time and returns all that is emitted.
func (p *player) edges(until string) (all []string) {
	p.t.Helper()
	for end := epoch.Add(p.duration(until)); p.now.Before(end); {
		all = append(all, texts(p.edge())...)
	}
	return all
}

// start begins a new process and returns what it emits at once.
func (p *player) start(args []string) []string {
	p.t.Helper()
	require.False(p.t, p.alive(), "start: there is a process")
	for _, word := range args {
		if strings.HasSuffix(word, ".yaml") {
			p.configure(p.file(word))
			continue
		}
		p.now = epoch.Add(p.duration(word))
	}
	p.sink.Reset()
	require.NoError(p.t, p.begin())
	p.dead = false
	out := writePoints(p.sink.AllMetrics()...)
	p.emitted(p.t, out, p.now)
	return texts(out)
}

// expect compares what a step expects.
func (p *player) expect(i int, got []string) {
	p.t.Helper()
	step := &p.script.steps[i]
	if *rewrite {
		step.lines = got
		return
	}
	want := expandScript(step.lines)
	assert.Equal(p.t, strings.Join(want, "\n"), strings.Join(got, "\n"),
		"step %d, %q, of the script; run go test -rewrite and inspect the diff", i+1, step.head)
}

// expectPassed compares what passed with the step after a send, if it is passed.
func (p *player) expectPassed(i int, got []string) int {
	p.t.Helper()
	follows := i+1 < len(p.script.steps) && p.script.steps[i+1].head == "passed"
	switch {
	case follows:
		p.expect(i+1, got)
		return i + 1
	case *rewrite && len(got) > 0:
		rest := append([]scriptStep{{head: "passed", lines: got}}, p.script.steps[i+1:]...)
		p.script.steps = append(p.script.steps[:i+1:i+1], rest...)
		return i + 1
	}
	assert.Empty(p.t, got, "step %d: what was sent passed at once", i+1)
	return i
}
