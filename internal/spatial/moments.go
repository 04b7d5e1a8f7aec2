package spatial

// Fields says which of the optional fields of a histogram are known.
type Fields uint8

// The optional fields.
const (
	HasSum Fields = 1 << iota
	HasMin
	HasMax
)

const allFields = HasSum | HasMin | HasMax

// Moments are the optional fields of a histogram.
type Moments struct {
	Sum, Min, Max float64
	Known         Fields
}

// clean forgets what is not a value. A sum that is NaN or infinite (one NaN
// measured is enough) is an unknown sum: the buckets still count, as in a
// database, where _sum is lost and _bucket is not. NaN is no extreme either.
func (m Moments) clean() Moments {
	if m.Sum-m.Sum != 0 {
		m.Known &^= HasSum
	}
	if m.Min != m.Min {
		m.Known &^= HasMin
	}
	if m.Max != m.Max {
		m.Known &^= HasMax
	}
	return m
}

// check looks at a clean m beside its count (metrics.proto: "if count is zero
// then this field must be zero").
func (m Moments) check(count uint64) Verdict {
	const extremes = HasMin | HasMax
	switch {
	case count == 0 && m.Known&HasSum != 0 && m.Sum != 0:
		return SumWithoutCount
	case count != 0 && m.Known&extremes == extremes && m.Min > m.Max:
		return MinAboveMax
	}
	return Accepted
}

// moments adds up Moments. A field is known while every contribution that
// measured anything knows it: half a sum is a wrong mean, so an unknown sum
// makes the total unknown, instead of keeping two points under one identity.
type moments struct {
	count    uint64
	sum      compensated
	min, max float64
	known    Fields
}

func noMoments() moments { return moments{known: allFields} }

// of returns the moments of one clean point.
func momentsOf(m Moments, count uint64) moments {
	known := m.Known
	if count == 0 {
		known |= HasSum
		m.Sum = 0
	}
	return moments{count: count, sum: compensated{sum: m.Sum}, min: m.Min, max: m.Max, known: known}
}

// room reports whether the counts of both fit. No bucket overflows if the count does not.
func (m *moments) room(o *moments) bool { return m.count+o.count >= m.count }

func (m *moments) merge(o *moments) {
	if o.known&HasSum != 0 {
		m.sum.merge(o.sum)
	}
	if o.count == 0 {
		return
	}
	if m.count == 0 {
		m.min, m.max = o.min, o.max
	}
	m.known &= o.known
	m.min, m.max = min(m.min, o.min), max(m.max, o.max)
	m.count += o.count
}

func (m *moments) view() Moments {
	v := Moments{Sum: m.sum.sum, Min: m.min, Max: m.max, Known: m.known}
	if m.count == 0 {
		v.Known &^= HasMin | HasMax
	}
	if v.Known&HasSum == 0 || !m.sum.finite() {
		v.Sum = 0
		v.Known &^= HasSum
	}
	if v.Known&HasMin == 0 {
		v.Min = 0
	}
	if v.Known&HasMax == 0 {
		v.Max = 0
	}
	return v
}
