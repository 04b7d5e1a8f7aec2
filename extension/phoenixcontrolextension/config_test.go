package phoenixcontrolextension

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

// load reads one entry of testdata/config.yaml.
func load(t *testing.T, id string) (*Config, error) {
	t.Helper()
	all, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	require.True(t, all.IsSet(id), id)
	one, err := all.Sub(id)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := one.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestConfig(t *testing.T) {
	require.NoError(t, componenttest.CheckConfigStruct(createDefaultConfig()))
	valid := func(name string) *Config {
		t.Helper()
		cfg, err := load(t, component.MustNewIDWithName("phoenix_control", name).String())
		require.NoError(t, err)
		return cfg
	}
	assert.Equal(t, createDefaultConfig(), valid(""))
	port := valid("port")
	assert.Equal(t, "[::1]:9000", port.NetAddr.Endpoint)
	assert.Equal(t, 5*time.Second, port.RequestTimeout)
	assert.Equal(t, 8*time.Second, port.WriteTimeout)
	assert.True(t, valid("insecure").InsecureBind)
	assert.Equal(t, []component.ID{component.MustNewID("bearertokenauth")}, newExtension(valid("secure"), componenttest.NewNopTelemetrySettings()).Dependencies())
	valid("unix")

	refused := func(name string, want ...string) {
		t.Helper()
		_, err := load(t, "phoenix_control/"+name)
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
	}
	const exposed = "can be reached from other machines; listen on localhost, " +
		"or set both tls and auth, or accept that anybody may read with insecure_bind: true"
	refused("exposed", "endpoint: :8620 "+exposed)
	refused("tls_only", "endpoint: 10.1.2.3:8620 "+exposed)
	refused("malformed", `endpoint: must be host:port, got "localhost"`)
	refused("all_wrong", "endpoint: must not be empty", "request_timeout: must be positive, got -1s")
	refused("short_write", "write_timeout: must be longer than request_timeout (40s), or 0, got 30s")
	refused("token_in_url", "auth::request_params: is not supported")
	refused("unknown_option", "endpont")
}

func TestLoopbackNamesAndAddresses(t *testing.T) {
	f := func(host string, want bool) {
		t.Helper()
		assert.Equal(t, want, isLoopback(host), host)
	}
	f("localhost", true)
	f("LOCALHOST", true)
	f("127.0.0.1", true)
	f("127.8.9.10", true)
	f("::1", true)
	f("::ffff:127.0.0.1", true)
	f("", false)
	f("0.0.0.0", false)
	f("::", false)
	f("192.168.1.1", false)
	f("localhost.example.com", false)
	f("127.0.0.1.nip.io", false)
}

// TestReadmeOptions compares the option table of the README with the defaults.
func TestReadmeOptions(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	defaults := confmap.New()
	require.NoError(t, defaults.Marshal(createDefaultConfig()))
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\S+) \\|").FindAllStringSubmatch(string(readme), -1)
	documented := map[string]bool{}
	for _, row := range rows {
		option, stated := row[1], strings.Trim(row[2], "`")
		documented[option] = true
		if stated == "none" {
			assert.Nil(t, defaults.Get(option), option)
			continue
		}
		assert.Equal(t, fmt.Sprint(defaults.Get(option)), stated, option)
	}
	for _, own := range []string{"endpoint", "insecure_bind", "request_timeout"} {
		assert.True(t, documented[own], "%s is not in the table", own)
	}
	require.GreaterOrEqual(t, len(rows), 9)
}
