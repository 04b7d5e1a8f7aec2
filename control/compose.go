package control

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/recorder"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service/admin"
	"github.com/phoenix-platform/phoenix/control/service/insight"
	"github.com/phoenix-platform/phoenix/control/service/policies"
	"github.com/phoenix-platform/phoenix/control/service/samplers"
	"github.com/phoenix-platform/phoenix/control/store"
)

// compose makes the services and the API over them.
func (p *Plane) compose() error {
	s := p.settings
	p.publisher = publish.New(publish.Settings{
		Store: p.store, Logger: p.logger, KillFile: s.KillSwitchFile, NamespaceAttribute: s.NamespaceAttribute, Now: s.Now,
		ObservePublish: p.telemetry.published, OnStore: p.storeChanged, OnKillFile: p.killFileChanged,
	})
	p.insight = insight.New(insight.Settings{
		Core: p.core, Points: p.cardinality.names, Cardinality: p.Cardinality, Consolidation: p.Consolidation,
		Engaged:            func() bool { return p.publisher.Status().Kill.Engaged },
		NamespaceAttribute: s.NamespaceAttribute, CostPoint: s.CostPoint, Hosts: s.Hosts, PriceModelChanged: p.priceModelChanged,
	})
	var err error
	p.policies, err = policies.New(policies.Settings{
		Core: p.core, Publisher: p.publisher, Consolidation: p.consolidations, Sampling: p.samplings, Processors: p.processors,
		PreviewWindow: func() time.Duration { return s.PreviewWindow }, NamespaceAttribute: s.NamespaceAttribute,
	})
	if err != nil {
		return err
	}
	p.recorder = recorder.New(recorder.Settings{
		Store: p.store, Observe: p.insight.Observe, Done: p.telemetry.recorded, Logger: p.logger, Now: s.Now,
	})
	if err := p.composeExperiments(); err != nil {
		return err
	}
	p.alarms = alarms{namespaceAttribute: s.NamespaceAttribute}
	if p.api, err = p.newAPI(); err != nil {
		return err
	}
	return errors.Join(p.observe(), p.observeExperiments())
}

func (p *Plane) newAPI() (*api.Server, error) {
	s, administration := p.settings, p.administration()
	sampling, err := samplers.New(samplers.Settings{Core: p.core, Sampling: p.Sampling})
	if err != nil {
		return nil, err
	}
	p.killSwitch = administration.KillSwitch
	return api.New(api.Settings{
		Policies: p.policies, Experiments: p.experiments,
		Cardinality: p.insight.Cardinality, Costs: p.insight.Costs, Savings: p.insight.Savings, PriceModels: p.insight.PriceModels,
		Samplers: sampling,
		APIKeys:  administration.APIKeys, Audit: administration.Audit, Events: administration.Events, System: administration.System,
		Guard: p.core.Guard, Limiter: p.core.Limiter, Keys: p.keys, Exposure: s.Exposure, Authenticate: s.Authenticate, Origins: s.Origins,
		Ready: p.ready.Load, Refused: p.refused, NotAudited: p.telemetry.notAudited, Touch: p.keys.Touch,
		Observer: p.telemetry, TracerProvider: s.Telemetry.TracerProvider, Logger: p.logger,
		Timeout: s.RequestTimeout, Grace: s.Grace, MaxBody: s.MaxBodyBytes, Now: s.Now,
	})
}

func (p *Plane) administration() admin.Services {
	return admin.New(admin.Settings{
		Core: p.core, APIKeys: p.settings.Access.APIKeys, Keys: p.keys, Publisher: p.publisher, Done: p.done,
		System: admin.SystemSettings{
			Name: p.settings.Build.Command, Version: p.settings.Build.Version, Instance: p.settings.Instance,
			StartedAt: p.startedAt, Exposure: p.settings.Exposure,
			ConfigSHA256: p.configHash, Ready: p.ready.Load, Components: p.components,
		},
	})
}

// consolidations is Consolidation for those who take what there is.
func (p *Plane) consolidations(ctx context.Context) []report.Consolidation {
	answers, err := p.Consolidation(ctx)
	if err != nil && ctx.Err() == nil {
		p.logger.Warn("Not every processor says what its rules do", zap.Error(err))
	}
	return answers
}

// processors lists those that ask for policies.
func (p *Plane) processors() []policies.Processor {
	registered, samplers := p.consolidation.list(), p.samplers.list()
	list := make([]policies.Processor, 0, len(registered)+len(samplers))
	for _, r := range registered {
		list = append(list, policies.Processor{Component: r.Component, Role: r.Role, PolicyVersion: r.Source.PolicyVersion()})
	}
	for _, r := range samplers {
		list = append(list, policies.Processor{Component: r.Component, Role: policies.RoleSampler, PolicyVersion: r.Source.PolicyVersion()})
	}
	return list
}

// actionRefused is how the audit log calls a request that was refused before it
// was known what it asks for.
const actionRefused = "requests.refuse"

// refused puts a request into the audit log that no service saw.
func (p *Plane) refused(ctx context.Context, r *access.Refusal, unrecorded uint64) {
	entry := p.core.Entry(ctx, actionRefused)
	entry.Outcome = store.OutcomeRefused
	entry.Detail = map[string]string{"reason": r.Audit}
	p.core.AuditRefusal(ctx, entry, unrecorded)
}

// storeChanged tells watchers that the store stopped answering, or answers again.
func (p *Plane) storeChanged(err error) {
	event := bus.Event{Time: p.settings.Now(), Type: "store.available", Resource: "system", Message: "The store answers again"}
	if err != nil {
		event.Type, event.Message = "store.unavailable", "The store does not answer: the data path goes on with the last policies"
	}
	p.events.Publish(event)
}

// killFileChanged tells watchers that the file of the kill switch came or went.
func (p *Plane) killFileChanged(state publish.KillState) {
	event := bus.Event{
		Time: p.settings.Now(), Type: "killswitch.released", Resource: store.KillSwitchResource,
		Message: "The file of the kill switch is gone", Detail: map[string]string{"source": publish.KilledByFile},
	}
	if state.Engaged {
		event.Type, event.Message = "killswitch.engaged", "The kill switch is engaged: all policies are off"
		event.Detail["reason"] = state.Reason
	}
	p.events.Publish(event)
}
