package cardinality

import (
	"strings"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// base is what the name of a metric in the backend adds to the hash of its
// labels. Metrics of one OTLP name may have several there: a monotonic sum
// gets _total, a unit its suffix.
type base struct {
	typ       Type
	monotonic bool
	unit      string
	hash      uint64
}

// bases caches the names that the points of one metric have. Nearly every
// metric has one.
type bases []base

// maxBases bounds the cache; further names are computed for every new series.
const maxBases = 8

// base returns the hash for a descriptor.
func (m *Metric) base(d *Descriptor) uint64 {
	for i := range m.bases {
		if b := &m.bases[i]; b.typ == d.Type && b.monotonic == d.Monotonic && b.unit == d.Unit {
			return b.hash
		}
	}
	s := &m.tracker.settings
	hash := s.Hasher.Identity(series.Identity{Name: s.Backend.MetricName(*d)})
	if len(m.bases) < maxBases {
		m.bases = append(m.bases, base{d.Type, d.Monotonic, strings.Clone(d.Unit), hash})
	}
	return hash
}
