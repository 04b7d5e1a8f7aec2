package access

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	alice     = Principal{Kind: KindToken, ID: "alice"}
	bob       = Principal{Kind: KindToken, ID: "bob"}
	anonymous = Principal{Kind: KindAnonymous}
	home      = netip.MustParseAddr("192.0.2.1")
)

func newLimiter(t require.TestingT, cfg RateLimitsConfig) *Limiter {
	if cfg.MaxPrincipals == 0 {
		cfg.MaxPrincipals = 100
	}
	full := DefaultConfig()
	full.RateLimits = cfg
	require.NoError(t, full.Validate())
	l, err := NewLimiter(cfg)
	require.NoError(t, err)
	return l
}

// tryAll takes until it is refused, at most n times, and returns how many went.
func tryAll(n int, take func() error) (went int, err error) {
	for went = range n {
		if err := take(); err != nil {
			return went, err
		}
	}
	return n, nil
}

func TestBurstThenRate(t *testing.T) {
	l := newLimiter(t, RateLimitsConfig{Read: Rate{PerSecond: 2, Burst: 5}, Write: Rate{PerSecond: 0.1, Burst: 1}})
	read := func(p Principal, at time.Time) func() error {
		return func() error { return l.Take(p, home, Get, at) }
	}
	went, err := tryAll(10, read(alice, noon))
	assert.Equal(t, 5, went)
	require.ErrorIs(t, err, ErrRateLimited)
	var r *Refusal
	require.ErrorAs(t, err, &r)
	assert.Equal(t, 500*time.Millisecond, r.RetryAfter)
	assert.EqualValues(t, 1, r.RetryAfterSeconds())
	assert.Equal(t, "too many requests that read: try again in 1 s", r.Caller)
	assert.Equal(t, "token:alice: too many requests that read, more than 5 at once", r.Audit)

	went, _ = tryAll(10, read(bob, noon))
	assert.Equal(t, 5, went, "each has its own")
	went, _ = tryAll(10, read(alice, noon.Add(time.Second)))
	assert.Equal(t, 2, went)
	went, _ = tryAll(10, read(alice, noon.Add(time.Hour)))
	assert.Equal(t, 5, went, "no more than the burst is saved up")

	require.NoError(t, l.Take(alice, home, Enforce, noon), "writing is apart")
	require.ErrorAs(t, l.Take(alice, home, Enforce, noon), &r)
	assert.EqualValues(t, 10, r.RetryAfterSeconds())
	assert.Equal(t, "too many requests that write: try again in 10 s", r.Caller)
}

// TestAQuotaIsTakenWithTheRateOrNotAtAll exhausts one, then the other.
func TestAQuotaIsTakenWithTheRateOrNotAtAll(t *testing.T) {
	l := newLimiter(t, RateLimitsConfig{Write: Rate{PerSecond: 1, Burst: 3}, Changes: Quota{Limit: 5}})
	write := func(at time.Time) error { return l.Take(alice, home, Update, at) }
	went, err := tryAll(10, func() error { return write(noon) })
	assert.Equal(t, 3, went)
	require.ErrorContains(t, err, "requests that write")
	later := noon.Add(10 * time.Second)
	went, err = tryAll(10, func() error { return write(later) })
	assert.Equal(t, 2, went, "what the rate refused was not counted as a change")
	var r *Refusal
	require.ErrorAs(t, err, &r)
	assert.Contains(t, r.Caller, "too many changes")
	assert.InDelta(t, 24*3600/5, r.RetryAfterSeconds(), 11)
	require.NoError(t, l.Take(alice, home, Get, later), "reading changes nothing")
	for range 10 {
		require.Error(t, write(later))
	}
	require.NoError(t, write(later.Add(r.RetryAfter)), "what the quota refused was not taken from the rate")
}

func TestNoBound(t *testing.T) {
	l := newLimiter(t, RateLimitsConfig{Changes: Quota{Period: time.Hour}})
	for range 10_000 {
		require.NoError(t, l.Take(alice, home, Get, noon))
		require.NoError(t, l.Take(alice, home, Update, noon))
	}
	_, err := l.TakeRefusal(home, noon)
	require.NoError(t, err)
	_, err = NewLimiter(RateLimitsConfig{})
	require.EqualError(t, err, "max_principals: must provide a positive size")
}

