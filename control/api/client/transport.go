package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

var (
	errPlaintext  = errors.New("a credential is not sent unencrypted to another machine: use https://, or a tunnel to a port of this one")
	errCredential = errors.New("credential: must be one word of printable ASCII; is the file one that holds only the key or token?")
	errHalfPair   = errors.New("a client certificate and its key go together; give both")
	errPEM        = errors.New("holds no certificate in PEM")
)

// checkCredential refuses what would show the credential to whoever listens.
func checkCredential(o Options, base *url.URL, socket string) error {
	for _, c := range []byte(o.Credential) {
		if c <= ' ' || c > '~' {
			return errCredential
		}
	}
	if base.Scheme == "https" || socket != "" || o.InsecurePlaintext || loopback(base.Hostname()) {
		return nil
	}
	return fmt.Errorf("address %s: %w", base, errPlaintext)
}

// loopback knows names of this machine without asking a resolver, who could lie.
func loopback(host string) bool {
	if host = strings.TrimSuffix(strings.ToLower(host), "."); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func newTransport(o Options, socket string) (*http.Transport, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	if socket != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	var err error
	t.TLSClientConfig, err = tlsConfig(o)
	return t, err
}

func tlsConfig(o Options) (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: o.InsecureSkipVerify, //nolint:gosec // only if the user says so
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CA: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA %s: %w", o.CAFile, errPEM)
		}
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errHalfPair
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate %s: %w", o.CertFile, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}
