package consolidation_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// crash is a random history of cumulative counters in two engines: one lives, the other is killed between a flush and a
// checkpoint, again and again.
type crash struct {
	t           *rapid.T
	now         uint64
	lives, dies *c.Engine
	parts       []*c.Part
	journal     map[string]c.Emission
	shown       map[string][2]uint64 // start and value
	values      []int64
}

func (x *crash) feed(i int) {
	x.values[i] += int64(rapid.IntRange(0, 9).Draw(x.t, "growth"))
	p := c.Point{Input: key(fmt.Sprint("in", i)), Output: key(fmt.Sprint("out", i%2)), Rule: 1, Kind: c.CumulativeSum, Now: x.now}
	p.Sum.Span = spatial.Span{Start: zero + uint64(i), Time: x.now + uint64(i)}
	p.Sum.Value = spatial.Int(x.values[i])
	d := owner(fmt.Sprint("out", i%2))
	x.lives.Feed(&p, d)
	x.dies.Feed(&p, d)
}

func (x *crash) flush(edge uint64) (lives, dies map[string]int64) {
	lives, dies = map[string]int64{}, map[string]int64{}
	var a, b []emitted
	x.lives.Flush(edge, keep(&a))
	x.dies.Flush(edge, keep(&b))
	for i := range a {
		lives[a[i].name] = a[i].Number.Int()
	}
	for i := range b {
		m := b[i].Emission
		m.Owner = b[i].name
		x.journal[b[i].name] = m
		before := x.shown[b[i].name]
		after := [2]uint64{m.Start, uint64(m.Number.Int())}
		require.False(x.t, before[0] == after[0] && after[1] < before[1], "%s fell from %d to %d", b[i].name, before[1], after[1])
		x.shown[b[i].name] = after
		dies[b[i].name] = m.Number.Int()
	}
	return lives, dies
}

func (x *crash) checkpoint() {
	x.parts, x.journal = nil, map[string]c.Emission{}
	for part := range x.dies.Snapshot() {
		x.parts = append(x.parts, part)
	}
}

func (x *crash) kill(edge uint64) {
	x.dies = c.New(c.Settings{Shards: 4})
	for _, part := range x.parts {
		x.dies.Restore(part, x.now)
	}
	x.dies.RestoreEdge(edge)
	for _, m := range x.journal {
		x.dies.RestoreEmitted(&m, x.now)
	}
	x.dies.Watch(1, x.now)
}

// TestAKilledEngineCatchesUp: inputs that go on are caught up exactly, and no output falls, however often it is killed.
func TestAKilledEngineCatchesUp(t *testing.T) {
	check(t, checks(1500, 50_000), func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "inputs")
		x := &crash{
			t: t, now: zero + 5*second, lives: c.New(c.Settings{Shards: 4}), dies: c.New(c.Settings{Shards: 4}),
			shown: map[string][2]uint64{}, values: make([]int64, n), journal: map[string]c.Emission{},
		}
		x.lives.Watch(1, zero)
		x.dies.Watch(1, zero)
		x.checkpoint()
		edge := zero
		for range rapid.IntRange(1, 12).Draw(t, "intervals") {
			for range rapid.IntRange(0, 6).Draw(t, "feeds") {
				x.now += second
				x.feed(rapid.IntRange(0, n-1).Draw(t, "input"))
			}
			edge += interval
			x.now = max(x.now, edge)
			x.flush(edge)
			switch rapid.IntRange(0, 3).Draw(t, "then") {
			case 0:
				x.checkpoint()
			case 1, 2:
				x.kill(edge)
			}
		}
		for i := range n { // all go on
			x.now += second
			x.feed(i)
		}
		lives, dies := x.flush(edge + 2*interval)
		require.Equal(t, lives, dies)
	})
}
