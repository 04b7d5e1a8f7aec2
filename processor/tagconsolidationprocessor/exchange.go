package tagconsolidationprocessor

import (
	"context"
	"slices"
	"sync"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// exchange is where the processors of one factory, which are those of one
// collector, find each other to hand over rules: see takeOver. Those of one
// control hash series alike, so that what one remembers the other can use.
type exchange struct {
	mu      sync.Mutex
	members []*consolidator
}

// join lets others find a processor.
func (x *exchange) join(c *consolidator) {
	if x == nil || c.config.Control == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.members = append(x.members, c)
}

func (x *exchange) leave(c *consolidator) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.members = slices.DeleteFunc(x.members, func(m *consolidator) bool { return m == c })
}

// others are the processors under the same control, of a role or, if it is empty,
// of any.
func (x *exchange) others(c *consolidator, role policy.Role) []*consolidator {
	if x == nil || c.config.Control == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var list []*consolidator
	for _, m := range x.members {
		if m != c && *m.config.Control == *c.config.Control && (role == "" || m.config.Role == role) {
			list = append(list, m)
		}
	}
	return list
}

// agree makes processors that know no series yet hash as those do that know some,
// and all alike if none does.
func (x *exchange) agree(ctx context.Context, c *consolidator) {
	fresh := c.knowsNothing()
	for _, m := range x.others(c, "") {
		m.turning.Lock()
		secret := m.state.identity.Secret
		switch {
		case secret == c.state.identity.Secret:
		case fresh:
			c.state.identity.Secret, fresh = secret, false
		case m.knowsNothing():
			m.rekey(ctx, c.state.identity.Secret)
		}
		m.turning.Unlock()
	}
}

func (c *consolidator) knowsNothing() bool {
	s := c.engine.Stats()
	return s.Inputs+s.Outputs+s.Tombstones == 0
}

// rekey changes the secret of a processor that knows no series. The caller has
// its turn.
func (c *consolidator) rekey(ctx context.Context, secret series.Secret) {
	c.state.identity.Secret = secret
	c.free.mu.Lock()
	c.hasher, c.free.idle = series.NewHasher(secret), nil
	c.free.mu.Unlock()
	if c.state.store == nil {
		return
	}
	if err := c.writeState(ctx); err != nil {
		c.stateFailed(ctx, "write the state; the last one stays", err)
	}
}
