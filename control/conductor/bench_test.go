package conductor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/conductor"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

// many is a data path that answers for all experiments at once, as routers and
// processors do: values made up when they are asked.
type many struct {
	publisher *publish.Publisher
	began     time.Time
	arm       int
}

func (m *many) PolicyVersion() uint64 { return m.publisher.Policy().Version }

func (m *many) Routes(context.Context, []string) ([]report.RouteReport, error) {
	now := time.Now()
	n := uint64(now.Sub(m.began).Milliseconds())
	routes := m.publisher.Policy().Routes
	list := make([]report.RouteReport, 0, len(routes))
	for i := range routes {
		arm := report.RouteArm{Points: n, Batches: n/100 + 1, Time: time.Duration(n) * time.Microsecond}
		list = append(list, report.RouteReport{
			Experiment: routes[i].Experiment, Epoch: routes[i].Epoch, Held: routes[i].Lease.Held(now), Since: m.began, At: now, Baseline: arm, Candidate: arm,
		})
	}
	return list, nil
}

func (m *many) Arms(_ context.Context, experiments []string) ([]report.ArmReport, error) {
	n := uint64(time.Since(m.began).Milliseconds()) + 100
	list := make([]report.ArmReport, 0, len(experiments))
	for i, id := range experiments {
		series := uint64(1000+i%7) / uint64(1+m.arm)
		list = append(list, report.ArmReport{Experiment: id, Since: m.began, Series: series, Points: n, Bytes: n * 40, MemoryBytes: 1 << 14})
	}
	return list, nil
}

// running is a conductor with many running experiments over a store in a file.
func running(tb testing.TB, n int) (*conductor.Conductor, *publish.Publisher, store.Store) {
	tb.Helper()
	s, err := sqlite.Open(tb.Context(), sqlite.Settings{Path: filepath.Join(tb.TempDir(), "phoenix.db")})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	fill(tb, s, n)
	p := publish.New(publish.Settings{Store: s})
	require.NoError(tb, p.Open(tb.Context()))
	path := [2]*many{{publisher: p, began: time.Now()}, {publisher: p, began: time.Now(), arm: 1}}
	c, err := conductor.New(conductor.Settings{Store: s, Publisher: p, Exclusive: true, Sources: conductor.Sources{
		Routers: func() []report.RouterRegistration {
			return []report.RouterRegistration{{Component: "ab_router", Signal: "metrics", Source: path[0]}}
		},
		Arms: func() []report.ArmRegistration {
			return []report.ArmRegistration{
				{Component: "cardinality/baseline", Point: "baseline", Arm: "baseline", Source: path[0]},
				{Component: "cardinality/candidate", Point: "candidate", Arm: "candidate", Source: path[1]},
			}
		},
		Candidates: func() []report.ConsolidationRegistration { return nil },
	}})
	require.NoError(tb, err)
	require.NoError(tb, c.Open(tb.Context()))
	require.Len(tb, p.Policy().Routes, n)
	return c, p, s
}

// fill stores experiments that have just been started.
func fill(tb testing.TB, s store.Store, n int) {
	tb.Helper()
	require.NoError(tb, s.Write(tb.Context(), func(ctx context.Context, tx store.Tx) error {
		for i := range n {
			spec := mirrorSpec(fmt.Sprintf("e%05d", i), fmt.Sprintf("service-%05d", i), long)
			state, _, _, err := experiment.Apply(spec, experiment.NewState(time.Now()), experiment.Command{Kind: experiment.CommandStart}, time.Now())
			if err != nil {
				return err
			}
			text, err := json.Marshal(spec)
			if err != nil {
				return err
			}
			encoded, err := experiment.EncodeState(state)
			if err != nil {
				return err
			}
			k := key(spec.ID[len("shop/"):])
			if _, err := tx.CreateExperiment(ctx, store.NewExperiment{ExperimentKey: k, Spec: text, State: encoded, Phase: "Running"}, testEntry); err != nil {
				return err
			}
			if _, err := tx.UpdateExperiment(ctx, store.ExperimentUpdate{ExperimentKey: k, If: store.Any, Active: new(true)}, testEntry); err != nil {
				return err
			}
		}
		return nil
	}))
}

// BenchmarkRound looks at 10,000 running experiments, judges, decides and stores
// all of them.
func BenchmarkRound(b *testing.B) {
	c, _, _ := running(b, 10_000)
	for b.Loop() {
		c.LookAtAll(b.Context())
		began := time.Now()
		c.StoreAll(b.Context())
		b.ReportMetric(time.Since(began).Seconds(), "store-s")
	}
	if unstored := c.Stats().Unstored; unstored > 0 {
		b.Fatal(unstored, "are not stored")
	}
}

// BenchmarkStart starts an experiment beside 10,000 running ones, until it is
// published.
func BenchmarkStart(b *testing.B) {
	c, p, s := running(b, 10_000)
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		r := &rig{t: b, store: s, conductor: c, publisher: p}
		k := r.create(mirrorSpec(fmt.Sprintf("new%d", i), fmt.Sprintf("new-%d", i), long))
		b.StartTimer()
		_, err := r.command(k, experiment.CommandStart)
		require.NoError(b, err)
		require.True(b, r.open(k))
	}
}
