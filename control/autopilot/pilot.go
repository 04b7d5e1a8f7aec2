package autopilot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Settings is what New needs. All but Logger, Now and Every is required.
type Settings struct {
	Config Config
	// Experiments is the service that people's requests reach, too.
	Experiments phoenixv1.ExperimentsServer
	// Store lists what was tried.
	Store store.ExperimentReader
	// Active lists the experiments that hold a scope; State is the present state of
	// one of them.
	Active func(context.Context) ([]experiment.Active, error)
	State  func(store.ExperimentKey) (experiment.State, bool)
	// Cardinality asks the measuring point that is billed.
	Cardinality func(context.Context) (report.Cardinality, error)
	// Rules are those of all policies in force; Engaged says whether the kill
	// switch is.
	Rules   func() []policy.Rule
	Engaged func() bool
	// Logger is told what is done, and why nothing is. Default: nothing is logged.
	Logger *zap.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Every is how often it looks. Default: 1m.
	Every time.Duration
}

const (
	defaultEvery = time.Minute
	// atMost bounds one look.
	atMost = 30 * time.Second
	// maxFile bounds a file of queries, in bytes.
	maxFile = 512 << 10
)

// Pilot proposes, starts and approves experiments.
type Pilot struct {
	settings  Settings
	principal access.Principal
	why       string // what was logged last
}

// New returns a pilot. Run flies it.
func New(s Settings) (*Pilot, error) {
	if err := s.Config.Validate(); err != nil {
		return nil, err
	}
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Every <= 0 {
		s.Every = defaultEvery
	}
	grants := access.Grants{{Role: access.RoleOperator, Namespace: s.Config.Namespace, Source: "auto_optimize"}}
	return &Pilot{settings: s, principal: access.SystemPrincipal("autopilot", grants)}, nil
}

// Run looks until ctx ends. One that is off returns at once.
func (p *Pilot) Run(ctx context.Context) {
	if !p.settings.Config.Enabled {
		return
	}
	tick := time.NewTicker(p.settings.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		look, cancel := context.WithTimeout(ctx, atMost)
		err := p.Look(look)
		cancel()
		if err != nil && ctx.Err() == nil {
			p.tell(zap.WarnLevel, "The autopilot cannot go on", err.Error())
		}
	}
}

// Look brings what it began one step further and begins at most one experiment.
func (p *Pilot) Look(ctx context.Context) error {
	if p.settings.Engaged() {
		p.tell(zap.InfoLevel, "The autopilot begins nothing", "the kill switch is engaged")
		return nil
	}
	ctx = call.With(ctx, &call.Call{Principal: p.principal, Origin: "autopilot"})
	if err := p.proceed(ctx); err != nil {
		return err
	}
	w, err := p.world(ctx)
	if err != nil {
		return err
	}
	proposal, why := Choose(p.settings.Config, w, p.settings.Now())
	if proposal == nil {
		p.tell(zap.InfoLevel, "The autopilot begins nothing", why)
		return nil
	}
	return p.begin(ctx, proposal.Name, proposal.Spec)
}

// tell logs what is not what was logged last.
func (p *Pilot) tell(level zapcore.Level, message, why string) {
	if text := message + ": " + why; text != p.why {
		p.why = text
		p.settings.Logger.Log(level, message, zap.String("reason", why))
	}
}

// proceed lets experiments go on that wait for nothing else.
func (p *Pilot) proceed(ctx context.Context) error {
	var errs []error
	c := p.settings.Config
	active, err := p.settings.Active(ctx)
	if err != nil {
		return err
	}
	for _, a := range active {
		name, own := strings.CutPrefix(a.ID, c.Namespace+"/")
		if !own || !strings.HasPrefix(name, Prefix) {
			continue
		}
		state, known := p.settings.State(store.ExperimentKey{Namespace: c.Namespace, Name: name})
		if !known {
			continue
		}
		var err error
		switch c.Next(a.Spec, state, p.settings.Now()) {
		case StepApprove:
			_, err = p.settings.Experiments.ApproveExperiment(ctx, &phoenixv1.ApproveExperimentRequest{
				Namespace: c.Namespace, Name: name, Reason: "all criteria are met",
			})
		case StepSplit:
			err = p.split(ctx, name, a.Spec)
		case StepNothing:
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("experiment %s: %w", a.ID, err))
		}
	}
	return errors.Join(errs...)
}