func TestOverrides(t *testing.T) {
	l := newLimiter(t, RateLimitsConfig{
		Read: Rate{PerSecond: 1, Burst: 2}, Write: Rate{PerSecond: 1, Burst: 2},
		Overrides: []RateOverride{
			{Principals: []string{"token:x", "token:bob"}, Read: &Rate{PerSecond: 1, Burst: 7}},
			{Principals: []string{"api_key:ci"}, Read: &Rate{}, Write: &Rate{}, Changes: &Quota{Limit: 4, Period: time.Minute}},
		},
	})
	count := func(p Principal, v Verb) int {
		went, _ := tryAll(50, func() error { return l.Take(p, home, v, noon) })
		return went
	}
	ci := Principal{Kind: KindAPIKey, ID: "ci"}
	assert.Equal(t, 2, count(alice, Get))
	assert.Equal(t, 7, count(bob, Get))
	assert.Equal(t, 2, count(bob, Update))
	assert.Equal(t, 50, count(ci, Get))
	assert.Equal(t, 4, count(ci, Update))
}

// TestAnonymousArePeopleByAddress gives each address its own bucket, and each
// /64 of IPv6.
func TestAnonymousArePeopleByAddress(t *testing.T) {
	l := newLimiter(t, RateLimitsConfig{Read: Rate{PerSecond: 1, Burst: 1}})
	f := func(from string, want bool) {
		t.Helper()
		var addr netip.Addr
		if from != "" {
			addr = netip.MustParseAddr(from)
		}
		assert.Equal(t, want, l.Take(anonymous, addr, Get, noon) == nil)
	}
	f("192.0.2.1", true)
	f("192.0.2.1", false)
	f("::ffff:192.0.2.1", false)
	f("192.0.2.2", true)
	f("2001:db8::1", true)
	f("2001:db8::ffff:1", false)
	f("2001:db8:0:1::1", true)
	f("fe80::1%eth0", true)
	f("fe80::1%eth1", false)
	f("", true)
	f("", false)
	assert.Equal(t, LimiterStats{Addresses: 6}, l.Stats())
	require.NoError(t, l.Take(Principal{Kind: KindLocal}, home, Get, noon))
	require.Error(t, l.Take(Principal{Kind: KindLocal}, netip.Addr{}, Get, noon), "local is one principal")
}

func TestRefusalsAreRecordedAtABoundedRate(t *testing.T) {
	l := newLimiter(t, RateLimitsConfig{Refused: Rate{PerSecond: 1, Burst: 2}})
	f := func(from netip.Addr, at time.Time, wantUnrecorded uint64, wantErr bool) {
		t.Helper()
		unrecorded, err := l.TakeRefusal(from, at)
		assert.Equal(t, wantUnrecorded, unrecorded)
		assert.Equal(t, wantErr, err != nil)
	}
	f(home, noon, 0, false)
	f(home, noon, 0, false)
	f(home, noon, 0, true)
	f(home, noon, 0, true)
	f(netip.MustParseAddr("192.0.2.9"), noon, 0, false)
	f(home, noon.Add(time.Second), 2, false)
	f(home, noon.Add(time.Second), 0, true)
	f(home, noon.Add(time.Hour), 1, false)
	f(home, noon.Add(time.Hour), 0, false)
	require.NoError(t, l.Take(alice, home, Get, noon), "whoever has credentials is not hindered by a neighbour")
}

