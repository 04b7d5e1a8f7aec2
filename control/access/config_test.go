package access

import (
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.yaml.in/yaml/v3"
)

// load reads a configuration over the defaults, as the Collector does.
func load(t *testing.T, name string) Config {
	t.Helper()
	conf, err := confmaptest.LoadConf("testdata/" + name)
	require.NoError(t, err)
	cfg := DefaultConfig()
	require.NoError(t, conf.Unmarshal(&cfg))
	return cfg
}

func TestDefaultConfig(t *testing.T) {
	require.NoError(t, componenttest.CheckConfigStruct(DefaultConfig()))
	require.NoError(t, DefaultConfig().Validate())
	assert.False(t, DefaultConfig().Administered())
	g := newGuard(t)
	assert.True(t, g.Authorize(Principal{Kind: KindLocal}, Restore, Backup, "").Allowed())
	assert.Equal(t, "local may backup.restore: it holds admin:* by default", g.Authorize(Principal{Kind: KindLocal}, Restore, Backup, "").Audit)
	assert.True(t, g.Authorize(Principal{Kind: KindAnonymous}, Get, Policies, "shop").Allowed())
	assert.False(t, g.Authorize(Principal{Kind: KindAnonymous}, Update, Policies, "shop").Allowed())
	assert.False(t, g.Authorize(Principal{Kind: KindToken, ID: "alice"}, Get, System, "").Allowed())
}

func TestEveryOption(t *testing.T) {
	cfg := load(t, "every-option.yaml")
	require.NoError(t, cfg.Validate())
	requireSet(t, "", reflect.ValueOf(cfg))
	assert.True(t, cfg.Administered())
	assert.Equal(t, []string{"claims.upn", "subject"}, cfg.Identity.Subject, "a list replaces the default")
	g, err := New(cfg)
	require.NoError(t, err)
	assert.Equal(t, []string{"realm_access.roles"}, g.claims)
	p, err := g.fromAuth("custom", attributes{"claims.upn": "root", "claims.tid": "https://idp.example", "claims.roles": []any{"platform"}})
	require.NoError(t, err)
	assert.Equal(t, Grants{{Role: RoleAdmin, Namespace: "*", Source: "platform"}}, g.Grants(p))
	assert.Equal(t, Grants{{Role: RoleViewer, Namespace: "*", Source: "bindings[2]"}}, g.Grants(Principal{Kind: KindLocal}), "no default beside it")
	l, err := NewLimiter(cfg.RateLimits)
	require.NoError(t, err)
	for range 600 {
		require.NoError(t, l.Take(Principal{Kind: KindAPIKey, ID: "8Vn3kQ0xTb2L"}, netip.Addr{}, Get, noon))
	}
}

// requireSet fails for an option that the example leaves out.
func requireSet(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for f, value := range v.Fields() {
			key := f.Tag.Get("mapstructure")
			require.NotEmpty(t, key, path+"."+f.Name)
			requireSet(t, strings.TrimPrefix(path+"."+key, "."), value)
		}
	case reflect.Pointer:
		require.False(t, v.IsNil(), path)
		requireSet(t, path, v.Elem())
	case reflect.Slice:
		require.NotZero(t, v.Len(), path)
		if v.Type().Elem().Kind() == reflect.Struct && path != "bindings" {
			requireSet(t, path+"[0]", v.Index(0))
		}
	default:
		require.False(t, v.IsZero(), path)
	}
}

func TestMistakes(t *testing.T) {
	cfg := load(t, "mistakes.yaml")
	err := cfg.Validate()
	require.Error(t, err)
	requireGolden(t, "mistakes.txt", err.Error()+"\n")
	_, err = New(cfg)
	require.ErrorContains(t, err, "access: bindings[0].role: must be viewer")
}

