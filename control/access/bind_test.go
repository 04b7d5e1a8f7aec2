package access

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Addresses that only this machine reaches, and others.
var (
	loopbackHosts = []string{"localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "[::1]", "[::1%lo]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]"}
	exposedHosts  = []string{
		"", "0.0.0.0", "[::]", "[::%eth0]", "[::ffff:0.0.0.0]", "192.168.1.1", "10.0.0.1", "[fe80::1%eth0]", "[2001:db8::1]",
		"localhost.example.com", "127.0.0.1.nip.io", "localhost.", "foo.localhost", "phoenix", "127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "127.0.0.1%lo",
	}
)

func TestBindPolicy(t *testing.T) {
	f := func(b Bind, want Exposure) {
		t.Helper()
		got, err := CheckBind(b)
		require.NoError(t, err, "%+v", b)
		assert.Equal(t, want, got, "%+v", b)
	}
	refused := func(b Bind, missing string) {
		t.Helper()
		got, err := CheckBind(b)
		require.EqualError(t, err, b.Endpoint+" can be reached from other machines, but "+missing+": listen on localhost:8620, "+
			"or set both tls and auth, or accept with insecure_bind: true that everybody there may use the API or read its traffic")
		assert.Empty(t, got)
	}
	const port = ":8620"
	for _, host := range loopbackHosts {
		for _, transport := range []string{"", "tcp", "tcp4", "tcp6"} {
			f(Bind{Transport: transport, Endpoint: host + port}, ExposureLoopback)
			f(Bind{Transport: transport, Endpoint: host + port, TLS: true}, ExposureLoopback)
			f(Bind{Transport: transport, Endpoint: host + port, Insecure: true}, ExposureLoopback)
			f(Bind{Transport: transport, Endpoint: host + port, Auth: true}, ExposureAuthenticated)
		}
	}
	for _, host := range exposedHosts {
		refused(Bind{Endpoint: host + port}, "neither tls nor auth is set")
		refused(Bind{Endpoint: host + port, TLS: true}, "auth is not set")
		refused(Bind{Endpoint: host + port, Auth: true}, "tls is not set")
		f(Bind{Endpoint: host + port, TLS: true, Auth: true}, ExposureAuthenticated)
		f(Bind{Endpoint: host + port, Auth: true, Insecure: true}, ExposureAuthenticated)
		f(Bind{Endpoint: host + port, TLS: true, Insecure: true}, ExposureOpen)
		f(Bind{Endpoint: host + port, Insecure: true}, ExposureOpen)
	}
	for _, transport := range []string{"unix", "npipe"} {
		f(Bind{Transport: transport, Endpoint: "/run/phoenix.sock"}, ExposureSocket)
		f(Bind{Transport: transport, Endpoint: "@phoenix", Insecure: true}, ExposureSocket)
		f(Bind{Transport: transport, Endpoint: "/run/phoenix.sock", Auth: true}, ExposureAuthenticated)
	}
}

func TestBindPolicyRefusesWhatIsNoAddress(t *testing.T) {
	f := func(b Bind, want string) {
		t.Helper()
		b.TLS, b.Auth, b.Insecure = true, true, true
		_, err := CheckBind(b)
		require.EqualError(t, err, want)
	}
	f(Bind{}, "must not be empty")
	f(Bind{Transport: "unix"}, "must not be empty")
	f(Bind{Endpoint: "localhost"}, `must be host:port, got "localhost"`)
	f(Bind{Endpoint: "::1:8620"}, `must be host:port, got "::1:8620"`)
	f(Bind{Endpoint: "a:b:c"}, `must be host:port, got "a:b:c"`)
	f(Bind{Endpoint: "localhost:1", Transport: "udp"}, `the transport must be tcp, tcp4, tcp6, unix or npipe, got "udp"`)
}

func TestHostHeader(t *testing.T) {
	f := func(host string, want bool) {
		t.Helper()
		err := ExposureLoopback.CheckHost(host)
		assert.Equal(t, want, err == nil, "%q", host)
		for _, e := range []Exposure{ExposureAuthenticated, ExposureSocket, ExposureOpen} {
			assert.NoError(t, e.CheckHost(host))
		}
	}
	for _, host := range loopbackHosts {
		f(host, true)
		f(host+":8620", true)
		f(host+":80", true)
	}
	for _, host := range exposedHosts {
		f(host, false)
		f(host+":8620", false)
	}
	for _, host := range []string{
		"evil.example", "evil.example:8620", "localhost@evil.example", "localhost:8620@evil.example", "localhost:8620.evil.example",
		"localhost:", "localhost:x", "localhost:-1", "localhost:99999", "localhost:80:80", ":8620", "[localhost]", "[localhost]:80", "[127.0.0.1]:80",
		"::1", "[::1", "::1]", "[]", "[]:80", "[::1]x", "[::1]:80x", " localhost", "localhost ", "localhost\x00", "localhost,evil.example",
		"http://localhost", "localhost/", "lоcalhost", // the о is Cyrillic
	} {
		f(host, false)
	}
	err := ExposureLoopback.CheckHost(strings.Repeat("é", 1000))
	require.ErrorIs(t, err, ErrForbidden)
	assert.Less(t, len(err.Error()), 400)
	require.EqualError(t, ExposureLoopback.CheckHost("evil.example:8620"),
		`the request is for the host "evil.example:8620", but without authentication only localhost and loopback addresses are served`)
}

// TestOnlyLoopbackAddressesAreLoopback compares with the definition of the
// blocks (RFC 1122, RFC 4291).
func TestOnlyLoopbackAddressesAreLoopback(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text string
		var want bool
		if rapid.Bool().Draw(t, "v6") {
			var b [16]byte
			copy(b[:], rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 0, 1, 127, 255}), 16, 16).Draw(t, "bytes"))
			if rapid.Bool().Draw(t, "low") {
				clear(b[:12])
			}
			want = b == [16]byte{15: 1} || [12]byte(b[:12]) == [12]byte{10: 255, 11: 255} && b[12] == 127
			text = "[" + netip.AddrFrom16(b).String() + "]"
		} else {
			b := [4]byte(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 126, 127, 128, 255}), 4, 4).Draw(t, "bytes"))
			want = b[0] == 127
			text = netip.AddrFrom4(b).String()
		}
		exposure, err := CheckBind(Bind{Endpoint: text + ":1"})
		require.Equal(t, want, err == nil, text)
		require.Equal(t, want, exposure == ExposureLoopback, text)
		require.Equal(t, want, ExposureLoopback.CheckHost(text) == nil, text)
	})
}

func FuzzCheckHost(f *testing.F) {
	for _, host := range append(append([]string{"[::1]:80", "a:b:c"}, loopbackHosts...), exposedHosts...) {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if ExposureLoopback.CheckHost(host) != nil {
			return
		}
		// What is taken is a loopback name or address and nothing around it.
		name := strings.ToLower(host)
		if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.HasSuffix(name, "]") {
			require.Regexp(t, `\A[0-9]+\z`, name[i+1:])
			name = name[:i]
		}
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
		addr, err := netip.ParseAddr(name)
		require.True(t, name == "localhost" || err == nil && addr.Unmap().IsLoopback(), host)
	})
}
