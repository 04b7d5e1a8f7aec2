package relabel

import (
	"math/bits"
	"strings"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// columns hold the contributions of attributes to the identities of outputs: a
// row an output, a column an attribute. The identity without some attributes is
// a subtraction, and counting those reads a few columns from end to end.
type columns struct {
	keys  []attribute
	index map[attribute]int
	parts [][]uint64 // by column, then row; 0: the output lacks the attribute
	whole []uint64   // by row: the identity
	live  []uint32   // by row: how many inputs are there
	rows  map[uint64]uint32
	free  []uint32
	room  int

	base []uint64 // scratch: identities without what folds
	set  hashSet
}

// maxColumns bounds the attributes that can fold.
const maxColumns = 64

func newColumns(room int) *columns {
	return &columns{index: map[attribute]int{}, rows: map[uint64]uint32{}, room: room}
}

// column returns the column of an attribute, or -1 if there are too many.
func (c *columns) column(d series.Domain, key string) int {
	if i, ok := c.index[attribute{d, key}]; ok {
		return i
	}
	if len(c.keys) >= maxColumns {
		return -1
	}
	at := attribute{d, strings.Clone(key)}
	c.keys = append(c.keys, at)
	c.index[at] = len(c.keys) - 1
	c.parts = append(c.parts, make([]uint64, len(c.whole)))
	return len(c.keys) - 1
}

// join adds an input to the row of an identity. A row is new if it was empty.
func (c *columns) join(whole uint64) (row uint32, isNew, ok bool) {
	if at, known := c.rows[whole]; known {
		c.live[at]++
		return at, false, true
	}
	switch {
	case len(c.free) > 0:
		row = c.free[len(c.free)-1]
		c.free = c.free[:len(c.free)-1]
	case len(c.whole) < c.room:
		row = uint32(len(c.whole)) //nolint:gosec // bounded by room
		c.whole = append(c.whole, 0)
		c.live = append(c.live, 0)
		for i := range c.parts {
			c.parts[i] = append(c.parts[i], 0)
		}
	default:
		return 0, false, false
	}
	c.whole[row], c.live[row] = whole, 1
	c.rows[whole] = row
	return row, true, true
}

// leave takes an input from a row.
func (c *columns) leave(row uint32) {
	if c.live[row]--; c.live[row] > 0 {
		return
	}
	delete(c.rows, c.whole[row])
	for i := range c.parts {
		c.parts[i][row] = 0
	}
	c.free = append(c.free, row)
}

// len is how many rows are in use.
func (c *columns) len() int { return len(c.rows) }

// fold sets what without starts from, identities without the columns that are
// gone, and how many rows it and values look at.
func (c *columns) fold(gone []bool, most int) {
	c.base = append(c.base[:0], c.whole[:min(most, len(c.whole))]...)
	for i, is := range gone {
		if !is {
			continue
		}
		for row, part := range c.parts[i][:len(c.base)] {
			c.base[row] -= part
		}
	}
}

// without counts the identities that are left when these columns go, too.
func (c *columns) without(gone ...int) int {
	c.set.reset(len(c.base))
	for row, h := range c.base {
		if c.live[row] == 0 {
			continue
		}
		for _, i := range gone {
			h -= c.parts[i][row]
		}
		c.set.add(h)
	}
	return c.set.n
}

// values counts the distinct values of one column, absence being one, or the
// distinct pairs of two.
func (c *columns) values(a, b int) int {
	c.set.reset(len(c.base))
	for row, h := range c.parts[a][:len(c.base)] {
		if c.live[row] == 0 {
			continue
		}
		if a != b {
			hi, lo := bits.Mul64(h^0x9e3779b97f4a7c15, c.parts[b][row]^0xbf58476d1ce4e5b9)
			h += hi ^ lo
		}
		c.set.add(h)
	}
	return c.set.n
}

// hashSet is a set of hashes, which are spread well already, with open
// addresses: a few nanoseconds an entry, where a map takes 30 or more.
type hashSet struct {
	slots []uint64
	zero  bool
	n     int
}

func (s *hashSet) reset(most int) {
	size := 1 << bits.Len(uint(2*most))
	if cap(s.slots) < size {
		s.slots = make([]uint64, size)
	} else {
		s.slots = s.slots[:size]
		clear(s.slots)
	}
	s.zero, s.n = false, 0
}

func (s *hashSet) add(h uint64) {
	if h == 0 {
		if !s.zero {
			s.zero = true
			s.n++
		}
		return
	}
	mask := uint64(len(s.slots) - 1) //nolint:gosec // never empty
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case h:
			return
		case 0:
			s.slots[i] = h
			s.n++
			return
		}
	}
}
