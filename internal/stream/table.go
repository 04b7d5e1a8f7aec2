package stream

import (
	"sync"
	"weak"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// Table shares resources, scopes and metrics between streams. It is safe for
// concurrent use and keeps nothing alive that no stream refers to.
type Table struct {
	resources interned[Resource]
	scopes    interned[Scope]
	metrics   interned[Metric]
}

// Resource returns the resource with this identity; build makes it if there is
// none, and must not call the Table.
func (t *Table) Resource(id series.Pair, build func() *Resource) *Resource {
	return t.resources.get(id, build)
}

// Scope is like Resource. The identity includes that of the resource.
func (t *Table) Scope(id series.Pair, build func() *Scope) *Scope { return t.scopes.get(id, build) }

// Metric is like Resource. The identity includes those of resource and scope.
func (t *Table) Metric(id series.Pair, build func() *Metric) *Metric { return t.metrics.get(id, build) }

// Len is the number of resources, scopes and metrics that are known.
func (t *Table) Len() (resources, scopes, metrics int) {
	return t.resources.len(), t.scopes.len(), t.metrics.len()
}

// interned holds each value once, by weak pointers.
type interned[T any] struct {
	mu    sync.Mutex
	known map[series.Pair]weak.Pointer[T]
	sweep int // at what size the dead are looked for
}

const leastSweep = 64

func (x *interned[T]) get(id series.Pair, build func() *T) *T {
	x.mu.Lock()
	defer x.mu.Unlock()
	if known := x.known[id].Value(); known != nil {
		return known
	}
	value := build()
	if x.known == nil {
		x.known, x.sweep = map[series.Pair]weak.Pointer[T]{}, leastSweep
	}
	x.known[id] = weak.Make(value)
	if len(x.known) >= x.sweep {
		for key, p := range x.known {
			if p.Value() == nil {
				delete(x.known, key)
			}
		}
		x.sweep = max(leastSweep, 2*len(x.known))
	}
	return value
}

func (x *interned[T]) len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, p := range x.known {
		if p.Value() != nil {
			n++
		}
	}
	return n
}
