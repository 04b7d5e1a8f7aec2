package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func TestOptions(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	f := func(o Options, want string) {
		t.Helper()
		_, err := New(o)
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
		if o.Credential != "" {
			assert.NotContains(t, err.Error(), o.Credential)
		}
	}
	f(Options{Address: "localhost:8620"}, "")
	f(Options{Address: "https://phoenix.example/behind/a/proxy"}, "")
	f(Options{Address: ""}, "has no host")
	f(Options{Address: "ftp://x"}, "must begin with http://, https:// or unix://")
	f(Options{Address: "http://:8620"}, "has no host")
	f(Options{Address: "http://a b"}, "address")
	f(Options{Address: "http://u:p@x"}, "must not hold a password")
	f(Options{Address: "http://x?a=b"}, "must not have a query")
	f(Options{Address: "unix://"}, "has no path of a socket")
	f(Options{Address: "https://x", CAFile: missing}, "CA: ")
	f(Options{Address: "https://x", CAFile: empty}, "holds no certificate")
	f(Options{Address: "https://x", CertFile: empty}, "go together")
	f(Options{Address: "https://x", CertFile: empty, KeyFile: empty}, "client certificate")

	// A credential goes encrypted, or stays on this machine
	f(Options{Address: "https://phoenix.example", Credential: "phx_k"}, "")
	for _, here := range []string{"localhost", "http://127.0.0.9:1", "http://[::1]:1", "phoenix.localhost.", "http://[::ffff:127.0.0.1]"} {
		f(Options{Address: here, Credential: "phx_k"}, "")
	}
	for _, away := range []string{"http://phoenix.example", "http://10.0.0.1:8620", "http://localhost.example", "http://127.0.0.1.example"} {
		f(Options{Address: away, Credential: "phx_k"}, "not sent unencrypted")
		f(Options{Address: away, Credential: "phx_k", InsecurePlaintext: true}, "")
	}
	for _, bad := range []string{"two words", "a\r\nX-Evil: 1", "ключ"} {
		f(Options{Address: "https://x", Credential: bad}, "credential: must be one word")
	}
}

// writePair writes a self-signed certificate and its key.
func writePair(t *testing.T, name string) (cert, key string, leaf *x509.Certificate) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	leaf, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	bits, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return writePEM(t, "CERTIFICATE", der), writePEM(t, "PRIVATE KEY", bits), leaf
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return file
}

func TestTLS(t *testing.T) {
	cert, key, leaf := writePair(t, "ci")
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, mediaJSON, `{"principal": "`+r.TLS.PeerCertificates[0].Subject.CommonName+` over `+r.Proto+`"}`)
	}))
	server.TLS = &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it logs each handshake that fails, as here some must
	server.StartTLS()
	defer server.Close()
	ca := writePEM(t, "CERTIFICATE", server.Certificate().Raw)
	f := func(o Options, want string) {
		t.Helper()
		o.Address = server.URL
		who, err := newClient(t, o).WhoAmI(t.Context(), &phoenixv1.WhoAmIRequest{})
		if want == "" {
			var unreachable *UnreachableError
			require.ErrorAs(t, err, &unreachable)
			return
		}
		require.NoError(t, err)
		assert.Equal(t, want, who.GetPrincipal())
	}
	f(Options{CAFile: ca, CertFile: cert, KeyFile: key}, "ci over HTTP/2.0")
	f(Options{InsecureSkipVerify: true, CertFile: cert, KeyFile: key}, "ci over HTTP/2.0")
	f(Options{CertFile: cert, KeyFile: key}, "")
	f(Options{CAFile: cert, CertFile: cert, KeyFile: key}, "")
	f(Options{CAFile: ca}, "")
}
