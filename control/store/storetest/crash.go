package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

// crashPlace tells a test binary that it is the process that gets killed, and
// where the store is.
const crashPlace = "PHOENIX_STORE_CRASH_PLACE"

// crashWorkers write at the same time.
const crashWorkers = 3

// Child is called first in TestMain. In the process that Crash started it writes
// until it is killed or the store fails, and does not return.
func Child(e Engine) {
	place := os.Getenv(crashPlace)
	if place == "" {
		return
	}
	err := writeForEver(e, place)
	fmt.Fprintln(os.Stderr, "the child ends:", err)
	os.Exit(1)
}

// writeForEver prints the number of each transaction after it was acknowledged.
func writeForEver(e Engine, place string) error {
	ctx := context.Background()
	s, err := e.Open(ctx, place, Options{MaxSeries: maxSeries})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for worker := range crashWorkers {
		go func() { failed <- writeOn(ctx, s, worker) }()
	}
	go func() { failed <- observe(ctx, s) }()
	return <-failed
}

// writeOn goes on where the worker was killed.
func writeOn(ctx context.Context, s store.Store, worker int) error {
	n, err := progress(ctx, s, worker)
	for err == nil {
		n++
		if err := saveEvidence(ctx, s, worker, n); err != nil {
			return err
		}
		err = s.Write(ctx, func(ctx context.Context, tx store.Tx) error {
			for _, a := range transaction(worker, n) {
				if ok, kind := kindOf(a.do(ctx, tx, worker)); !ok {
					return kind
				}
			}
			_, err := tx.PutFact(ctx, store.FactUpdate{Key: progressKey(worker), If: store.Any, Value: []byte(strconv.Itoa(n))}, entry("progress"))
			return err
		})
		if err == nil {
			fmt.Printf("%d %d\n", worker, n)
		}
	}
	return err
}

// observe does what the control plane does beside.
func observe(ctx context.Context, s store.Store) error {
	for {
		_, err := s.AppendSamples(ctx, []store.Sample{{Time: time.Now(), Kind: "series", Key: "up", Value: rand.Float64()}})
		if err == nil {
			_, err = s.Maintain(ctx)
		}
		if err == nil {
			err = s.Backup(ctx, io.Discard)
		}
		if err != nil {
			return err
		}
	}
}

func progressKey(worker int) string { return "progress/" + namespace(worker) }

func progress(ctx context.Context, s store.Store, worker int) (int, error) {
	fact, err := s.GetFact(ctx, progressKey(worker))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(fact.Value))
}

// Crash says how often something is killed while a child process writes.
type Crash struct {
	Engine Engine
	// Kills are how often.
	Kills int
	// Kill is called at a random moment and ends the child. It returns when the
	// store can be opened again. Default: kill -9.
	Kill func(*os.Process) error
}

// Run kills, and each time opens the store and requires that every acknowledged
// transaction is there as a whole, at most the one more that each worker was
// about to acknowledge, and nothing else; and that the audit log is whole.
func (c Crash) Run(t *testing.T) {
	t.Helper()
	place := c.Engine.NewPlace(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	w := witness{}
	for worker := range w.models {
		w.models[worker] = newModel(worker)
	}
	for range c.Kills {
		c.kill(t, place, r, &w)
		s, err := c.Engine.Open(t.Context(), place, Options{MaxSeries: maxSeries})
		require.NoError(t, err)
		w.check(t, s)
		require.NoError(t, s.Close())
	}
	t.Logf("%d transactions acknowledged, %d more found", w.acknowledged, w.more)
	require.Positive(t, w.acknowledged)
}

// witness knows what must be there.
type witness struct {
	models [crashWorkers]*model
	done   [crashWorkers]int
	// acked is the last transaction that the child acknowledged, 0 for none.
	acked              [crashWorkers]int
	acknowledged, more int
}

// kill starts a child, notes what it acknowledges, and kills at a random moment.
func (c Crash) kill(t *testing.T, place string, r *rand.Rand, w *witness) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, "-test.run=^$") //nolint:gosec // this test
	cmd.Env = append(os.Environ(), crashPlace+"="+place)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	enough, seen := r.IntN(60), 0 // now and then while it starts
	moment := time.Duration(r.IntN(5000)) * time.Microsecond
	killed := make(chan error, 1)
	kill := func() {
		<-time.After(moment)
		if c.Kill != nil {
			killed <- c.Kill(cmd.Process)
			return
		}
		killed <- cmd.Process.Kill()
	}
	if enough == 0 {
		moment *= 20
		go kill()
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var worker, n int
		_, err := fmt.Sscanf(lines.Text(), "%d %d", &worker, &n)
		require.NoError(t, err, lines.Text())
		w.acked[worker] = n
		w.acknowledged++
		if seen++; seen == enough {
			go kill()
		}
	}
	if seen < enough { // it ended by itself
		require.NoError(t, cmd.Wait())
		require.Fail(t, "the child did not write")
	}
	err = <-killed
	require.Error(t, cmd.Wait())
	if !errors.Is(err, os.ErrProcessDone) { // a server that went took the child with it
		require.NoError(t, err)
	}
}

func (w *witness) check(t *testing.T, s store.Store) {
	t.Helper()
	records, versions := 0, 0
	for worker, m := range w.models {
		present, err := progress(t.Context(), s, worker)
		require.NoError(t, err)
		least := max(w.acked[worker], w.done[worker])
		require.GreaterOrEqual(t, present, least, "worker %d: an acknowledged transaction is lost", worker)
		require.LessOrEqual(t, present, least+1, "worker %d", worker)
		w.more += present - least
		for w.done[worker] < present {
			w.done[worker]++
			for _, a := range transaction(worker, w.done[worker]) {
				_ = m.expect(a)
			}
		}
		m.compare(t, s)
		requireEvidence(t, s, worker, present)
		records += m.records + present
		versions += m.versions
	}
	proof, err := s.VerifyAudit(t.Context(), store.AuditRange{})
	require.NoError(t, err)
	require.Equal(t, records, int(proof.Last)) //nolint:gosec // far below
	version, err := s.PolicyVersion(t.Context())
	require.NoError(t, err)
	require.Equal(t, versions, int(version)) //nolint:gosec // far below
}

// Kills is how often a test kills: in its long form 100 times.
func Kills(short int) int {
	if os.Getenv("PHOENIX_LONG") != "" {
		return 100
	}
	return short
}
