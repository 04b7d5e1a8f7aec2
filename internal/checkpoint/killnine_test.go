package checkpoint_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// What a child is told by its environment.
const (
	childDirectory = "CHECKPOINT_TEST_DIRECTORY"
	childStep      = "CHECKPOINT_TEST_STEP"
	childLast      = "CHECKPOINT_TEST_LAST"
)

// counters are what the programs of TestKillNine count: after step n the i-th has counted n*(i+1).
const counters = 12

// TestKillNine kills a real process with SIGKILL, in the midst of whatever it does, over the storage that people use: what a
// reader got never falls, and in the end is all that was counted.
func TestKillNine(t *testing.T) {
	if os.Getenv(childDirectory) != "" {
		child(t)
		return
	}
	rounds := 12
	if os.Getenv("PHOENIX_LONG") != "" {
		rounds = 300
	}
	directory, random := t.TempDir(), rand.New(rand.NewPCG(1, 2))
	r, step := newReader(t), uint64(1)
	for range rounds {
		step = parent(t, directory, r, step, 40+random.IntN(400))
	}
	parent(t, directory, r, step, -1)
	require.Len(t, r.last, 3)
	total := int64(0)
	for _, s := range r.last {
		require.Equal(t, zero, s.start, "no new start time")
		total += s.number.Int()
	}
	last := int64(r.last["cumulative_sum out0"].time-zero) / int64(interval)
	require.Equal(t, last*counters*(counters+1)/2, total)
}

// parent runs a child until it has said so many lines, or to its end, and returns the step where the next one begins.
func parent(t *testing.T, directory string, r *reader, step uint64, lines int) uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillNine$")
	cmd.Env = append(os.Environ(), childDirectory+"="+directory, childStep+"="+strconv.FormatUint(step, 10))
	if lines < 0 {
		cmd.Env = append(cmd.Env, childLast+"=1")
	}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said := bufio.NewScanner(out)
	var failed []string
	for n := 0; said.Scan(); n++ {
		if n == lines {
			require.NoError(t, cmd.Process.Kill())
		}
		var s shown
		var value int64
		switch fields := strings.Fields(said.Text()); {
		case len(fields) == 2 && fields[0] == "step":
			step, err = strconv.ParseUint(fields[1], 10, 64)
			require.NoError(t, err)
		case len(fields) == 5 && fields[0] == "sent":
			_, err = fmt.Sscan(strings.Join(fields[2:], " "), &s.start, &s.time, &value)
			require.NoError(t, err)
			s.output, s.kind, s.number = "cumulative_sum "+fields[1], c.CumulativeSum, spatial.Int(value)
			r.take(s)
		default:
			failed = append(failed, said.Text())
		}
	}
	err = cmd.Wait()
	if lines < 0 {
		require.NoError(t, err, strings.Join(failed, "\n"))
		return step
	}
	require.ErrorContains(t, err, "killed", strings.Join(failed, "\n"))
	return step + 1
}

// child counts, flushes at each step and takes a checkpoint at every fourth, until it is killed.
func child(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	file := openFile(t, os.Getenv(childDirectory))
	step, err := strconv.ParseUint(os.Getenv(childStep), 10, 64)
	require.NoError(t, err)
	p, _, _, err := start(ctx, file, 1, zero+(step-1)*interval, nil)
	require.NoError(t, err)
	send := func(s shown) {
		_, name, _ := strings.Cut(s.output, " ")
		fmt.Println("sent", name, s.start, s.time, s.number.Int())
	}
	for last := step + 1; ; step++ {
		fmt.Println("step", step)
		for i := range counters {
			s := program(i, c.CumulativeSum)
			s.start, s.double = zero, false
			s.value = int64(step-1) * int64(i+1)
			s.feedTo(p.engine, p.table, s.next(zero+step*interval-second, int64(i+1)))
		}
		require.NoError(t, p.flush(ctx, zero+step*interval, send))
		if step%4 == 0 {
			_, err := write(ctx, p.store, p.engine, zero+step*interval)
			require.NoError(t, err)
		}
		if os.Getenv(childLast) != "" && step == last {
			require.NoError(t, file.Close(ctx))
			return
		}
	}
}