func TestTooMuch(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		cfg := DefaultConfig()
		change(&cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
	many := make([]string, 1001)
	f(func(c *Config) { c.Bindings = make([]Binding, 1001) }, "bindings: must not have more than 1000 entries, got 1001")
	f(func(c *Config) { c.Bindings = []Binding{{Subjects: make([]Subject, 1001)}} }, "bindings[0].subjects: must not have more than 1000 entries")
	f(func(c *Config) { c.Bindings = []Binding{{Namespaces: many[:129]}} }, "bindings[0].namespaces: must not have more than 128 entries")
	f(func(c *Config) { c.Bindings = []Binding{{Name: strings.Repeat("x", 129)}} }, "bindings[0].name: must not be longer than 128 bytes, got 129")
	f(func(c *Config) { c.Identity.Groups = many }, "identity.groups: must not have more than 1000 entries")
	f(func(c *Config) { c.RateLimits.Overrides = make([]RateOverride, 1001) }, "rate_limits.overrides: must not have more than 1000 entries")
	f(func(c *Config) { c.RateLimits.Overrides = []RateOverride{{Principals: many}} }, "rate_limits.overrides[0].principals: must not have more than 1000 entries")
	f(func(c *Config) { c.RateLimits.MaxPrincipals = 1_000_001 }, "rate_limits.max_principals: must be between 1 and 1000000, got 1000001")
	f(func(c *Config) { c.APIKeys.DefaultLifetime = 0 }, "api_keys.default_lifetime: must be positive and not longer than max_lifetime (8784h0m0s), got 0s")
	f(func(c *Config) { c.APIKeys.MaxLifetime = time.Hour }, "api_keys.default_lifetime: must be positive and not longer than max_lifetime (1h0m0s), got 2160h0m0s")
	cfg := DefaultConfig()
	cfg.APIKeys = APIKeysConfig{}
	require.NoError(t, cfg.Validate())
}

// TestTheGuardKeepsItsOwnConfiguration changes what it was made from.
func TestTheGuardKeepsItsOwnConfiguration(t *testing.T) {
	cfg := load(t, "every-option.yaml")
	g, err := New(cfg)
	require.NoError(t, err)
	cfg.Bindings[0].Subjects[0].Group = "everybody"
	cfg.Bindings[0].Namespaces[0] = "none"
	cfg.Identity.Subject[0] = "raw"
	p, err := g.fromAuth("custom", attributes{"claims.upn": "root", "claims.tid": "https://idp.example", "raw": "secret", "membership": []string{"platform"}})
	require.NoError(t, err)
	assert.Equal(t, "root", p.ID)
	assert.True(t, g.Authorize(p, Restore, Backup, "").Allowed())
}

func FuzzConfig(f *testing.F) {
	for _, name := range []string{"every-option.yaml", "mistakes.yaml"} {
		text, err := os.ReadFile("testdata/" + name)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte("bindings: [{role: viewer, namespaces: [a], subjects: [{kind: token, claim: a.b, value: x}]}]"))
	f.Add([]byte("rate_limits: {read: {per_second: 1e-300, burst: 1}, changes: {limit: 1, period: 1ns}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var raw map[string]any
		if yaml.Unmarshal(text, &raw) != nil {
			return
		}
		cfg := DefaultConfig()
		if confmap.NewFromStringMap(raw).Unmarshal(&cfg) != nil {
			return
		}
		if err := cfg.Validate(); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				require.Regexp(t, `\A(bindings|identity|api_keys|rate_limits)[a-z_.\[\]0-9]*: .`, line)
			}
			return
		}
		g, err := New(cfg)
		require.NoError(t, err)
		l, err := NewLimiter(cfg.RateLimits)
		require.NoError(t, err)
		for _, p := range []Principal{{}, {Kind: KindLocal}, {Kind: KindToken, ID: "alice"}, holder("viewer:shop")} {
			for _, need := range permissions {
				d := g.Authorize(p, need.Verb, need.Resource, "shop")
				require.Equal(t, d.Allowed(), d.Err() == nil)
				require.NoError(t, checkIdentity(d.Audit, maxReason), "%q", d.Audit)
			}
			err := l.Take(p, netip.Addr{}, Update, noon)
			require.NoError(t, err, "the first one is always free")
		}
	})
}
