package phoenixcontrolextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/extension"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/autopilot"
	"github.com/phoenix-platform/phoenix/control/metricsource"
	"github.com/phoenix-platform/phoenix/extension/phoenixcontrolextension/internal/metadata"
)

const (
	defaultEndpoint       = "localhost:8620"
	defaultRequestTimeout = control.DefaultRequestTimeout
	// defaultMaxBodyBytes is less than confighttp's 20 MiB.
	defaultMaxBodyBytes = control.DefaultMaxBodyBytes
)

// NewFactory returns the factory of the phoenix_control extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = defaultEndpoint
	server.MaxRequestBodySize = defaultMaxBodyBytes
	return &Config{
		ServerConfig:   server,
		RequestTimeout: defaultRequestTimeout,
		Access:         access.DefaultConfig(),
		Experiments:    ExperimentsConfig{Lateness: control.DefaultLateness, MetricSource: MetricSourceConfig{Timeout: metricsource.DefaultTimeout}},
		AutoOptimize:   autopilot.DefaultConfig(),
	}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newExtension(cfg.(*Config), set), nil
}
