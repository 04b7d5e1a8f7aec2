package tagconsolidationprocessor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// rivals is the file of a script in which a line that is not indented says what
// another system does with the same input, and why; below it is what it shows.
const rivals = "rival"

// TestVectors checks that each vector names a wrong answer and that ours, which
// TestScripts holds, is another one. V11 is about the sampling of traces.
func TestVectors(t *testing.T) {
	var found []string
	files, err := filepath.Glob("testdata/scripts/v[0-9][0-9]_*.txtar")
	require.NoError(t, err)
	for _, file := range files {
		name := filepath.Base(file)[:3]
		found = append(found, name)
		s := loadScript(t, file)
		assert.Contains(t, string(s.archive.Comment), fmt.Sprintf("Vector V%d", vectorNumber(t, name)))
		text := s.files[rivals]
		require.NotEmpty(t, text, file)
		require.NotEqual(t, " ", text[:1], file)
		var wrong []string
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "  ") {
				wrong = append(wrong, strings.TrimSpace(line))
			}
		}
		require.NotEmpty(t, wrong, file)
		ours := slices.Concat(s.shown("edge", "edges"), s.shown("counters"))
		assert.NotEqual(t, wrong, ours, file)
		for _, line := range wrong {
			_, err := readPoints([]string{line})
			assert.True(t, err == nil || strings.HasPrefix(line, "preview_"), "%s: %v", line, err)
		}
	}
	assert.Equal(t, []string{"v01", "v02", "v03", "v04", "v05", "v06", "v07", "v08", "v09", "v10", "v12"}, found)
}

func vectorNumber(tb testing.TB, name string) (n int) {
	tb.Helper()
	_, err := fmt.Sscanf(name, "v%02d", &n)
	require.NoError(tb, err)
	return n
}

// shown returns what the steps with one of these words expect.
func (s *script) shown(steps ...string) (lines []string) {
	for i := range s.steps {
		if word, _, _ := strings.Cut(s.steps[i].head, " "); slices.Contains(steps, word) {
			lines = append(lines, expandScript(s.steps[i].lines)...)
		}
	}
	return lines
}

// TestV10IncreasesAreThoseOfTheRawPoints computes the increases of the script
// once more, from the raw points in it.
func TestV10IncreasesAreThoseOfTheRawPoints(t *testing.T) {
	s := loadScript(t, "testdata/scripts/v10_rate.txtar")
	last := map[string]float64{} // by input
	want := map[string]float64{} // by service
	checked := 0
	for i := range s.steps {
		step := &s.steps[i]
		for _, line := range step.lines {
			list := words(line)
			service, value := list[0], 0.0
			_, err := fmt.Sscan(list[len(list)-1], &value)
			require.NoError(t, err)
			switch step.head {
			case "send":
				input := service + list[3]
				if value < last[input] {
					last[input] = 0
				}
				want[service] += value - last[input]
				last[input] = value
			case "edge":
				assert.InDelta(t, want[service], value, 0, line)
				checked++
			}
		}
	}
	assert.Equal(t, 6, checked)
}

// TestEveryKill is vector V12: the process is killed at every single write to
// the storage, one run each. Inputs that keep counting are caught up exactly,
// no output falls or begins anew, and of deltas no more is lost than what came
// since the last edge.
func TestEveryKill(t *testing.T) {
	const config = `
interval: 10s
writer: none
storage: file_storage
max_batch_points: 2 # so that it is also killed amid an edge
rules:
  - name: r
    match: {metric: "*"}
    attributes: {drop: [pod]}
`
	whole := runUntilKilled(t, config, 0)
	require.Greater(t, whole.writes, 20)
	t.Logf("%d writes", whole.writes)
	for kill := 1; kill <= whole.writes; kill++ {
		got := runUntilKilled(t, config, kill)
		require.Positive(t, got.starts, "kill %d", kill)
		require.Equal(t, whole.last, got.last, "kill %d", kill)
		lost := whole.deltas - got.deltas
		require.GreaterOrEqual(t, lost, 0, "kill %d: deltas counted twice", kill)
		require.LessOrEqual(t, lost, 2*deltaOfEveryInput, "kill %d", kill)
	}
}

const (
	killRounds        = 6   // in which a kill may come
	deltaOfEveryInput = 100 // in each round
)

// killed is how a run of TestEveryKill ended.
type killed struct {
	writes, starts int
	last           []string // what the outputs that are no deltas show at the end
	deltas         int      // the sum of all that was emitted
}

