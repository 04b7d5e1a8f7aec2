package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of a configuration.
const (
	maxList       = 1000 // bindings, subjects, overrides
	maxNamespaces = 128  // of one binding or API key
	maxLabel      = 128  // bytes of the name of a binding or an API key
)

// Config says who may do what, and how often.
type Config struct {
	// Bindings give roles to principals. Default: none. Unless a binding names
	// the kind, local is admin and anonymous is viewer, of all namespaces.
	Bindings []Binding `mapstructure:"bindings"`
	// Identity says where an authentication extension puts who somebody is.
	Identity IdentityConfig `mapstructure:"identity"`
	// APIKeys bounds how long API keys live.
	APIKeys APIKeysConfig `mapstructure:"api_keys"`
	// RateLimits bounds how often each principal may ask.
	RateLimits RateLimitsConfig `mapstructure:"rate_limits"`
}

// IdentityConfig names attributes that an authentication extension sets. The
// defaults are those of oidc: subject and membership are what username_claim and
// groups_claim select there, claims.x is the claim x. No attribute may be raw,
// for that is the token itself.
type IdentityConfig struct {
	// Subject is who it is: the first attribute that the extension sets. Default:
	// subject, username.
	Subject []string `mapstructure:"subject"`
	// Issuer is who says so: the first attribute that is set. Default: claims.iss.
	Issuer []string `mapstructure:"issuer"`
	// Groups are what they belong to: all attributes that are set. Default:
	// membership.
	Groups []string `mapstructure:"groups"`
	// Display is what people call them: the first attribute that is set. Default:
	// claims.name, claims.preferred_username, claims.email.
	Display []string `mapstructure:"display"`
}

// APIKeysConfig bounds how long API keys live.
type APIKeysConfig struct {
	// DefaultLifetime is for keys that are created without saying how long.
	// Default: 2160h, 90 days. 0: they do not expire.
	DefaultLifetime time.Duration `mapstructure:"default_lifetime"`
	// MaxLifetime is the longest that may be asked for. Default: 8784h, a leap
	// year. 0: any, also keys that do not expire.
	MaxLifetime time.Duration `mapstructure:"max_lifetime"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Identity: IdentityConfig{
			Subject: []string{"subject", "username"},
			Issuer:  []string{"claims.iss"},
			Groups:  []string{"membership"},
			Display: []string{"claims.name", "claims.preferred_username", "claims.email"},
		},
		APIKeys: APIKeysConfig{DefaultLifetime: 90 * 24 * time.Hour, MaxLifetime: 366 * 24 * time.Hour},
		RateLimits: RateLimitsConfig{
			Read:          Rate{PerSecond: 100, Burst: 500},
			Write:         Rate{PerSecond: 20, Burst: 200},
			Refused:       Rate{PerSecond: 1, Burst: 20},
			Changes:       Quota{Period: defaultPeriod},
			MaxPrincipals: 10_000,
		},
	}
}

// Validate reports everything that is wrong at once.
func (c Config) Validate() error {
	var list []error
	f := faults{list: &list}
	checkBindings(f.at("bindings"), c.Bindings)
	c.Identity.check(f.at("identity"))
	c.APIKeys.check(f.at("api_keys"))
	c.RateLimits.check(f.at("rate_limits"))
	return errors.Join(list...)
}

// Administered says whether the bindings make anybody admin of all namespaces.
// Where they do not, and requests must say who sends them, nobody can create the
// first API key through the API.
func (c Config) Administered() bool {
	return slices.ContainsFunc(c.Bindings, func(b Binding) bool {
		return b.Role == RoleAdmin && slices.Contains(b.Namespaces, AllNamespaces) && len(b.Subjects) > 0
	})
}

// clone keeps what the caller does to its lists afterwards out of decisions.
func (c Config) clone() Config {
	c.Bindings = slices.Clone(c.Bindings)
	for i, b := range c.Bindings {
		c.Bindings[i].Namespaces = slices.Clone(b.Namespaces)
		c.Bindings[i].Subjects = slices.Clone(b.Subjects)
	}
	c.Identity.Subject = slices.Clone(c.Identity.Subject)
	c.Identity.Issuer = slices.Clone(c.Identity.Issuer)
	c.Identity.Groups = slices.Clone(c.Identity.Groups)
	c.Identity.Display = slices.Clone(c.Identity.Display)
	return c
}

func (c IdentityConfig) check(f faults) {
	if len(c.Subject) == 0 {
		f.at("subject").add("must have at least one attribute")
	}
	for _, option := range []struct {
		key        string
		attributes []string
	}{{"subject", c.Subject}, {"issuer", c.Issuer}, {"groups", c.Groups}, {"display", c.Display}} {
		at := f.at("%s", option.key)
		at.atMost(len(option.attributes), maxList)
		for i, name := range option.attributes {
			if err := checkIdentity(name, maxNamespace); err != nil {
				at.at("[%d]", i).add("%s", err)
			} else if strings.EqualFold(name, rawAttribute) {
				at.at("[%d]", i).add("must not be %s: that is the token itself, and this ends in logs", name)
			}
		}
	}
}

func (c APIKeysConfig) check(f faults) {
	for _, option := range []struct {
		key   string
		value time.Duration
	}{{"default_lifetime", c.DefaultLifetime}, {"max_lifetime", c.MaxLifetime}} {
		if option.value < 0 {
			f.at("%s", option.key).add("must not be negative, got %s", option.value)
		}
	}
	if c.MaxLifetime > 0 && (c.DefaultLifetime > c.MaxLifetime || c.DefaultLifetime == 0) {
		f.at("default_lifetime").add("must be positive and not longer than max_lifetime (%s), got %s", c.MaxLifetime, c.DefaultLifetime)
	}
}

// faults collects mistakes below a key.
type faults struct {
	list *[]error
	path string
}

func (f faults) at(format string, args ...any) faults {
	key := fmt.Sprintf(format, args...)
	if f.path != "" && !strings.HasPrefix(key, "[") {
		key = "." + key
	}
	return faults{list: f.list, path: f.path + key}
}

func (f faults) add(format string, args ...any) {
	*f.list = append(*f.list, fmt.Errorf("%s: %s", f.path, fmt.Sprintf(format, args...)))
}

func (f faults) atMost(n, limit int) {
	if n > limit {
		f.add("must not have more than %d entries, got %d", limit, n)
	}
}
