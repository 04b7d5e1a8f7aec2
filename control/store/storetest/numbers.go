package storetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/store"
)

// many is how many policies a large installation has; manyNamespaces divide
// them.
const (
	many           = 10_000
	manyNamespaces = 50
)

// manyKey names one of many policies.
func manyKey(i int) store.PolicyKey {
	return key(fmt.Sprintf("team-%02d", i%manyNamespaces), fmt.Sprintf("drop-pod-%05d", i))
}

// populate makes many policies of the usual size, half of them enforced, an
// eighth each in preview and disabled.
func (l *lab) populate(tb testing.TB) {
	tb.Helper()
	states := []store.PolicyState{
		store.StateEnforced, store.StateEnforced, store.StateEnforced, store.StateEnforced,
		store.StatePreview, store.StateDraft, store.StateDraft, store.StateDisabled,
	}
	spec := []byte(`{"name":"drop-pod","match":{"metric":"http_*"},"attributes":{"drop":["` + strings.Repeat("x", 450) + `"]}}`)
	for from := 0; from < many; from += 500 {
		require.NoError(tb, l.Write(context.Background(), func(ctx context.Context, tx store.Tx) error {
			for i := from; i < from+500; i++ {
				n := store.NewPolicy{PolicyKey: manyKey(i), Spec: spec, State: states[i%len(states)]}
				if _, err := tx.CreatePolicy(ctx, n, entry("policies.create")); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// listQueries are lists as the API asks for them.
var listQueries = map[string]store.PolicyQuery{
	"all":         {},
	"a namespace": {Namespaces: []string{"team-07"}},
	"a state":     {States: []store.PolicyState{store.StateDisabled}},
	"two states":  {Namespaces: []string{"team-07", "team-31"}, States: []store.PolicyState{store.StatePreview, store.StateDraft}},
	"a prefix":    {NamePrefix: "drop-pod-0999"},
	"no match":    {Namespaces: []string{"team-07"}, NamePrefix: "x"},
}

// Numbers requires that the store is fast enough with many policies: a page of
// a list takes less than 5 ms and all policies in force less than 200 ms, in the
// median of what is tried. Do not run it with the race detector.
func Numbers(t *testing.T, e Engine) {
	t.Helper()
	l := newLab(t, e)
	l.populate(t)
	for name, q := range listQueries {
		took := median(101, func() {
			_, err := l.ListPolicies(t.Context(), q)
			require.NoError(t, err)
		})
		t.Logf("list of %s: %s", name, took)
		require.Less(t, took, 5*time.Millisecond, name)
	}
	took := median(5, func() {
		set, err := l.PoliciesInForce(t.Context())
		require.NoError(t, err)
		require.Len(t, set.Policies, many*5/8)
	})
	t.Logf("policies in force: %s", took)
	require.Less(t, took, 200*time.Millisecond)
	numbersOfStates(t, e)
}

func median(n int, run func()) time.Duration { return times(n, run)[n/2] }

func fastest(n int, run func()) time.Duration { return times(n, run)[0] }

// times returns how long each of n runs takes, sorted.
func times(n int, run func()) []time.Duration {
	took := make([]time.Duration, n)
	for i := range took {
		start := time.Now()
		run()
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took
}

// Bench measures a store that holds many policies.
func Bench(b *testing.B, e Engine) {
	l := newLab(b, e)
	l.populate(b)
	ctx := context.Background()
	b.Run("get", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, err := l.GetPolicy(ctx, manyKey(i%many))
			fatal(b, err)
		}
	})
	b.Run("update", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			_, err := l.update(b, store.PolicyUpdate{PolicyKey: manyKey(i % many), If: store.Any, Spec: strconv.AppendInt(nil, int64(i)+1e6, 10)})
			fatal(b, err)
		}
	})
	b.Run("update from 8 at once", func(b *testing.B) {
		b.SetParallelism(4) // for each of GOMAXPROCS
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				_, err := l.update(b, store.PolicyUpdate{PolicyKey: manyKey(i % many), If: store.Any, Spec: strconv.AppendInt(nil, int64(i)+2e6, 10)})
				fatal(b, err)
			}
		})
	})
	benchReads(b, l)
	b.Run("append 1,000 samples", func(b *testing.B) {
		at := l.clock.Now()
		for i := 0; b.Loop(); i++ {
			samples := make([]store.Sample, 1000)
			for j := range samples {
				samples[j] = store.Sample{
					Time: at.Add(-time.Duration(i*200+j/maxSeries) * store.FineStep % store.FineKept), Kind: "series",
					Key: strconv.Itoa(j % maxSeries), Value: float64(i),
				}
			}
			_, err := l.AppendSamples(ctx, samples)
			fatal(b, err)
		}
	})
	benchExperiments(b, l)
	b.Run("backup", func(b *testing.B) {
		for b.Loop() {
			fatal(b, l.Backup(ctx, io.Discard))
		}
	})
}

func benchExperiments(b *testing.B, l *lab) {
	b.Helper()
	ctx := context.Background()
	states, looks := l.runMany(b), 0
	b.Run("save 10,000 states", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			looks++
			look(states, looks)
			b.StartTimer()
			_, err := l.SaveExperimentStates(ctx, states)
			fatal(b, err)
		}
	})
	b.Run("active experiments", func(b *testing.B) {
		for b.Loop() {
			_, err := l.ActiveExperiments(ctx)
			fatal(b, err)
		}
	})
}

func benchReads(b *testing.B, l *lab) {
	b.Helper()
	ctx := context.Background()
	for name, q := range listQueries {
		b.Run("list "+name, func(b *testing.B) {
			for b.Loop() {
				_, err := l.ListPolicies(ctx, q)
				fatal(b, err)
			}
		})
	}
	b.Run("in force", func(b *testing.B) {
		for b.Loop() {
			_, err := l.PoliciesInForce(ctx)
			fatal(b, err)
		}
	})
	b.Run("version", func(b *testing.B) {
		for b.Loop() {
			_, err := l.PolicyVersion(ctx)
			fatal(b, err)
		}
	})
	b.Run("verify 10,000", func(b *testing.B) {
		for b.Loop() {
			_, err := l.VerifyAudit(ctx, store.AuditRange{Last: many})
			fatal(b, err)
		}
	})
}

func fatal(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
