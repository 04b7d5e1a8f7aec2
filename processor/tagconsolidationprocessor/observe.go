package tagconsolidationprocessor

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// observe registers the asynchronous instruments.
func (c *consolidator) observe() error {
	t := c.telemetry
	stats := func(value func(consolidation.Stats) int) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			if s := c.stats.Load(); s != nil {
				o.Observe(int64(value(*s)))
			}
			return nil
		}
	}
	return errors.Join(
		t.RegisterProcessorTagConsolidationInputsCallback(stats(func(s consolidation.Stats) int { return s.Inputs })),
		t.RegisterProcessorTagConsolidationOutputsCallback(stats(func(s consolidation.Stats) int { return s.Outputs })),
		t.RegisterProcessorTagConsolidationTombstonesCallback(stats(func(s consolidation.Stats) int { return s.Tombstones })),
		t.RegisterProcessorTagConsolidationStateBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(c.state.bytes.Load())
			return nil
		}),
		t.RegisterProcessorTagConsolidationRulesCallback(c.observeRules),
		t.RegisterProcessorTagConsolidationPreviewInputsCallback(c.previewed(func(in, _ int64) int64 { return in })),
		t.RegisterProcessorTagConsolidationPreviewOutputsCallback(c.previewed(func(_, out int64) int64 { return out })),
	)
}

func (c *consolidator) observeRules(_ context.Context, o metric.Int64Observer) error {
	counts := map[policy.Mode]int64{policy.ModeEnforce: 0, policy.ModePreview: 0}
	for _, r := range c.rules.Load().rules {
		if r.preview {
			counts[policy.ModePreview]++
		} else {
			counts[policy.ModeEnforce]++
		}
	}
	for mode, n := range counts {
		o.Observe(n, metric.WithAttributes(attribute.String("mode", string(mode))))
	}
	return nil
}

func (c *consolidator) previewed(value func(inputs, outputs int64) int64) metric.Int64Callback {
	return func(_ context.Context, o metric.Int64Observer) error {
		for _, r := range c.rules.Load().rules {
			if r.measured != nil {
				o.Observe(value(r.measured.counts()), metric.WithAttributes(attribute.String("rule", r.name)))
			}
		}
		return nil
	}
}
