package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/conductor"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/fidelity"
	"github.com/phoenix-platform/phoenix/control/metricsource"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service/experiments"
	"github.com/phoenix-platform/phoenix/control/webhook"
)

// The arms of experiments, as reports call them.
const armBaseline, armCandidate = string(policy.ArmBaseline), string(policy.ArmCandidate)

// ExperimentSettings are what experiments need beside the rest.
type ExperimentSettings struct {
	// MetricSource answers the queries of guardrails. Default: there is none.
	MetricSource *metricsource.Settings
	// Webhooks are told of events. Default: none.
	Webhooks []webhook.Hook
	// Lateness is how long a point takes at most from the time that it bears to the
	// measuring point of its arm. Default: 30s.
	Lateness time.Duration
}

// DefaultLateness is for ExperimentSettings.Lateness.
const DefaultLateness = 30 * time.Second

// composeExperiments makes what conducts experiments and tells of them.
func (p *Plane) composeExperiments() error {
	s := p.settings
	settings := conductor.Settings{
		Store: p.store, Publisher: p.publisher, Announce: func(e bus.Event) { p.events.Publish(e) },
		Sources: conductor.Sources{Routers: p.routers.list, Arms: p.arms.list, Candidates: p.consolidation.list},
		Prices:  p.currentPrices, Queries: p.judgeQueries,
		// A database in a directory is used by one collector.
		Instance: s.Instance, Exclusive: s.Postgres == "",
		Observer: p.telemetry, Logger: p.logger, Now: s.Now,
	}
	if m := s.Experiments.MetricSource; m != nil {
		source, err := metricsource.New(*m)
		if err != nil {
			return fmt.Errorf("experiments::metric_source: %w", err)
		}
		settings.Ask = source.Ask
	}
	var err error
	if p.queries, err = queriesDirectory(s.Directory); err != nil {
		return err
	}
	if p.conductor, err = conductor.New(settings); err != nil {
		return err
	}
	p.experiments, err = experiments.New(experiments.Settings{
		Core: p.core, Conductor: p.conductor, NamespaceAttribute: s.NamespaceAttribute, Active: p.keys.Active, Done: p.done,
	})
	if err != nil {
		return err
	}
	p.webhooks, err = webhook.New(webhook.Settings{Hooks: s.Experiments.Webhooks, Logger: p.logger, Done: p.telemetry.delivered, Now: s.Now})
	if err != nil {
		return fmt.Errorf("experiments: %w", err)
	}
	return p.composeAutopilot()
}

// RegisterRouter implements report.RouterRegistry. The returned function may be
// called more than once and after Shutdown.
func (p *Plane) RegisterRouter(r report.RouterRegistration) (unregister func(), err error) {
	if unregister, err = p.routers.register(r); err == nil {
		p.logger.Debug("Router registered", zap.String("signal", r.Signal), zap.String("component", r.Component))
	}
	return unregister, err
}

// RegisterArm implements report.ArmRegistry. The returned function may be called
// more than once and after Shutdown.
func (p *Plane) RegisterArm(r report.ArmRegistration) (unregister func(), err error) {
	if unregister, err = p.arms.register(r); err == nil {
		p.logger.Debug("Arm registered", zap.String("arm", r.Arm), zap.String("component", r.Component))
	}
	return unregister, err
}

// queriesName is the directory of the series that queries are asked of, which are
// in memory all but entirely.
const queriesName = "queries"

// queriesDirectory makes that directory beside the database, because the
// temporary files of a container may be read-only. What a killed collector has
// left there goes. Without a directory it is among the temporary files.
func queriesDirectory(directory string) (string, error) {
	if directory == "" {
		return "", nil
	}
	path := filepath.Join(directory, queriesName)
	if err := errors.Join(os.RemoveAll(path), os.MkdirAll(path, 0o700)); err != nil {
		return "", fmt.Errorf("make a directory for the series that queries are asked of: %w", err)
	}
	return path, nil
}

// judgeQueries begins to judge the user's queries at two measuring points.
func (p *Plane) judgeQueries(spec experiment.Spec, baseline, candidate string) (conductor.Queries, error) {
	plan, err := fidelity.Parse(*spec.Fidelity)
	if err != nil {
		return nil, err
	}
	judge, err := fidelity.Open(fidelity.Settings{
		Spec: spec, Plan: plan, Baseline: baseline, Candidate: candidate, Want: p.tap.Want, OTLPNames: p.otlpNames,
		Dir:     p.queries,
		Backend: p.arms.backend(baseline), Lateness: p.settings.Experiments.Lateness, Logger: p.logger, Now: p.settings.Now,
	})
	if err != nil {
		return nil, err
	}
	return judge, nil
}

