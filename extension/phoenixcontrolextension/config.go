package phoenixcontrolextension

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/autopilot"
)

// Config is the configuration of the phoenix_control extension.
type Config struct {
	// ServerConfig has the options of every HTTP server of the Collector at the
	// top level: endpoint, tls, auth, cors, … Its endpoint is localhost:8620 by
	// default and must be a loopback address, unless tls is set and requests must
	// say who sends them (auth, or tls with client_ca_file), or InsecureBind is.
	confighttp.ServerConfig `mapstructure:",squash"`

	// InsecureBind accepts an endpoint that other machines can reach although
	// anybody there may then use the API or read its traffic. Default: false.
	InsecureBind bool `mapstructure:"insecure_bind"`

	// RequestTimeout bounds how long one answer may take; streams go on. Default:
	// 10s.
	RequestTimeout time.Duration `mapstructure:"request_timeout"`

	// Directory keeps policies, keys, history and the audit log in an SQLite
	// database. It is made if it is not there. Default: none.
	Directory string `mapstructure:"directory"`

	// Postgres keeps them in a PostgreSQL database instead, which several
	// collectors may share. With neither they are lost when the collector ends.
	Postgres PostgresConfig `mapstructure:"postgres"`

	// Access says who may do what, and how often.
	Access access.Config `mapstructure:"access"`

	// KillSwitchFile turns all hot rules off while it exists. Default: kill-switch
	// in the directory, none without one.
	KillSwitchFile string `mapstructure:"kill_switch_file"`

	// NamespaceAttribute is the resource attribute that says to which namespace
	// telemetry belongs, such as k8s.namespace.name: the policies of a namespace
	// then touch its telemetry only. Default: none, a namespace only says who may
	// change what.
	NamespaceAttribute string `mapstructure:"namespace_attribute"`

	// PreviewWindow is how long a policy must be previewed before it may be
	// enforced without force. Default: 0, the longest staleness of a
	// tag_consolidation processor.
	PreviewWindow time.Duration `mapstructure:"preview_window"`

	// Cost says what is billed.
	Cost CostConfig `mapstructure:"cost"`

	// Experiments is what experiments need beside the rest.
	Experiments ExperimentsConfig `mapstructure:"experiments"`

	// AutoOptimize makes experiments of recommendations. Default: off.
	AutoOptimize autopilot.Config `mapstructure:"auto_optimize"`
}

// PostgresConfig says where the database is.
type PostgresConfig struct {
	// DSN is a connection string of libpq: a URL or key=value pairs. Default: none.
	DSN configopaque.String `mapstructure:"dsn"`
}

// CostConfig says which part of the stream is billed.
type CostConfig struct {
	// Point is the measuring point before the backend that bills. Default: ingest
	// if there is one, else the first by name.
	Point string `mapstructure:"point"`
	// Hosts is how many hosts price models by host bill. Default: 0.
	Hosts uint64 `mapstructure:"hosts"`
}

var _ component.Config = (*Config)(nil)

// Validate reports everything that is wrong at once; what is wrong with access
// and the options of the server their own types report.
func (c *Config) Validate() error {
	var errs error
	wrong := func(format string, args ...any) { errs = errors.Join(errs, fmt.Errorf(format, args...)) }
	if _, err := c.exposure(); err != nil {
		wrong("endpoint: %w", err)
	}
	if c.RequestTimeout <= 0 {
		wrong("request_timeout: must be positive, got %s", c.RequestTimeout)
	}
	if c.WriteTimeout > 0 && c.WriteTimeout <= c.RequestTimeout {
		wrong("write_timeout: must be longer than request_timeout (%s), or 0, got %s; "+
			"else the connection is cut before the answer", c.RequestTimeout, c.WriteTimeout)
	}
	if c.Auth.HasValue() && len(c.Auth.Get().RequestParameters) > 0 {
		wrong("auth::request_params: is not supported, because what stands in a URL ends in logs; send credentials in a header")
	}
	if c.Directory != "" && c.Postgres.DSN != "" {
		wrong("directory, postgres::dsn: must not be given together; there is one store")
	}
	if c.PreviewWindow < 0 {
		wrong("preview_window: must not be negative, got %s", c.PreviewWindow)
	}
	return errs
}

// exposure says who can reach the API, or why it must not listen so.
func (c *Config) exposure() (access.Exposure, error) {
	return access.CheckBind(access.Bind{
		Transport: string(c.NetAddr.Transport),
		Endpoint:  c.NetAddr.Endpoint,
		TLS:       c.TLS.HasValue(),
		Auth:      c.identified(),
		Insecure:  c.InsecureBind,
	})
}

// identified says whether requests must say who sends them.
func (c *Config) identified() bool {
	return c.Auth.HasValue() || c.TLS.HasValue() && c.TLS.Get().ClientCAFile != ""
}
