package access

import (
	"math"
	"time"
)

// RateLimitsConfig bounds how often each principal may ask. Whoever does not say
// who they are is known by the address: an IPv4 address or the /64 of an IPv6
// address.
type RateLimitsConfig struct {
	// Read is for requests that change nothing. Default: 100 a second, burst 500.
	Read Rate `mapstructure:"read"`
	// Write is for requests that change something. Default: 20 a second, burst
	// 200.
	Write Rate `mapstructure:"write"`
	// Refused is for requests whose credentials are not accepted, by address:
	// those beyond it are neither answered in detail nor audited one by one.
	// Default: 1 a second, burst 20.
	Refused Rate `mapstructure:"refused"`
	// Changes is how much a principal may change in a period. Default: no bound.
	Changes Quota `mapstructure:"changes"`
	// Overrides replace limits of some principals. Default: none.
	Overrides []RateOverride `mapstructure:"overrides"`
	// MaxPrincipals is how many principals, and as many addresses, are
	// remembered; of more, those are forgotten that have not asked for longest.
	// Default: 10,000.
	MaxPrincipals int `mapstructure:"max_principals"`
}

// Rate is a token bucket. The zero value is no bound.
type Rate struct {
	// PerSecond is how many requests are allowed in the long run. 0: no bound.
	PerSecond float64 `mapstructure:"per_second"`
	// Burst is how many are allowed at once.
	Burst int `mapstructure:"burst"`
}

// Quota is a token bucket that is filled over a long time: Limit at once, and as
// many again in each Period, evenly.
type Quota struct {
	// Limit is how many changes. Default: 0, no bound.
	Limit int `mapstructure:"limit"`
	// Period default: 24h, also if it is 0.
	Period time.Duration `mapstructure:"period"`
}

// RateOverride replaces limits of some principals.
type RateOverride struct {
	// Principals are names as in the audit log, such as api_key:8Vn3….
	Principals []string `mapstructure:"principals"`
	// Read, Write and Changes default: as for everybody.
	Read    *Rate  `mapstructure:"read"`
	Write   *Rate  `mapstructure:"write"`
	Changes *Quota `mapstructure:"changes"`
}

// defaultPeriod is that of a quota.
const defaultPeriod = 24 * time.Hour

// Bounds of what may be configured.
const (
	maxRate       = 1_000_000
	maxRemembered = 1_000_000
)

func (c RateLimitsConfig) check(f faults) {
	c.Read.check(f.at("read"))
	c.Write.check(f.at("write"))
	c.Refused.check(f.at("refused"))
	c.Changes.check(f.at("changes"))
	if c.MaxPrincipals < 1 || c.MaxPrincipals > maxRemembered {
		f.at("max_principals").add("must be between 1 and %d, got %d", maxRemembered, c.MaxPrincipals)
	}
	at := f.at("overrides")
	at.atMost(len(c.Overrides), maxList)
	seen := map[string]bool{}
	for i, o := range c.Overrides {
		o.check(at.at("[%d]", i), seen)
	}
}

func (o RateOverride) check(f faults, seen map[string]bool) {
	at := f.at("principals")
	if len(o.Principals) == 0 {
		at.add("must have at least one entry")
	}
	at.atMost(len(o.Principals), maxList)
	for i, name := range o.Principals {
		at.at("[%d]", i).text(name, maxPrincipal)
		if seen[name] {
			at.at("[%d]", i).add("%q is there already", name)
		}
		seen[name] = true
	}
	if o.Read == nil && o.Write == nil && o.Changes == nil {
		f.add("must have read, write or changes")
	}
	if o.Read != nil {
		o.Read.check(f.at("read"))
	}
	if o.Write != nil {
		o.Write.check(f.at("write"))
	}
	if o.Changes != nil {
		o.Changes.check(f.at("changes"))
	}
}

func (r Rate) check(f faults) {
	if math.IsNaN(r.PerSecond) || r.PerSecond < 0 || r.PerSecond > maxRate {
		f.at("per_second").add("must be between 0 and %d, got %v", maxRate, r.PerSecond)
	}
	switch {
	case r.Burst < 0 || r.Burst > maxRate:
		f.at("burst").add("must be between 0 and %d, got %d", maxRate, r.Burst)
	case r.PerSecond > 0 && r.Burst == 0:
		f.at("burst").add("must be positive with per_second: nothing would be allowed")
	}
}

func (q Quota) check(f faults) {
	if q.Limit < 0 || q.Limit > maxRate {
		f.at("limit").add("must be between 0 and %d, got %d", maxRate, q.Limit)
	}
	if q.Period < 0 {
		f.at("period").add("must not be negative, got %s", q.Period)
	}
}