// seriesSuffixes are what a backend adds to the name of a metric for its series.
var seriesSuffixes = []string{"", "_bucket", "_sum", "_count"}

// otlpNames are the names in the stream of what a backend calls so.
func (p *Plane) otlpNames(ctx context.Context, backendNames []string) ([]string, error) {
	wanted := make(map[string]bool, len(backendNames))
	for _, name := range backendNames {
		wanted[name] = true
	}
	reports, err := p.Cardinality(ctx, "", report.CardinalityQuery{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range reports {
		for _, m := range r.Metrics {
			if slices.ContainsFunc(seriesSuffixes, func(suffix string) bool { return wanted[m.BackendName+suffix] }) {
				names = append(names, m.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// currentPrices are the prices in force, and the stream that they are for.
func (p *Plane) currentPrices(ctx context.Context) (conductor.Prices, error) {
	o, err := p.insight.Observe(ctx, 0)
	if err != nil || !o.Priced {
		return conductor.Prices{}, err
	}
	return conductor.Prices{
		Model: o.Model, Series: o.Total.Series, SamplesPerSecond: o.Total.SamplesPerSecond, Hosts: p.settings.Hosts,
	}, nil
}

// tellWebhooks hands events to webhooks until ctx ends. What happened while they
// did not keep up is made up for, as far as it is remembered.
func (p *Plane) tellWebhooks(ctx context.Context) {
	if len(p.settings.Experiments.Webhooks) == 0 {
		return
	}
	var last *uint64
	for ctx.Err() == nil {
		events, err := p.events.Subscribe(last)
		if err != nil { // too many watch
			p.logger.Warn("Webhooks are told of nothing; it is tried again each minute", zap.Error(err))
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
			continue
		}
		if last == nil {
			last = new(events.Before)
		}
		for {
			event, err := events.Next(ctx)
			if err != nil {
				break
			}
			*last = event.ID
			p.webhooks.Send(event)
		}
		events.Close()
	}
}

// Looked implements conductor.Observer.
func (t *telemetry) Looked(took time.Duration, experiments int) {
	ctx := context.Background()
	t.builder.PhoenixControlExperimentLookDuration.Record(ctx, took.Seconds())
	t.builder.PhoenixControlExperimentLooks.Add(ctx, int64(experiments))
}

// Changed implements conductor.Observer.
func (t *telemetry) Changed(to experiment.Phase, why experiment.ReasonCode) {
	t.builder.PhoenixControlExperimentChanges.Add(context.Background(), 1,
		metric.WithAttributes(attribute.String("phase", phaseWord(to)), attribute.String("reason", string(why))))
}

// Saved implements conductor.Observer.
func (t *telemetry) Saved(took time.Duration, _ int, err error) {
	outcome := outcomeOK
	if err != nil {
		outcome = outcomeError
	}
	t.builder.PhoenixControlExperimentSaveDuration.Record(context.Background(), took.Seconds(), outcome)
}

// delivered is for webhooks.
func (t *telemetry) delivered(outcome string) {
	t.builder.PhoenixControlWebhooks.Add(context.Background(), 1, outcomeIs(outcome))
}

// phaseWord is a phase as metrics have it.
func phaseWord(p experiment.Phase) string { return strings.ToLower(string(p)) }

// observeExperiments registers what is asked for when metrics are collected.
func (p *Plane) observeExperiments() error {
	b := p.telemetry.builder
	return errors.Join(
		b.RegisterPhoenixControlExperimentsCallback(func(_ context.Context, o metric.Int64Observer) error {
			stats := p.conductor.Stats()
			for _, phase := range []experiment.Phase{experiment.PhaseScheduled, experiment.PhaseRunning, experiment.PhasePaused} {
				o.Observe(int64(stats.Phases[phase]), metric.WithAttributes(attribute.String("phase", phaseWord(phase))))
			}
			return nil
		}),
		b.RegisterPhoenixControlExperimentsUnstoredCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(p.conductor.Stats().Unstored))
			return nil
		}),
		b.RegisterPhoenixControlExperimentStoreLagCallback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(p.conductor.Stats().Behind.Seconds())
			return nil
		}),
		b.RegisterPhoenixControlExperimentQueryBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(p.conductor.Stats().QueryBytes)
			return nil
		}),
		b.RegisterPhoenixControlExperimentConductorCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(oneIf(p.conductor.Stats().Conducts))
			return nil
		}),
		b.RegisterPhoenixControlExperimentRouteLagCallback(func(_ context.Context, o metric.Int64Observer) error {
			var lag uint64
			for _, r := range p.routers.list() {
				lag = max(lag, less(p.publisher.Status().Version, r.Source.PolicyVersion()))
			}
			o.Observe(whole(lag))
			return nil
		}),
	)
}
