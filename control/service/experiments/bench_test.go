package experiments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/service/experiments"
	"github.com/phoenix-platform/phoenix/control/store"
	"github.com/phoenix-platform/phoenix/control/store/sqlite"
)

// BenchmarkService asks a service that has 10,000 running experiments.
func BenchmarkService(b *testing.B) {
	const running = 10_000
	opened, err := sqlite.Open(b.Context(), sqlite.Settings{Path: b.TempDir() + "/phoenix.db"})
	require.NoError(b, err)
	defer opened.Close()
	fillRunning(b, opened, running)
	r := &rig{store: opened, core: newCore(b, opened, zap.NewNop())}
	r.conduct(b)
	s, err := experiments.New(experiments.Settings{Core: r.core, Conductor: r.conductor})
	require.NoError(b, err)
	for name, ask := range map[string]func(i int) error{
		"get": func(i int) error {
			_, err := s.GetExperiment(as("admin"), &phoenixv1.GetExperimentRequest{Namespace: "shop", Name: fmt.Sprintf("e%d", i%running)})
			return err
		},
		"list 50": func(int) error {
			_, err := s.ListExperiments(as("admin"), &phoenixv1.ListExperimentsRequest{Filter: `phase = "Running"`})
			return err
		},
		"validate": func(i int) error {
			_, err := s.CreateExperiment(as("admin"), &phoenixv1.CreateExperimentRequest{
				Experiment: wire("shop", "new", fmt.Sprintf("service-%d", i%running)), ValidateOnly: true,
			})
			return err
		},
		"report": func(i int) error {
			_, err := s.GetExperimentReport(as("admin"), &phoenixv1.GetExperimentReportRequest{Namespace: "shop", Name: fmt.Sprintf("e%d", i%running)})
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if err := ask(i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fillRunning stores experiments that run, each on a service of its own.
func fillRunning(b *testing.B, to store.Store, n int) {
	b.Helper()
	require.NoError(b, to.Write(b.Context(), func(ctx context.Context, tx store.Tx) error {
		for i := range n {
			spec := experiment.Spec{
				ID: fmt.Sprintf("shop/e%d", i), Mode: experiment.ModeMirror, Scope: map[string]string{"service.name": fmt.Sprintf("service-%d", i)},
				Rules:   []policy.Rule{{Match: policy.Match{Metric: "http.*"}, Attributes: policy.Attributes{Drop: []string{"pod"}}}},
				Success: []experiment.Criterion{{Measure: experiment.MeasureSeries, AtLeast: 0.2}},
			}
			state, _, _, err := experiment.Apply(spec, experiment.NewState(time.Now()), experiment.Command{Kind: experiment.CommandStart}, time.Now())
			if err != nil {
				return err
			}
			if err := createRunning(ctx, tx, spec, state); err != nil {
				return err
			}
		}
		return nil
	}))
}

func createRunning(ctx context.Context, tx store.Tx, spec experiment.Spec, state experiment.State) error {
	text, err := experiment.EncodeState(state)
	if err != nil {
		return err
	}
	k, entry := key("shop", spec.ID[len("shop/"):]), store.Entry{Principal: "test", Action: "fill"}
	if _, err := tx.CreateExperiment(ctx, store.NewExperiment{ExperimentKey: k, Spec: encoded(spec), State: text, Phase: string(state.Phase)}, entry); err != nil {
		return err
	}
	_, err = tx.UpdateExperiment(ctx, store.ExperimentUpdate{ExperimentKey: k, If: store.Any, Active: new(true)}, entry)
	return err
}

// encoded is a specification as it is stored.
func encoded(spec experiment.Spec) []byte {
	text, err := json.Marshal(spec)
	if err != nil {
		panic(err)
	}
	return text
}
