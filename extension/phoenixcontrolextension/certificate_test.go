package phoenixcontrolextension

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.uber.org/zap"
	"google.golang.org/grpc/credentials"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.certificate, a.key = a.sign(t, template)
	return a
}

// sign makes a certificate, the authority's own if it has none yet.
func (a *authority) sign(t *testing.T, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	parent, signer := template, key
	if a.certificate != nil {
		parent, signer = a.certificate, a.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(raw)
	require.NoError(t, err)
	return certificate, key
}

// server returns the files of a certificate for localhost.
func (a *authority) server(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	certificate, key := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	raw, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	return file(t, "server.crt", "CERTIFICATE", certificate.Raw), file(t, "server.key", "EC PRIVATE KEY", raw)
}

func (a *authority) file(t *testing.T) string {
	t.Helper()
	return file(t, "ca.crt", "CERTIFICATE", a.certificate.Raw)
}

func file(t *testing.T, name, kind string, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600))
	return path
}

// client is the TLS configuration of somebody with a certificate, which is nil
// for one without.
func (a *authority) client(template *x509.Certificate) func(t *testing.T, trusts *authority) *tls.Config {
	return func(t *testing.T, trusts *authority) *tls.Config {
		t.Helper()
		config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
		config.RootCAs.AddCert(trusts.certificate)
		if template != nil {
			template.SerialNumber, template.NotAfter = big.NewInt(3), time.Now().Add(time.Hour)
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			certificate, key := a.sign(t, template)
			config.Certificates = []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}}
		}
		return config
	}
}

// over is an HTTP client of one TLS configuration.
func over(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
}

// startTLS starts an extension whose address is https.
func startTLS(t *testing.T, h *host, server configtls.ServerConfig, change func(*Config)) started {
	t.Helper()
	ext := start(t, h, func(c *Config) {
		c.TLS = configoptional.Some(server)
		change(c)
	})
	ext.address = "https" + ext.address[len("http"):]
	return ext
}

func TestClientCertificates(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	server := configtls.NewDefaultServerConfig()
	server.CertFile, server.KeyFile = ours.server(t)
	server.ClientCAFile = ours.file(t)
	onCall := &url.URL{Scheme: "spiffe", Host: "example", Path: "/on-call"}
	ext := startTLS(t, newHost(), server, func(c *Config) {
		c.Access.Bindings = []access.Binding{
			{Name: "on-call", Role: access.RoleOperator, Namespaces: []string{"*"}, Subjects: []access.Subject{{Kind: access.KindCertificate, ID: onCall.String()}}},
			{Name: "shop", Role: access.RoleEditor, Namespaces: []string{"shop"}, Subjects: []access.Subject{{Kind: access.KindCertificate, Group: "shop"}}},
		}
	})
	as := func(template *x509.Certificate) *phoenixv1.Identity {
		t.Helper()
		config := ours.client(template)(t, ours)
		return whoAmI(t, ext, dial(t, ext, credentials.NewTLS(config)), over(config), "")
	}
	spiffe := as(&x509.Certificate{URIs: []*url.URL{onCall}, Subject: pkix.Name{CommonName: "On call"}})
	assert.Equal(t, "certificate:spiffe://example/on-call", spiffe.GetPrincipal())
	assert.Equal(t, []string{"operator:*"}, spiffe.GetGrants())
	byOrganization := as(&x509.Certificate{Subject: pkix.Name{CommonName: "ci", Organization: []string{"shop"}}})
	assert.Equal(t, "certificate:ci", byOrganization.GetPrincipal())
	assert.Equal(t, []string{"editor:shop"}, byOrganization.GetGrants())

	ambiguous := ours.client(&x509.Certificate{URIs: []*url.URL{onCall, {Scheme: "spiffe", Host: "example", Path: "/root"}}})(t, ours)
	code, body := ask(t, over(ambiguous), http.MethodGet, ext.address+"/api/v1/policies", "", nil)
	assert.Equal(t, http.StatusUnauthorized, code)
	assert.Contains(t, body, "2 URIs")

	for name, config := range map[string]*tls.Config{
		"no certificate":               ours.client(nil)(t, ours),
		"signed by somebody else":      theirs.client(&x509.Certificate{URIs: []*url.URL{onCall}})(t, ours),
		"a server's certificate":       {RootCAs: roots(ours), ServerName: "localhost", Certificates: []tls.Certificate{pair(t, server)}},
		"does not trust the collector": ours.client(&x509.Certificate{URIs: []*url.URL{onCall}})(t, theirs),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ext.address+"/healthz", nil)
		require.NoError(t, err)
		resp, err := over(config).Do(req)
		if err == nil {
			_ = resp.Body.Close() // the test fails anyway
		}
		require.Error(t, err, name)
	}
}

func roots(a *authority) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func pair(t *testing.T, server configtls.ServerConfig) tls.Certificate {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(server.CertFile, server.KeyFile)
	require.NoError(t, err)
	return certificate
}

// TestTokensOverTLS is what an exposed collector does: both doors, HTTP/1 and
// HTTP/2.
func TestTokensOverTLS(t *testing.T) {
	ca, idp, h := newAuthority(t), newIssuer(t), newHost()
	server := configtls.NewDefaultServerConfig()
	server.CertFile, server.KeyFile = ca.server(t)
	ext := startTLS(t, h, server, withOIDC(t, h, idp, zap.NewNop()))
	config := ca.client(nil)(t, ca)
	alice := token(t, idp.key, idp.claims(nil))
	me := whoAmI(t, ext, dial(t, ext, credentials.NewTLS(config)), over(config), alice)
	assert.Equal(t, "token:"+idp.URL+"#alice", me.GetPrincipal())
	config = ca.client(nil)(t, ca)
	config.NextProtos = []string{"http/1.1"}
	http1 := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	code, body := ask(t, http1, http.MethodGet, ext.address+"/api/v1/system/whoami", "", bearer(alice))
	assert.Equal(t, http.StatusOK, code, body)
}

// free is an address on this machine that nobody listens on now.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}