// TestMemoryIsBounded lets many ask, and measures.
func TestMemoryIsBounded(t *testing.T) {
	cfg := DefaultConfig().RateLimits
	cfg.Changes.Limit = 100
	cfg.MaxPrincipals = 2000
	l := newLimiter(t, cfg)
	ask := func(from, to int) {
		for i := from; i < to; i++ {
			now := noon.Add(time.Duration(i) * time.Millisecond)
			addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			require.NoError(t, l.Take(Principal{Kind: KindToken, ID: strconv.Itoa(i)}, addr, Update, now))
			_, err := l.TakeRefusal(addr, now)
			require.NoError(t, err)
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	ask(0, 2000)
	full := heap() - before
	assert.Equal(t, LimiterStats{Principals: 2000, Addresses: 2000}, l.Stats())
	ask(2000, 30_000)
	assert.Equal(t, LimiterStats{Principals: 2000, Addresses: 2000, EvictedPrincipals: 28_000, EvictedAddresses: 28_000}, l.Stats())
	after := heap() - before
	assert.Less(t, after, 2*full)
	assert.Less(t, after, uint64(2*2000*1200), "bytes")
	t.Logf("%d bytes for a principal and an address", after/2000)
	runtime.KeepAlive(l)
}

// TestStrangersPushOutNoPrincipal has more addresses than are remembered.
func TestStrangersPushOutNoPrincipal(t *testing.T) {
	l := newLimiter(t, RateLimitsConfig{Read: Rate{PerSecond: 1, Burst: 1}, MaxPrincipals: 10})
	require.NoError(t, l.Take(alice, home, Get, noon))
	for i := range 1000 {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		require.NoError(t, l.Take(anonymous, addr, Get, noon))
		_, err := l.TakeRefusal(addr, noon)
		require.NoError(t, err)
	}
	require.Error(t, l.Take(alice, home, Get, noon))
	assert.Zero(t, l.Stats().EvictedPrincipals)
	assert.EqualValues(t, 990, l.Stats().EvictedAddresses)
	for i := range 10 { // alice asks in between, so others are forgotten first
		require.NoError(t, l.Take(Principal{Kind: KindToken, ID: strconv.Itoa(i)}, home, Get, noon))
		require.Error(t, l.Take(alice, home, Get, noon))
	}
	assert.EqualValues(t, 1, l.Stats().EvictedPrincipals)
}

// TestRetryAfterIsTrue: whoever waits as long as told is let in, and nobody gets
// more than rate × time + burst.
func TestRetryAfterIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{PerSecond: rapid.Float64Range(0.001, 1000).Draw(t, "rate"), Burst: rapid.IntRange(1, 20).Draw(t, "burst")}
		q := Quota{Limit: rapid.IntRange(0, 30).Draw(t, "quota"), Period: time.Hour}
		l := newLimiter(t, RateLimitsConfig{Write: r, Changes: q})
		now, allowed := noon, 0
		for _, step := range rapid.SliceOfN(rapid.Int64Range(0, int64(5*time.Second)), 1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(step))
			err := l.Take(alice, home, Update, now)
			if err != nil {
				refusal := err.(*Refusal) //nolint:errorlint // nothing else comes
				require.Positive(t, refusal.RetryAfter)
				require.GreaterOrEqual(t, time.Duration(refusal.RetryAfterSeconds())*time.Second, refusal.RetryAfter)
				if rapid.Bool().Draw(t, "obey") {
					now = now.Add(time.Duration(refusal.RetryAfterSeconds()) * time.Second)
					require.NoError(t, askAgain(l, &now))
					allowed++
				}
			} else {
				allowed++
			}
			elapsed := now.Sub(noon).Seconds()
			require.LessOrEqual(t, float64(allowed), r.PerSecond*elapsed+float64(r.Burst)+1e-6)
			if q.Limit > 0 {
				require.LessOrEqual(t, float64(allowed), float64(q.Limit)*elapsed/3600+float64(q.Limit)+1e-6)
			}
		}
	})
}

// askAgain asks again, and once more after the time that the other bucket wants.
func askAgain(l *Limiter, now *time.Time) error {
	err := l.Take(alice, home, Update, *now)
	if r, again := err.(*Refusal); again { //nolint:errorlint // nothing else comes
		*now = now.Add(time.Duration(r.RetryAfterSeconds()) * time.Second)
		return l.Take(alice, home, Update, *now)
	}
	return nil
}

func TestRetryAfterHasBounds(t *testing.T) {
	l := newLimiter(t, RateLimitsConfig{Read: Rate{PerSecond: math.SmallestNonzeroFloat64, Burst: 1}})
	require.NoError(t, l.Take(alice, home, Get, noon))
	var r *Refusal
	require.ErrorAs(t, l.Take(alice, home, Get, noon), &r)
	assert.Positive(t, r.RetryAfterSeconds())
	assert.EqualValues(t, 1, (&Refusal{}).RetryAfterSeconds())
	assert.EqualValues(t, 3, (&Refusal{RetryAfter: 2*time.Second + 1}).RetryAfterSeconds())
}

// TestManyAtOnce takes from many goroutines; -race watches.
func TestManyAtOnce(t *testing.T) {
	l := newLimiter(t, RateLimitsConfig{Read: Rate{PerSecond: 1, Burst: 100}, MaxPrincipals: 3})
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 500 {
				if l.Take(alice, home, Get, noon) == nil {
					allowed.Add(1)
				}
				_, _ = l.TakeRefusal(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), noon)
				l.Stats()
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 100, allowed.Load())
}

func BenchmarkTake(b *testing.B) {
	l := newLimiter(b, RateLimitsConfig{Read: Rate{PerSecond: 1e6, Burst: 1e6}})
	now := noon
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Microsecond)
		if err := l.Take(alice, home, Get, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAuthorize asks with 1000 bindings, none of which fits but the last.
func BenchmarkAuthorize(b *testing.B) {
	bindings := make([]Binding, maxList)
	for i := range bindings {
		bindings[i] = Binding{Role: RoleEditor, Namespaces: []string{fmt.Sprintf("n%d", i)}, Subjects: []Subject{{Kind: KindToken, Group: fmt.Sprintf("g%d", i)}}}
	}
	g := newGuard(b, bindings...)
	p := Principal{Kind: KindToken, ID: "alice", Groups: []string{"a", "b", fmt.Sprintf("g%d", maxList-1)}}
	b.ReportAllocs()
	for b.Loop() {
		if d := g.Authorize(p, Update, Policies, "n999"); !d.Allowed() {
			b.Fatal(d.Audit)
		}
	}
}
