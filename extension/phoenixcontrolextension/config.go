package phoenixcontrolextension

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
)

// Config is the configuration of the phoenix_control extension.
type Config struct {
	// ServerConfig has the options of every HTTP server of the Collector at the
	// top level: endpoint, tls, auth, cors, … Its endpoint is localhost:8620 by
	// default and must be a loopback address, unless tls and auth are both set
	// or InsecureBind is.
	confighttp.ServerConfig `mapstructure:",squash"`

	// InsecureBind accepts an endpoint that other machines can reach although
	// anybody there may then read what the API says. Default: false.
	InsecureBind bool `mapstructure:"insecure_bind"`

	// RequestTimeout bounds how long one answer may take. Default: 10s.
	RequestTimeout time.Duration `mapstructure:"request_timeout"`
}

var _ component.Config = (*Config)(nil)

// Validate reports everything that is wrong at once.
func (c *Config) Validate() error {
	var errs error
	if err := c.validateEndpoint(); err != nil {
		errs = errors.Join(errs, fmt.Errorf("endpoint: %w", err))
	}
	if c.RequestTimeout <= 0 {
		errs = errors.Join(errs, fmt.Errorf("request_timeout: must be positive, got %s", c.RequestTimeout))
	}
	if c.WriteTimeout > 0 && c.WriteTimeout <= c.RequestTimeout {
		errs = errors.Join(errs, fmt.Errorf("write_timeout: must be longer than request_timeout (%s), or 0, got %s; "+
			"else the connection is cut before the answer", c.RequestTimeout, c.WriteTimeout))
	}
	if c.Auth.HasValue() && len(c.Auth.Get().RequestParameters) > 0 {
		errs = errors.Join(errs, errors.New("auth::request_params: is not supported, because what stands in a URL ends in logs; "+
			"send credentials in a header"))
	}
	return errs
}

func (c *Config) validateEndpoint() error {
	endpoint := c.NetAddr.Endpoint
	if endpoint == "" {
		return errors.New("must not be empty; the default is " + defaultEndpoint)
	}
	if c.NetAddr.Transport == confignet.TransportTypeUnix {
		return nil // a path: who may open it is for the file system to say
	}
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return fmt.Errorf("must be host:port, got %q", endpoint)
	}
	if isLoopback(host) || c.InsecureBind || c.TLS.HasValue() && c.Auth.HasValue() {
		return nil
	}
	return fmt.Errorf("%s can be reached from other machines; listen on localhost, "+
		"or set both tls and auth, or accept that anybody may read with insecure_bind: true", endpoint)
}

// isLoopback does not resolve names: what a name stands for may change after
// the check. Only localhost is taken by name.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
