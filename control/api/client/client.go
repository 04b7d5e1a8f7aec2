// Package client asks the API of a control plane over REST.
//
// A Client has a method for every RPC of the contract (package phoenixv1),
// which are those of the generated gRPC clients; those that stream are replaced
// by Events, WatchExperiment and Backup. An error is a *Problem if the API
// refused, an *UnreachableError if nothing answered, and the context's if that
// ended.
package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

const (
	// DefaultTimeout is that of Options.
	DefaultTimeout = 30 * time.Second
	// maxAnswerBytes bounds what is read of one answer. Streams have no bound.
	maxAnswerBytes = 256 << 20
)

// Options say whom to ask and as whom. Only Address is required.
type Options struct {
	// Address is such as https://phoenix.example:8620, localhost:8620 (which is
	// http) or unix:///run/phoenix.sock. A path is put before those of the API.
	Address string
	// Credential is an API key (phx_…) or an OAuth 2.0 bearer token. Default:
	// none.
	Credential string
	// CAFile holds certificates, as PEM, that a server's may be signed by.
	// Default: those of the system.
	CAFile string
	// CertFile and KeyFile are the client's certificate and key, as PEM. Default:
	// none.
	CertFile, KeyFile string
	// InsecureSkipVerify takes any certificate of the server.
	InsecureSkipVerify bool
	// InsecurePlaintext allows that a credential is sent unencrypted to another
	// machine.
	InsecurePlaintext bool
	// Timeout bounds one call with its repetitions; streams have no bound.
	// Default: 30s.
	Timeout time.Duration
	// UserAgent is the header of that name. Default: phoenix-client.
	UserAgent string
}

// The generated clients, under names that a Client does not export.
type (
	policies    = phoenixv1.PoliciesClient
	experiments = phoenixv1.ExperimentsClient
	cardinality = phoenixv1.CardinalityClient
	costs       = phoenixv1.CostsClient
	savings     = phoenixv1.SavingsClient
	priceModels = phoenixv1.PriceModelsClient
	samplers    = phoenixv1.SamplersClient
	apiKeys     = phoenixv1.APIKeysClient
	audit       = phoenixv1.AuditClient
	system      = phoenixv1.SystemClient
)

// Client asks one control plane. It is safe for concurrent use.
type Client struct {
	policies
	experiments
	cardinality
	costs
	savings
	priceModels
	samplers
	apiKeys
	audit
	system

	conn *conn
}

// New returns a client. It does not ask anything yet. Its error says which
// option is wrong.
func New(o Options) (*Client, error) {
	base, socket, err := parseAddress(o.Address)
	if err != nil {
		return nil, err
	}
	if o.Credential != "" {
		if err := checkCredential(o, base, socket); err != nil {
			return nil, err
		}
	}
	transport, err := newTransport(o, socket)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.UserAgent == "" {
		o.UserAgent = "phoenix-client"
	}
	c := &conn{
		base:       base,
		address:    displayAddress(base, socket),
		credential: o.Credential,
		userAgent:  o.UserAgent,
		timeout:    o.Timeout,
		pause:      firstPause,
		silence:    maxSilence,
		http: &http.Client{
			Transport: transport,
			// The API redirects nobody; whoever does is not the API.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	return &Client{
		policies:    phoenixv1.NewPoliciesClient(c),
		experiments: phoenixv1.NewExperimentsClient(c),
		cardinality: phoenixv1.NewCardinalityClient(c),
		costs:       phoenixv1.NewCostsClient(c),
		savings:     phoenixv1.NewSavingsClient(c),
		priceModels: phoenixv1.NewPriceModelsClient(c),
		samplers:    phoenixv1.NewSamplersClient(c),
		apiKeys:     phoenixv1.NewAPIKeysClient(c),
		audit:       phoenixv1.NewAuditClient(c),
		system:      phoenixv1.NewSystemClient(c),
		conn:        c,
	}, nil
}

// Address is the address that is asked, without a password.
func (c *Client) Address() string { return c.conn.address }

// CloseIdleConnections closes connections that wait for the next call.
func (c *Client) CloseIdleConnections() { c.conn.http.CloseIdleConnections() }

// Ready returns nil if the collector's pipelines run.
func (c *Client) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.conn.timeout)
	defer cancel()
	resp, err := c.conn.do(ctx, &call{method: http.MethodGet, path: "/readyz"})
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return c.conn.refusal(resp)
	}
	return nil
}

// Backup writes all that the store holds to w. It is complete only if the error
// is nil and its checksum is right, which is for the reader of the archive.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	resp, err := c.conn.attempt(ctx, &call{method: http.MethodGet, path: "/api/v1/backup", accept: "application/octet-stream"})
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusOK || strings.Contains(resp.Header.Get("Content-Type"), "json") {
		return c.conn.refusal(resp)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("read the backup from %s: %w", c.conn.address, err)
	}
	return nil
}

// parseAddress returns the base of all URLs, and the path of the socket if the
// address names one.
func parseAddress(address string) (base *url.URL, socket string, err error) {
	if path, isSocket := strings.CutPrefix(address, "unix://"); isSocket {
		if path == "" {
			return nil, "", fmt.Errorf("address %q: has no path of a socket", address)
		}
		return &url.URL{Scheme: "http", Host: "localhost"}, path, nil
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err = url.Parse(address)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("address: %w", err)
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, "", fmt.Errorf("address %q: must begin with http://, https:// or unix://", address)
	case base.Hostname() == "":
		return nil, "", fmt.Errorf("address %q: has no host", address)
	case base.User != nil:
		return nil, "", fmt.Errorf("address %q: must not hold a password; give it as the credential", base.Redacted())
	case base.RawQuery != "" || base.Fragment != "":
		return nil, "", fmt.Errorf("address %q: must not have a query or fragment", address)
	}
	return base, "", nil
}

func displayAddress(base *url.URL, socket string) string {
	if socket != "" {
		return "unix://" + socket
	}
	return base.String()
}

var _ grpc.ClientConnInterface = (*conn)(nil)