// split ends a mirror that passed and goes on in steps.
func (p *Pilot) split(ctx context.Context, name string, mirror experiment.Spec) error {
	c := p.settings.Config
	_, err := p.settings.Experiments.AbortExperiment(ctx, &phoenixv1.AbortExperimentRequest{
		Namespace: c.Namespace, Name: name, Reason: "it passed on the mirror and goes on in steps as " + name + splitSuffix,
	})
	if err != nil {
		return err
	}
	return p.begin(ctx, name+splitSuffix, c.InSteps(mirror))
}

// begin creates and starts an experiment. One that was created and not started
// is there for a person to look at, and is not tried again.
func (p *Pilot) begin(ctx context.Context, name string, spec experiment.Spec) error {
	wire, err := wireOf(spec)
	if err != nil {
		return err
	}
	namespace := p.settings.Config.Namespace
	_, err = p.settings.Experiments.CreateExperiment(ctx, &phoenixv1.CreateExperimentRequest{
		Experiment: &phoenixv1.Experiment{Namespace: namespace, Name: name, Spec: wire},
	})
	if err != nil {
		return fmt.Errorf("create %s/%s: %w", namespace, name, err)
	}
	if _, err = p.settings.Experiments.StartExperiment(ctx, &phoenixv1.StartExperimentRequest{Namespace: namespace, Name: name}); err != nil {
		return fmt.Errorf("start %s/%s: %w", namespace, name, err)
	}
	p.tell(zap.InfoLevel, "The autopilot began an experiment", namespace+"/"+name+": "+spec.Description)
	return nil
}

// wireOf is a specification as requests have it: the same JSON without the id.
func wireOf(spec experiment.Spec) (*phoenixv1.ExperimentSpec, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	wire := &phoenixv1.ExperimentSpec{}
	return wire, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(text, wire)
}

// world gathers what a choice needs.
func (p *Pilot) world(ctx context.Context) (w World, err error) {
	c := p.settings.Config
	if w.RuleFiles, err = documents(c.RuleFiles); err != nil {
		return w, fmt.Errorf("rule_files: %w", err)
	}
	if w.Dashboards, err = documents(c.Dashboards); err != nil {
		return w, fmt.Errorf("dashboards: %w", err)
	}
	if w.Cardinality, err = p.settings.Cardinality(ctx); err != nil {
		return w, err
	}
	if w.Active, err = p.settings.Active(ctx); err != nil {
		return w, err
	}
	w.Rules, w.Tried = p.settings.Rules(), map[string]time.Time{}
	q := store.ExperimentQuery{Namespaces: []string{c.Namespace}, NamePrefix: Prefix, PageRequest: store.PageRequest{Size: store.MaxPageSize}}
	for {
		page, err := p.settings.Store.ListExperiments(ctx, q)
		if err != nil {
			return w, err
		}
		for _, e := range page.Items {
			w.Tried[e.Name] = e.CreatedAt
		}
		if page.Next == "" {
			return w, nil
		}
		q.Token = page.Next
	}
}

// documents reads files, so that the specification holds what was judged.
func documents(paths []string) ([]experiment.Document, error) {
	var list []experiment.Document
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if info.Size() > maxFile {
			return nil, fmt.Errorf("%s has %d bytes, at most %d are taken", path, info.Size(), maxFile)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		list = append(list, experiment.Document{Name: filepath.Base(path), Text: string(text)})
	}
	return list, nil
}
