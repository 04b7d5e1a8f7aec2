package access

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Limiter bounds how often each principal asks. It remembers a bounded number of
// principals, and apart from them, so that strangers push out no principal, as
// many addresses. It may be used by many goroutines.
type Limiter struct {
	cfg       RateLimitsConfig
	overrides map[string]RateOverride

	mu         sync.Mutex
	principals *ledger[string]
	addresses  *ledger[netip.Prefix]
}

// account is what a principal or an address has left.
type account struct {
	read, write, changes, refused *rate.Limiter // nil: no bound

	// unrecorded counts refusals since the last that was recorded.
	unrecorded uint64
}

// ledger is a bounded table of accounts, which forgets those first that have not
// been asked for longest.
type ledger[K comparable] struct {
	*simplelru.LRU[K, *account]
	evicted uint64
}

// NewLimiter returns a limiter. The configuration must be valid.
func NewLimiter(cfg RateLimitsConfig) (*Limiter, error) {
	principals, err := simplelru.NewLRU[string, *account](cfg.MaxPrincipals, nil)
	if err != nil {
		return nil, fmt.Errorf("max_principals: %w", err)
	}
	addresses, err := simplelru.NewLRU[netip.Prefix, *account](cfg.MaxPrincipals, nil)
	if err != nil {
		return nil, fmt.Errorf("max_principals: %w", err)
	}
	l := &Limiter{
		cfg:        cfg,
		overrides:  map[string]RateOverride{},
		principals: &ledger[string]{LRU: principals},
		addresses:  &ledger[netip.Prefix]{LRU: addresses},
	}
	for _, o := range cfg.Overrides {
		for _, name := range o.Principals {
			l.overrides[name] = o
		}
	}
	return l, nil
}

// Take takes one request of a principal out of its buckets, those of what the
// verb does. It returns nil, or a *Refusal that says when to ask again; then
// nothing was taken. Anonymous principals are told apart by their address.
func (l *Limiter) Take(p Principal, from netip.Addr, v Verb, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var a *account
	if p.Kind == KindAnonymous || p.Kind == "" {
		a = l.addresses.account(network(from), func() *account { return l.open("") })
	} else {
		name := p.Name()
		a = l.principals.account(name, func() *account { return l.open(name) })
	}
	if v.ReadOnly() {
		return take(p, now, bucket{"requests that read", a.read})
	}
	return take(p, now, bucket{"requests that write", a.write}, bucket{"changes", a.changes})
}

// TakeRefusal takes one request whose credentials were not accepted out of the
// bucket of its address. If err is nil, record it; unrecorded is how many before
// it were not. Otherwise answer err, a *Refusal, and record nothing: somebody
// fills the audit log.
func (l *Limiter) TakeRefusal(from netip.Addr, now time.Time) (unrecorded uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.addresses.account(network(from), func() *account { return l.open("") })
	if err := take(Principal{}, now, bucket{"requests that are refused", a.refused}); err != nil {
		a.unrecorded++
		return 0, err
	}
	unrecorded, a.unrecorded = a.unrecorded, 0
	return unrecorded, nil
}

// LimiterStats is for metrics.
type LimiterStats struct {
	// Principals and Addresses are remembered now.
	Principals, Addresses int
	// EvictedPrincipals and EvictedAddresses were forgotten to make room, and
	// with them what they had used up.
	EvictedPrincipals, EvictedAddresses uint64
}

// Stats returns the present figures.
func (l *Limiter) Stats() LimiterStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LimiterStats{
		Principals: l.principals.Len(), EvictedPrincipals: l.principals.evicted,
		Addresses: l.addresses.Len(), EvictedAddresses: l.addresses.evicted,
	}
}

func (t *ledger[K]) account(key K, open func() *account) *account {
	a, found := t.Get(key)
	if !found {
		a = open()
		if t.Add(key, a) {
			t.evicted++
		}
	}
	return a
}

// open returns a new account with full buckets. The name is empty for an
// address.
func (l *Limiter) open(name string) *account {
	read, write, changes := l.cfg.Read, l.cfg.Write, l.cfg.Changes
	o := l.overrides[name]
	if o.Read != nil {
		read = *o.Read
	}
	if o.Write != nil {
		write = *o.Write
	}
	if o.Changes != nil {
		changes = *o.Changes
	}
	a := &account{read: read.bucket(), write: write.bucket(), changes: changes.bucket()}
	if name == "" {
		a.refused = l.cfg.Refused.bucket()
	}
	return a
}

func (r Rate) bucket() *rate.Limiter {
	if r.PerSecond == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)
}

func (q Quota) bucket() *rate.Limiter {
	if q.Limit == 0 {
		return nil
	}
	period := cmp.Or(q.Period, defaultPeriod)
	return rate.NewLimiter(rate.Limit(float64(q.Limit)/period.Seconds()), q.Limit)
}

type bucket struct {
	of string
	*rate.Limiter
}

// take takes one out of each bucket, or out of none.
func take(p Principal, now time.Time, buckets ...bucket) error {
	for _, b := range buckets {
		if wait := b.wait(now); wait > 0 {
			r := &Refusal{Kind: ErrRateLimited, RetryAfter: wait}
			r.Caller = fmt.Sprintf("too many %s: try again in %d s", b.of, r.RetryAfterSeconds())
			r.Audit = fmt.Sprintf("%s: too many %s, more than %d at once", p.Name(), b.of, b.Burst())
			return r
		}
	}
	for _, b := range buckets {
		if b.Limiter != nil {
			b.AllowN(now, 1)
		}
	}
	return nil
}

// wait returns how long it takes until there is one to take.
func (b bucket) wait(now time.Time) time.Duration {
	if b.Limiter == nil {
		return 0
	}
	missing := 1 - b.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	wait := missing / float64(b.Limit()) * float64(time.Second)
	if wait > math.MaxInt64/2 {
		return math.MaxInt64 / 2 // rounding up to seconds adds to it
	}
	return max(1, time.Duration(math.Ceil(wait)))
}

// network is what an address stands for: whoever has an IPv6 address has at
// least 2^64 of them.
func network(from netip.Addr) netip.Prefix {
	from = from.Unmap().WithZone("")
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	prefix, err := from.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address, as of a Unix socket: one account for all of them
	}
	return prefix
}
