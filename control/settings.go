package control

import (
	"cmp"
	"net/http"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/autopilot"
)

// Settings is what Open needs. The zero value is a plane that forgets everything
// when it ends, and that whoever reaches its handler may use as an
// administrator.
type Settings struct {
	// Telemetry takes logs, metrics and traces. Default: nothing is told.
	Telemetry component.TelemetrySettings
	// Build is the name and the version of the collector, Instance its id.
	Build    component.BuildInfo
	Instance string

	// Directory holds the SQLite database. It is made if it is not there.
	Directory string
	// Postgres is a connection string, instead of a directory. With neither the
	// store is in memory.
	Postgres string

	// Access says who may do what. Default: access.DefaultConfig.
	Access *access.Config
	// Exposure says who can reach the handler. Default: loopback.
	Exposure access.Exposure
	// Authenticate asks the authentication extension, whose id it returns, who
	// sends a request that has no API key. Default: there is none.
	Authenticate func(*http.Request) (authenticator string, auth access.AuthData, err error)
	// Origins are those whose pages may change something, such as
	// https://dashboard.example. Default: none but our own.
	Origins []string

	// KillSwitchFile engages the kill switch while it exists. Default: kill-switch
	// in Directory; none without a directory.
	KillSwitchFile string
	// NamespaceAttribute is the resource attribute that says to which namespace
	// telemetry belongs. Default: none, a namespace only says who may change what.
	NamespaceAttribute string
	// PreviewWindow is how long a policy is previewed before it may be enforced.
	// Default: the longest staleness of a processor.
	PreviewWindow time.Duration
	// CostPoint is the measuring point whose stream is billed. Default: ingest if
	// there is one, else the first by name. Hosts is how many hosts price models
	// by host bill.
	CostPoint string
	Hosts     uint64

	// Experiments are what experiments need beside the rest.
	Experiments ExperimentSettings
	// AutoOptimize makes experiments of recommendations. Default: off.
	AutoOptimize autopilot.Config

	// RequestTimeout bounds how long one answer may take; streams go on. Default:
	// 10s.
	RequestTimeout time.Duration
	// MaxBodyBytes bounds the body of a request. Default: 1 MiB.
	MaxBodyBytes int64
	// Grace is how long running requests may go on once Shutdown was called.
	// Default: 2s.
	Grace time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Defaults of the settings.
const (
	// DefaultRequestTimeout is for RequestTimeout.
	DefaultRequestTimeout = 10 * time.Second
	// DefaultMaxBodyBytes is for MaxBodyBytes: no path of the API takes a large
	// body.
	DefaultMaxBodyBytes = 1 << 20
	// defaultGrace is for Grace.
	defaultGrace = 2 * time.Second
	// killSwitchName is the file in the directory that engages the kill switch,
	// databaseName that of the database.
	killSwitchName, databaseName = "kill-switch", "phoenix.db"
)

// withDefaults fills in what is not set.
func (s Settings) withDefaults() Settings {
	if s.Telemetry.Logger == nil {
		s.Telemetry.Logger = zap.NewNop()
	}
	if s.Telemetry.TracerProvider == nil {
		s.Telemetry.TracerProvider = nooptrace.NewTracerProvider()
	}
	if s.Telemetry.MeterProvider == nil {
		s.Telemetry.MeterProvider = noopmetric.NewMeterProvider()
	}
	if s.Telemetry.Resource == (pcommon.Resource{}) {
		s.Telemetry.Resource = pcommon.NewResource()
	}
	if s.Access == nil {
		defaults := access.DefaultConfig()
		s.Access = &defaults
	}
	if s.KillSwitchFile == "" && s.Directory != "" {
		s.KillSwitchFile = filepath.Join(s.Directory, killSwitchName)
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	s.Exposure = cmp.Or(s.Exposure, access.ExposureLoopback)
	s.Experiments.Lateness = cmp.Or(max(0, s.Experiments.Lateness), DefaultLateness)
	s.RequestTimeout = cmp.Or(max(0, s.RequestTimeout), DefaultRequestTimeout)
	s.MaxBodyBytes = cmp.Or(max(0, s.MaxBodyBytes), DefaultMaxBodyBytes)
	s.Grace = cmp.Or(max(0, s.Grace), defaultGrace)
	return s
}
