package consolidation

// pageSize is the number of elements that are allocated together. Elements
// never move, and growth copies nothing.
const pageSize = 64

// arena holds elements under references from 1 on.
type arena[T any] struct {
	pages []*[pageSize]T
	free  []uint32
	next  uint32
}

func (a *arena[T]) at(ref uint32) *T {
	ref--
	return &a.pages[ref/pageSize][ref%pageSize]
}

func (a *arena[T]) add() (uint32, *T) {
	if n := len(a.free); n > 0 {
		ref := a.free[n-1]
		a.free = a.free[:n-1]
		return ref, a.at(ref)
	}
	if int(a.next) == len(a.pages)*pageSize {
		a.pages = append(a.pages, new([pageSize]T))
	}
	a.next++
	return a.next, a.at(a.next)
}

func (a *arena[T]) remove(ref uint32) {
	var zero T
	*a.at(ref) = zero
	a.free = append(a.free, ref)
	if a.size() == 0 {
		*a = arena[T]{}
	}
}

func (a *arena[T]) size() int { return int(a.next) - len(a.free) }

// all visits every element, also the free ones, which are zero.
func (a *arena[T]) all(visit func(ref uint32, e *T)) {
	for ref := uint32(1); ref <= a.next; ref++ {
		visit(ref, a.at(ref))
	}
}
