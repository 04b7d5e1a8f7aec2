package phoenixcontrolextension

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/metricsource"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/webhook"
)

// ExperimentsConfig is what experiments need beside the rest.
type ExperimentsConfig struct {
	// Lateness is how long a point takes at most from the time that it bears to the
	// end of its arm. Queries are asked so long ago. Default: 30s.
	Lateness time.Duration `mapstructure:"lateness"`
	// MetricSource answers the queries of guardrails. Default: nobody does, they
	// have no data.
	MetricSource MetricSourceConfig `mapstructure:"metric_source"`
	// Webhooks are told of events. Default: none.
	Webhooks []WebhookConfig `mapstructure:"webhooks"`
}

// MetricSourceConfig is a server with the query API of Prometheus.
type MetricSourceConfig struct {
	// URL is that of the server, without /api/v1. Default: none.
	URL string `mapstructure:"url"`
	// Headers are sent with each query. Default: none.
	Headers map[string]configopaque.String `mapstructure:"headers"`
	// Timeout bounds one query. Default: 5s.
	Timeout time.Duration `mapstructure:"timeout"`
}

// WebhookConfig is a receiver of events; see control/webhook.
type WebhookConfig struct {
	// URL gets a POST for each event. Required.
	URL configopaque.String `mapstructure:"url"`
	// Secret signs, 16 bytes at least, or whsec_ and base64. Required.
	Secret configopaque.String `mapstructure:"secret"`
	// Events are types such as experiment.phase; patterns with *. Default:
	// experiment.*.
	Events []string `mapstructure:"events"`
	// Headers are sent with each request. Default: none.
	Headers map[string]configopaque.String `mapstructure:"headers"`
}

// Validate reports everything that is wrong at once.
func (c *ExperimentsConfig) Validate() error {
	var errs error
	if c.Lateness < 0 {
		errs = errors.Join(errs, fmt.Errorf("lateness: must not be negative, got %s", c.Lateness))
	}
	if s := c.metricSource(); s != nil {
		if err := s.Validate(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("metric_source: %w", err))
		}
	}
	for i, h := range c.hooks() {
		if err := h.Validate(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("webhooks[%d]: %w", i, err))
		}
	}
	return errs
}

func (c *ExperimentsConfig) metricSource() *metricsource.Settings {
	m := c.MetricSource
	if m.URL == "" {
		return nil
	}
	return &metricsource.Settings{URL: m.URL, Headers: plain(m.Headers), Timeout: m.Timeout}
}

func (c *ExperimentsConfig) hooks() []webhook.Hook {
	list := make([]webhook.Hook, 0, len(c.Webhooks))
	for _, h := range c.Webhooks {
		list = append(list, webhook.Hook{URL: string(h.URL), Secret: string(h.Secret), Events: h.Events, Headers: plain(h.Headers)})
	}
	return list
}

func plain(headers map[string]configopaque.String) map[string]string {
	values := make(map[string]string, len(headers))
	for name, value := range headers {
		values[name] = string(value)
	}
	return values
}

func (c *ExperimentsConfig) settings() control.ExperimentSettings {
	return control.ExperimentSettings{MetricSource: c.metricSource(), Webhooks: c.hooks(), Lateness: c.Lateness}
}

var (
	_ report.RouterRegistry  = (*controlExtension)(nil)
	_ report.ArmRegistry     = (*controlExtension)(nil)
	_ report.SamplerRegistry = (*controlExtension)(nil)
)

// RegisterRouter implements report.RouterRegistry.
func (e *controlExtension) RegisterRouter(r report.RouterRegistration) (func(), error) {
	if plane := e.plane.Load(); plane != nil {
		return plane.RegisterRouter(r)
	}
	return nil, errNotStarted
}

// RegisterSampler implements report.SamplerRegistry.
func (e *controlExtension) RegisterSampler(r report.SamplerRegistration) (func(), error) {
	if plane := e.plane.Load(); plane != nil {
		return plane.RegisterSampler(r)
	}
	return nil, errNotStarted
}

// RegisterArm implements report.ArmRegistry.
func (e *controlExtension) RegisterArm(r report.ArmRegistration) (func(), error) {
	if plane := e.plane.Load(); plane != nil {
		return plane.RegisterArm(r)
	}
	return nil, errNotStarted
}
