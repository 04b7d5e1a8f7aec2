package cardinality

import "github.com/phoenix-platform/phoenix/internal/sketch"

// row is one series of a small metric.
type row struct {
	stream  uint64 // hash of the OTLP stream
	backend uint64 // hash of its labels in the backend
	epoch   sketch.Epoch
	shapes  shapeSet
}

// rows holds every series of a small metric with the contribution of each of
// its attributes: that of the label if the attribute is one, else that of the
// stream; 0 if the series lacks it.
type rows struct {
	list  []row
	index map[uint64]int32 // by stream
	// values has width words a row.
	values []uint64
	width  int
	since  sketch.Epoch // every series seen from then on is here
}

func newRows(width int, since sketch.Epoch) *rows {
	return &rows{index: map[uint64]int32{}, width: max(width, 4), since: since}
}

// touch marks a series as seen, if it is here.
func (r *rows) touch(stream uint64, now sketch.Epoch) bool {
	i, ok := r.index[stream]
	if ok {
		r.list[i].epoch = now
	}
	return ok
}

// add takes in a series or renews it.
func (r *rows) add(s row, values []uint64) {
	if len(values) > r.width {
		r.widen(len(values))
	}
	if i, ok := r.index[s.stream]; ok {
		r.list[i] = s
		copy(r.row(int(i)), values)
		return
	}
	r.index[s.stream] = int32(len(r.list)) //nolint:gosec // at most ExactSeries
	r.list = append(r.list, s)
	r.values = append(r.values, values...)
	for range r.width - len(values) {
		r.values = append(r.values, 0)
	}
}

func (r *rows) row(i int) []uint64 { return r.values[i*r.width : (i+1)*r.width] }

// widen makes room for more attributes a row.
func (r *rows) widen(attributes int) {
	width := max(attributes, r.width*3/2)
	values := make([]uint64, len(r.list)*width, cap(r.list)*width)
	for i := range r.list {
		copy(values[i*width:], r.row(i))
	}
	r.values, r.width = values, width
}

// expire drops the series that were last seen before the oldest epoch.
func (r *rows) expire(oldest sketch.Epoch) {
	kept := 0
	for i, s := range r.list {
		if s.epoch < oldest {
			delete(r.index, s.stream)
			continue
		}
		if kept != i {
			r.list[kept] = s
			copy(r.row(kept), r.row(i))
			r.index[s.stream] = int32(kept)
		}
		kept++
	}
	r.list = r.list[:kept]
	r.values = r.values[:kept*r.width]
	if cap(r.list) > 64 && kept < cap(r.list)/4 {
		r.shrink()
	}
}

func (r *rows) shrink() {
	r.list = append(make([]row, 0, len(r.list)*3/2), r.list...)
	r.values = append(make([]uint64, 0, len(r.values)*3/2), r.values...)
	index := make(map[uint64]int32, len(r.list))
	for i, s := range r.list {
		index[s.stream] = int32(i)
	}
	r.index = index
}

// bytes estimates the memory: the map takes about 20 bytes an entry at its
// usual load.
func (r *rows) bytes() int {
	return 32*cap(r.list) + 8*cap(r.values) + 20*len(r.index) + 160
}

// copySince returns the rows seen in the latest epochs, for an analysis that
// runs outside the metric's lock.
func (r *rows) copySince(oldest sketch.Epoch) *rows {
	c := &rows{width: r.width, list: make([]row, 0, len(r.list)), values: make([]uint64, 0, len(r.values))}
	for i, s := range r.list {
		if s.epoch >= oldest {
			c.list = append(c.list, s)
			c.values = append(c.values, r.row(i)...)
		}
	}
	return c
}
