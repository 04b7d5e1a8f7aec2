package relabel

import (
	"math"
	"strings"
)

// counters estimate the weights of the values of a stream in bounded memory:
// Space-Saving (Metwally, Agrawal, El Abbadi: Efficient computation of frequent
// and top-k elements in data streams, 2005), with three additions. Weights are
// real numbers. They fade: age multiplies all of them, errors too, by a factor,
// under which the guarantees hold for the faded stream. Some counters are
// pinned and never given away.
//
// For each counter, weight - err ≤ true weight ≤ weight; a value without a
// counter weighs at most floor. Unpinning may leave a weight below those that
// were given away before, which is why floor is kept and not read off the heap.
type counters struct {
	byValue map[string]*counter
	heap    []*counter // those that are not pinned, the lightest first
	room    int        // how many may be in the heap
	floor   float64
}

type counter struct {
	value       string
	weight, err float64
	at          int // in the heap, -1: pinned
	streak      int // edges in a row at which it beat a member
}

// least is what the value weighs at least.
func (c *counter) least() float64 { return c.weight - c.err }

// maxWeight bounds weights, so that no sum of them becomes infinite.
const maxWeight = math.MaxFloat64 / 1e9

func newCounters(room int) *counters {
	return &counters{byValue: map[string]*counter{}, room: room}
}

// add counts a weight, which is positive.
func (cs *counters) add(value string, weight float64) {
	c := cs.byValue[value]
	if c == nil {
		c = cs.take(value)
	}
	c.weight = min(c.weight+weight, maxWeight)
	if c.at >= 0 {
		cs.down(c.at)
	}
}

// take returns a counter in the heap for a value that has none: a new one, or
// the lightest, whose value then is the most that floor says.
func (cs *counters) take(value string) *counter {
	var c *counter
	if len(cs.heap) < cs.room {
		c = &counter{at: len(cs.heap)}
		cs.heap = append(cs.heap, c)
	} else {
		c = cs.heap[0]
		cs.floor = max(cs.floor, c.weight)
		delete(cs.byValue, c.value)
	}
	*c = counter{value: strings.Clone(value), weight: cs.floor, err: cs.floor, at: c.at}
	cs.byValue[c.value] = c
	cs.up(c.at)
	return c
}

// pin takes a counter out of the heap.
func (cs *counters) pin(c *counter) {
	last := len(cs.heap) - 1
	at := c.at
	cs.move(cs.heap[last], at)
	cs.heap[last] = nil
	cs.heap = cs.heap[:last]
	if at < last {
		cs.down(at)
		cs.up(at)
	}
	c.at = -1
}

// unpin puts a counter back into the heap, in place of the lightest if there is
// no room.
func (cs *counters) unpin(c *counter) {
	if len(cs.heap) >= cs.room {
		lightest := cs.heap[0]
		if lightest.weight >= c.weight {
			lightest = c
		} else {
			cs.move(c, 0)
			cs.down(0)
		}
		cs.floor = max(cs.floor, lightest.weight)
		delete(cs.byValue, lightest.value)
		return
	}
	c.at = len(cs.heap)
	cs.heap = append(cs.heap, c)
	cs.up(c.at)
}

// age multiplies all weights. The order does not change.
func (cs *counters) age(factor float64) {
	cs.floor *= factor
	for _, c := range cs.byValue {
		c.weight *= factor
		c.err *= factor
	}
}

// forget gives up the counters in the heap of at most this weight.
func (cs *counters) forget(weight float64) {
	kept := cs.heap[:0]
	for _, c := range cs.heap {
		if c.weight > weight {
			c.at = len(kept)
			kept = append(kept, c)
			continue
		}
		cs.floor = max(cs.floor, c.weight)
		delete(cs.byValue, c.value)
	}
	clear(cs.heap[len(kept):])
	cs.heap = kept
	for i := len(kept)/2 - 1; i >= 0; i-- {
		cs.down(i)
	}
}

func (cs *counters) move(c *counter, at int) {
	cs.heap[at] = c
	c.at = at
}

func (cs *counters) up(at int) {
	c := cs.heap[at]
	for at > 0 {
		above := (at - 1) / 2
		if cs.heap[above].weight <= c.weight {
			break
		}
		cs.move(cs.heap[above], at)
		at = above
	}
	cs.move(c, at)
}

func (cs *counters) down(at int) {
	c := cs.heap[at]
	for {
		below := 2*at + 1
		if below >= len(cs.heap) {
			break
		}
		if right := below + 1; right < len(cs.heap) && cs.heap[right].weight < cs.heap[below].weight {
			below = right
		}
		if cs.heap[below].weight >= c.weight {
			break
		}
		cs.move(cs.heap[below], at)
		at = below
	}
	cs.move(c, at)
}
