package cardinalityprocessor

import (
	"strings"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/cardinality"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// maxNames bounds what is remembered of names; past it all is forgotten.
const maxNames = 4096

// naming makes series of the backend from points, as the tracker does. It
// remembers how names are translated. One goroutine uses it at a time.
type naming struct {
	hasher  *series.Hasher
	backend cardinality.Backend
	metrics map[cardinality.Descriptor]uint64
	labels  map[attributeName]label
}

// attributeName names an attribute at its level.
type attributeName struct {
	domain series.Domain
	key    string
}

// label is what an attribute becomes; plain says that the contribution to the
// stream is that to the series, too.
type label struct {
	identity string // empty: none
	plain    bool
}

// appendSeries appends the hashes of the series that the backend makes of a point.
// The mark of an arm is none of its labels.
func (n *naming) appendSeries(dst []uint64, d *cardinality.Description) []uint64 {
	hash := n.metric(d.Descriptor)
	for i := range d.Attributes {
		a := &d.Attributes[i]
		if a.Text == "" || a.Domain == series.Point && a.Key == policy.ArmAttribute { // an empty label is no label
			continue
		}
		l := n.label(a)
		switch {
		case l.identity == "":
		case l.plain && a.String:
			hash += a.Sum
		default:
			hash += n.hasher.String(series.Point, l.identity, a.Text)
		}
	}
	for _, part := range d.Parts {
		dst = append(dst, n.hasher.Combine(hash, part))
	}
	return dst
}

// metric returns the hash of a metric's name in the backend.
func (n *naming) metric(d cardinality.Descriptor) uint64 {
	if hash, known := n.metrics[d]; known {
		return hash
	}
	hash := n.hasher.Identity(series.Identity{Name: n.backend.MetricName(d)})
	if n.metrics == nil || len(n.metrics) >= maxNames {
		n.metrics = map[cardinality.Descriptor]uint64{}
	}
	d.Name, d.Unit = strings.Clone(d.Name), strings.Clone(d.Unit) // the batch's memory is not ours to keep
	n.metrics[d] = hash
	return hash
}

func (n *naming) label(a *cardinality.Attribute) label {
	name := attributeName{a.Domain, a.Key}
	if a.Promoted {
		name.domain = series.Point
	}
	if l, known := n.labels[name]; known {
		return l
	}
	var l label
	if found, is := n.backend.Label(name.domain, name.key); is {
		l = label{identity: found.Identity, plain: a.Domain == series.Point && found.Identity == a.Key}
	}
	if n.labels == nil || len(n.labels) >= maxNames {
		n.labels = map[attributeName]label{}
	}
	name.key = strings.Clone(name.key)
	n.labels[name] = l
	return l
}