// runUntilKilled lets two pods send to a processor that is killed at a write to
// the storage, begins it again, and goes on.
func runUntilKilled(t *testing.T, config string, kill int) killed {
	t.Helper()
	host := newScriptHost(t)
	var fuse *fragileStorage
	for id, extension := range host {
		fuse = &fragileStorage{Extension: extension.(storage.Extension), kill: kill} //nolint:forcetypeassert // it is
		host[id] = fuse
	}
	s := newStageOn(t, host, config)
	var run killed
	survive := func(do func()) {
		for ; !survives(do); run.starts++ {
			s.revive(t)
			do = func() {} // what was being done is lost
		}
	}
	survive(func() { require.NoError(t, s.begin()) })
	for round := range killRounds + 2 {
		s.now = epoch.Add(time.Duration(10*round+5) * time.Second)
		s.feed(rawRound(round))
		survive(func() { s.turn() })
		out := writePoints(s.sink.AllMetrics()...)
		s.sink.Reset()
		s.emitted(t, out, s.now)
		run.last = nil
		for i := range out {
			if n, isDelta := out[i].delta(t); isDelta {
				run.deltas += n
			} else {
				run.last = append(run.last, out[i].text)
			}
		}
		if round%2 == 1 {
			survive(func() { s.c.writeCheckpoint(t.Context()) })
		}
		if round < killRounds {
			run.writes = fuse.writes
		}
	}
	s.die()
	return run
}

// rawRound is what two pods send in a round.
func rawRound(round int) []string {
	at := fmt.Sprintf("%ds", 10*round+5)
	before := fmt.Sprintf("%ds", 10*round-5)
	n := 10 * (round + 1)
	var lines []string
	for _, pod := range []string{"a", "b"} {
		lines = append(lines,
			fmt.Sprintf("counter requests {pod=%s} 1s..%s %d", pod, at, n),
			fmt.Sprintf("histogram latency {pod=%s} 1s..%s [%d %d]@[1] sum=%d", pod, at, n, 2*n, 3*n),
			fmt.Sprintf("exponential sizes {pod=%s} 1s..%s scale=1 pos=%d[%d 1] sum=%d", pod, at, 0, n, n),
			fmt.Sprintf("updown connections {pod=%s} 1s..%s %d", pod, at, n),
			fmt.Sprintf("counter.delta deltas {pod=%s} %s..%s %d", pod, before, at, deltaOfEveryInput))
	}
	return lines
}

// delta is the value of a delta.
func (l *scriptLine) delta(tb testing.TB) (n int, isDelta bool) {
	tb.Helper()
	if l.kind != "counter.delta" {
		return 0, false
	}
	_, err := fmt.Sscan(l.text[strings.LastIndex(l.text, " ")+1:], &n)
	require.NoError(tb, err)
	return n, true
}

// survives does something and says whether the process lives.
func survives(do func()) (alive bool) {
	defer func() {
		if r := recover(); r != nil {
			if r != errKilled { //nolint:errorlint // what was panicked with
				panic(r)
			}
			alive = false
		}
	}()
	do()
	return true
}

// revive begins a process again after a kill.
func (s *stage) revive(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, s.c.state.client.Close(tb.Context()))
	require.NoError(tb, s.telemetry.Shutdown(context.WithoutCancel(tb.Context())))
	require.NoError(tb, s.begin())
}

// fragileStorage kills the process at a write.
type fragileStorage struct {
	storage.Extension
	writes, kill int
}

func (f *fragileStorage) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	client, err := f.Extension.GetClient(ctx, kind, id, name)
	return &fragileClient{Client: client, storage: f}, err
}

type fragileClient struct {
	storage.Client
	storage *fragileStorage
}

func (f *fragileStorage) write() {
	if f.writes++; f.writes == f.kill {
		panic(errKilled)
	}
}

func (c *fragileClient) Set(ctx context.Context, key string, value []byte) error {
	c.storage.write()
	return c.Client.Set(ctx, key, value)
}

func (c *fragileClient) Delete(ctx context.Context, key string) error {
	c.storage.write()
	return c.Client.Delete(ctx, key)
}

func (c *fragileClient) Batch(ctx context.Context, ops ...*storage.Operation) error {
	c.storage.write()
	return c.Client.Batch(ctx, ops...)
}
