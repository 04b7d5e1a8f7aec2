package conductor

import (
	"context"
	"time"
)

// SetWall sets the time that decisions are dated by apart from the monotonic
// one, as somebody who sets the clock does.
func SetWall(s *Settings, wall func() time.Time) { s.wall = wall }

// LookAtAll looks at every experiment now and stores what was found.
func (c *Conductor) LookAtAll(ctx context.Context) {
	now := c.settings.Now()
	c.mu.Lock()
	for _, r := range c.runs {
		r.due.look = now
	}
	c.mu.Unlock()
	routes := c.askRouters(ctx)
	urgent, due, _ := c.dueNow(routes)
	c.dispatch(ctx, append(urgent, due...), now.Add(time.Minute))
	for range workers {
		c.slots <- struct{}{}
	}
	for range workers {
		<-c.slots
	}
}

// StoreAll stores all states that the store does not have.
func (c *Conductor) StoreAll(ctx context.Context) { c.store(ctx, true) }
