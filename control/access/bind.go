package access

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Exposure says who can reach the API, and whether they must say who they are.
type Exposure string

// The exposures.
const (
	// ExposureAuthenticated: every request must say who sends it.
	ExposureAuthenticated Exposure = "authenticated"
	// ExposureLoopback: everybody on this machine, over TCP, and so the pages
	// that their browsers show; see CheckHost.
	ExposureLoopback Exposure = "loopback"
	// ExposureSocket: everybody whom the file system lets open the socket.
	ExposureSocket Exposure = "socket"
	// ExposureOpen: everybody (insecure_bind).
	ExposureOpen Exposure = "open"
)

// Bind is where the API is to listen, and how.
type Bind struct {
	// Transport is that of confignet: tcp, tcp4, tcp6, unix or npipe. Default:
	// tcp.
	Transport string
	// Endpoint is host:port, or a path.
	Endpoint string
	// TLS says whether the server has a certificate.
	TLS bool
	// Auth says whether requests without a valid credential are refused.
	Auth bool
	// Insecure is insecure_bind.
	Insecure bool
}

// CheckBind says who can reach the API, or why it must not listen so. The error
// belongs to the key endpoint. No name is resolved: what it stands for may
// change after the check. Only localhost is taken by name.
func CheckBind(b Bind) (Exposure, error) {
	if b.Endpoint == "" {
		return "", errors.New("must not be empty")
	}
	switch b.Transport {
	case "unix", "npipe":
		return b.exposure(ExposureSocket), nil
	case "", "tcp", "tcp4", "tcp6":
	default:
		return "", fmt.Errorf("the transport must be tcp, tcp4, tcp6, unix or npipe, got %q", b.Transport)
	}
	host, port, err := net.SplitHostPort(b.Endpoint)
	if err != nil {
		return "", fmt.Errorf("must be host:port, got %q", b.Endpoint)
	}
	switch {
	case isLoopback(host):
		return b.exposure(ExposureLoopback), nil
	case b.TLS && b.Auth, b.Insecure:
		return b.exposure(ExposureOpen), nil
	}
	missing := "neither tls nor auth is set"
	switch {
	case b.TLS:
		missing = "auth is not set"
	case b.Auth:
		missing = "tls is not set"
	}
	return "", fmt.Errorf("%s can be reached from other machines, but %s: listen on localhost:%s, or set both tls and auth, "+
		"or accept with insecure_bind: true that everybody there may use the API or read its traffic", b.Endpoint, missing, port)
}

func (b Bind) exposure(without Exposure) Exposure {
	if b.Auth {
		return ExposureAuthenticated
	}
	return without
}

// unidentified returns who sends a request that does not say so, if there may be
// such requests.
func (e Exposure) unidentified() (Principal, bool) {
	switch e {
	case ExposureLoopback, ExposureSocket:
		return Principal{Kind: KindLocal}, true
	case ExposureOpen:
		return Principal{Kind: KindAnonymous}, true
	case ExposureAuthenticated:
	}
	return Principal{}, false
}

// CheckHost looks at the host that a request is for (the header Host, or
// :authority). A page from anywhere may have a browser on this machine send
// requests here under the page's own name, once that name resolves to a loopback
// address (DNS rebinding). Such requests carry that name: where nothing else
// protects the API, only localhost and loopback addresses are taken. The error
// is a *Refusal.
func (e Exposure) CheckHost(host string) error {
	if e != ExposureLoopback {
		return nil
	}
	name := hostname(host)
	if isLoopback(name) {
		return nil
	}
	text := fmt.Sprintf("the request is for the host %q, but without authentication only localhost and loopback addresses are served",
		abbreviate(host))
	return &Refusal{Kind: ErrForbidden, Caller: text, Audit: text}
}

// hostname takes port and brackets off. It returns "" for what is neither a name
// nor an address with or without a port.
func hostname(host string) string {
	if name, port, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return ""
		}
		if strings.Contains(name, ":") != strings.HasPrefix(host, "[") {
			return "" // brackets are for IPv6 addresses and for nothing else
		}
		return name
	}
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		inner, closed := strings.CutSuffix(inner, "]")
		if !closed || !strings.Contains(inner, ":") {
			return ""
		}
		return inner
	}
	if strings.Contains(host, ":") {
		return ""
	}
	return host
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// abbreviate keeps what a stranger sends from filling an answer or a log.
func abbreviate(text string) string {
	const limit = 100
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
