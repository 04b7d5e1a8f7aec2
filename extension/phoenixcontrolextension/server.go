package phoenixcontrolextension

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api"
)

// instanceAttribute names the collector among others.
const instanceAttribute = "service.instance.id"

// settings are those of the plane.
func (e *controlExtension) settings(ctx context.Context, host component.Host) (control.Settings, error) {
	exposure, err := e.config.exposure()
	if err != nil {
		return control.Settings{}, fmt.Errorf("endpoint: %w", err)
	}
	authenticate, err := e.authenticator(ctx, host)
	if err != nil {
		return control.Settings{}, err
	}
	instance := ""
	if id, there := e.telemetry.Resource.Attributes().Get(instanceAttribute); there {
		instance = id.AsString()
	}
	return control.Settings{
		Telemetry:          e.telemetry,
		Build:              e.build,
		Instance:           instance,
		Directory:          e.config.Directory,
		Postgres:           string(e.config.Postgres.DSN),
		Access:             &e.config.Access,
		Exposure:           exposure,
		Authenticate:       authenticate,
		Origins:            e.origins(),
		KillSwitchFile:     e.config.KillSwitchFile,
		NamespaceAttribute: e.config.NamespaceAttribute,
		PreviewWindow:      e.config.PreviewWindow,
		CostPoint:          e.config.Cost.Point,
		Hosts:              e.config.Cost.Hosts,
		Experiments:        e.config.Experiments.settings(),
		AutoOptimize:       e.config.AutoOptimize,
		RequestTimeout:     e.config.RequestTimeout,
		MaxBodyBytes:       e.config.MaxRequestBodySize,
	}, nil
}

// origins are those whose pages may change something: a pattern is none.
func (e *controlExtension) origins() []string {
	if !e.config.CORS.HasValue() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(e.config.CORS.Get().AllowedOrigins), func(origin string) bool {
		return strings.Contains(origin, "*")
	})
}

// authenticator asks the authentication extension about requests that have no
// API key. It is not left to the server of the Collector, which would refuse
// those that have one.
func (e *controlExtension) authenticator(ctx context.Context, host component.Host) (
	func(*http.Request) (string, access.AuthData, error), error,
) {
	if !e.config.Auth.HasValue() {
		return nil, nil
	}
	config := e.config.Auth.Get().Config
	server, err := config.GetServerAuthenticator(ctx, host.GetExtensions())
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	id := config.AuthenticatorID.String()
	return func(r *http.Request) (string, access.AuthData, error) {
		ctx, err := server.Authenticate(r.Context(), r.Header)
		if err != nil {
			return "", nil, err
		}
		// nil if the extension accepts many by one secret and names nobody.
		if data := client.FromContext(ctx).Auth; data != nil {
			return id, data, nil
		}
		return id, nil, nil
	}, nil
}

// newServer makes the server of the Collector, with the authentication left out.
func (e *controlExtension) newServer(ctx context.Context, host component.Host, plane *control.Plane) (*http.Server, error) {
	config := e.config.ServerConfig
	config.Auth = configoptional.None[confighttp.AuthConfig]()
	server, err := config.ToServer(ctx, host.GetExtensions(), e.telemetry, plane.Handler(),
		confighttp.WithErrorHandler(api.WriteProblem))
	if err != nil {
		return nil, fmt.Errorf("set up the control API: %w", err)
	}
	api.Configure(server)
	server.Handler = withoutKeys(server.Handler)
	return server, nil
}

// withoutKeys takes API keys out of the address of a request, where people put
// them by mistake and where nothing needs them: the server of the Collector
// traces addresses.
func withoutKeys(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, query := access.Redact(r.URL.Path), access.Redact(r.URL.RawQuery); path != r.URL.Path || query != r.URL.RawQuery {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath, r.URL.RawQuery = path, "", query
			r.RequestURI = r.URL.RequestURI()
		}
		next.ServeHTTP(w, r)
	})
}
