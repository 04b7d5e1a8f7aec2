package phoenixcontrolextension

import (
	"fmt"
	"os"
	"reflect"
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
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/phoenix-platform/phoenix/control/access"
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
	secure := newExtension(valid("secure"), extensiontest.NewNopSettings(NewFactory().Type()))
	assert.Equal(t, []component.ID{component.MustNewID("bearertokenauth")}, secure.Dependencies())
	valid("unix")
	exposure, err := valid("certificates").exposure()
	require.NoError(t, err)
	assert.Equal(t, access.ExposureAuthenticated, exposure, "everybody brings a certificate")

	all := valid("all")
	assert.Equal(t, "/var/lib/phoenix", all.Directory)
	assert.Equal(t, "/run/phoenix/stop", all.KillSwitchFile)
	assert.Equal(t, "k8s.namespace.name", all.NamespaceAttribute)
	assert.Equal(t, 20*time.Minute, all.PreviewWindow)
	assert.Equal(t, CostConfig{Point: "export", Hosts: 12}, all.Cost)
	assert.Equal(t, []string{"shop"}, all.Access.Bindings[0].Namespaces)
	assert.Equal(t, 24*time.Hour, all.Access.APIKeys.DefaultLifetime)
	assert.Equal(t, 366*24*time.Hour, all.Access.APIKeys.MaxLifetime, "what is not given stays")
}

func TestMistakesAreAllNamedByTheirKeys(t *testing.T) {
	refused := func(name string, want ...string) {
		t.Helper()
		_, err := load(t, "phoenix_control/"+name)
		for _, w := range want {
			require.ErrorContains(t, err, w)
		}
	}
	const exposed = "can be reached from other machines, but "
	refused("exposed", "endpoint: :8620 "+exposed+"neither tls nor auth is set: listen on localhost:8620")
	refused("tls_only", "endpoint: 10.1.2.3:8620 "+exposed+"auth is not set")
	refused("malformed", `endpoint: must be host:port, got "localhost"`)
	refused("all_wrong", "endpoint: must not be empty", "request_timeout: must be positive, got -1s",
		"directory, postgres::dsn: must not be given together", "preview_window: must not be negative, got -5m0s",
		"access: bindings[0].role: must be viewer, editor, operator or admin")
	refused("short_write", "write_timeout: must be longer than request_timeout (40s), or 0, got 30s")
	refused("token_in_url", "auth::request_params: is not supported")
	refused("unknown_option", "endpont")
}

// TestThePasswordOfTheDatabaseIsNotTold prints the configuration in all ways
// that the Collector knows.
func TestThePasswordOfTheDatabaseIsNotTold(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Postgres.DSN = "postgres://phoenix:s3cr3t@db/phoenix"
	conf := confmap.New()
	require.NoError(t, conf.Marshal(cfg))
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", *cfg, *cfg, *cfg), fmt.Sprint(conf.ToStringMap())} {
		assert.NotContains(t, text, "s3cr3t")
	}
}

// TestReadmeOptions compares the option table of the README with the defaults.
func TestReadmeOptions(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	defaults := confmap.New()
	require.NoError(t, defaults.Marshal(createDefaultConfig()))
	rows := regexp.MustCompile("(?m)^\\| `([a-z_:]+)` \\| (\\S+) \\|").FindAllStringSubmatch(string(readme), -1)
	documented := map[string]bool{}
	for _, row := range rows {
		option, stated := row[1], strings.Trim(row[2], "`")
		documented[option] = true
		value := defaults.Get(option)
		if stated == "none" {
			absent := value == nil || reflect.ValueOf(value).IsZero() || fmt.Sprint(value) == "[]"
			assert.True(t, absent || option == "postgres::dsn", "%s is %v", option, value) // the DSN is told to nobody
			continue
		}
		assert.Equal(t, strings.ReplaceAll(fmt.Sprint(value), " ", ","), stated, option)
	}
	for _, own := range ownOptions() {
		assert.True(t, documented[own], "%s is not in the table", own)
	}
	require.GreaterOrEqual(t, len(rows), 20)
}

// ownOptions are the options that are not those of every server, by their paths.
func ownOptions() []string {
	options := []string{"endpoint"}
	var walk func(prefix string, t reflect.Type)
	walk = func(prefix string, t reflect.Type) {
		for f := range t.Fields() {
			name, squash, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
			switch {
			case squash == "squash" || name == "":
			case f.Type.Kind() == reflect.Struct && strings.Contains(f.Type.PkgPath(), "phoenix"):
				walk(prefix+name+"::", f.Type)
			default:
				options = append(options, prefix+name)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	return options
}
