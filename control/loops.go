package control

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// every is how often the store is maintained and the stream looked at, atMost
// how long each of them may take.
const every, atMost = time.Minute, 30 * time.Second

// start begins what runs beside the requests, until release.
func (p *Plane) start() {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.loops.Go(func() { p.publisher.Run(ctx) })
	p.loops.Go(func() { p.killSwitch.Run(ctx) })
	p.loops.Go(func() { p.policies.Run(ctx) })
	p.loops.Go(func() { p.keys.Run(ctx) })
	p.loops.Go(func() { p.recorder.Run(ctx) })
	p.loops.Go(func() { p.conductor.Run(ctx) })
	p.loops.Go(func() { p.autopilot.Run(ctx) })
	p.loops.Go(func() { p.webhooks.Run(ctx) })
	p.loops.Go(func() { p.tellWebhooks(ctx) })
	p.loops.Go(func() { p.watchFloors(ctx) })
	p.loops.Go(func() { p.followPrices(ctx) })
	p.loops.Go(func() { p.repeat(ctx, "The store cannot be maintained", p.maintain) })
	p.loops.Go(func() { p.repeat(ctx, "The measuring points cannot be looked at", p.alarm) })
	p.loops.Go(func() { p.repeat(ctx, "What the stream costs is not known", p.appraise) })
}

// repeat does something at once and each minute until ctx ends. That it fails is
// logged when it begins to, and when it ends to.
func (p *Plane) repeat(ctx context.Context, trouble string, do func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for {
		err := p.within(ctx, do)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			p.logger.Warn(trouble+"; it is tried again each minute", zap.Error(err))
		case err == nil && failing:
			p.logger.Info("No more: " + trouble)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *Plane) within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	return do(ctx)
}

// maintain keeps the store small. Another replica may do the same beside it.
func (p *Plane) maintain(ctx context.Context) error {
	done, err := p.store.Maintain(ctx)
	if err != nil {
		return err
	}
	if done.SamplesDeleted+done.SeriesDeleted+done.ResponsesDeleted > 0 {
		p.logger.Debug("The store was maintained", zap.Int("samples", done.SamplesDeleted), zap.Int("series", done.SeriesDeleted),
			zap.Int("responses", done.ResponsesDeleted))
	}
	description, err := p.store.Describe(ctx)
	if err != nil {
		return err
	}
	p.storeBytes.Store(description.SizeBytes)
	return nil
}

// appraise notes what the stream costs, for the metrics.
func (p *Plane) appraise(ctx context.Context) error {
	o, err := p.insight.Observe(ctx, 0)
	if err != nil {
		return err
	}
	p.observation.Store(&o)
	return nil
}
