package checkpoint

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

// encoder writes the payload of one record after the other. Within a record
// what many entries share is written where it occurs first and then named by
// its number: strings, resources, scopes, metrics, rules, bounds, outputs. A
// number equal to how many there are means that the thing itself follows.
type encoder struct {
	buf     []byte
	entries int // in buf

	strings   map[string]int
	resources map[*stream.Resource]int
	scopes    map[*stream.Scope]int
	metrics   map[*stream.Metric]int
	rules     map[consolidation.RuleID]int
	bounds    map[*spatial.Bounds]int
	outputs   []outputID
	numbers   map[uint64]int // of outputs, by the first half of their identity
	keys      []numbered     // the keys of the attributes that came last

	clocks
}

// clocks are the last of each sort of time in a record; the next is written as
// the difference.
type clocks struct {
	start, time, first, seen uint64
}

// begin begins a record; its payload comes after reserved bytes.
func (e *encoder) begin(reserved int) {
	if e.strings == nil {
		e.strings, e.resources, e.scopes = map[string]int{}, map[*stream.Resource]int{}, map[*stream.Scope]int{}
		e.metrics, e.rules = map[*stream.Metric]int{}, map[consolidation.RuleID]int{}
		e.bounds, e.numbers = map[*spatial.Bounds]int{}, map[uint64]int{}
	}
	e.buf, e.entries = append(e.buf[:0], make([]byte, reserved)...), 0
	clear(e.strings)
	clear(e.resources)
	clear(e.scopes)
	clear(e.metrics)
	clear(e.rules)
	clear(e.bounds)
	clear(e.numbers)
	e.outputs, e.keys, e.clocks = e.outputs[:0], e.keys[:0], clocks{}
}

// decoder reads the payload of one record.
type decoder struct {
	reader
	share *share

	strings   []string
	resources []*stream.Resource
	scopes    []*stream.Scope
	metrics   []*stream.Metric
	rules     []consolidation.RuleID
	bounds    []*spatial.Bounds
	outputs   []target

	clocks
}

// share is what the records that are read have in common: where what is read is
// shared with what is there, and lent memory.
type share struct {
	table  *stream.Table
	bounds func(edges []float64) (*spatial.Bounds, spatial.Verdict)
	// kind, if not nil, knows the outputs of other records.
	kind func(outputID) (consolidation.Kind, bool)
	part consolidation.Part
}

func newDecoder(payload []byte, s *share) *decoder {
	return &decoder{reader: reader{bytes: payload}, share: s}
}

// refer writes the number of a thing, and returns false if the thing itself
// has to follow.
func refer[K comparable](e *encoder, table map[K]int, thing K) (known bool) {
	i, known := table[thing]
	if !known {
		i = len(table)
		table[thing] = i
	}
	e.buf = appendUvarint(e.buf, uint64(i))
	return known
}

func (e *encoder) pair(p series.Pair) {
	e.buf = appendFixed64(appendFixed64(e.buf, p.A), p.B)
}

func (d *decoder) pair() series.Pair { return series.Pair{A: d.fixed64(), B: d.fixed64()} }

func (e *encoder) stream(s *stream.Stream) {
	e.metric(s.Metric)
	e.attributes(s.Attributes, 0)
}

func (d *decoder) stream() *stream.Stream {
	s := &stream.Stream{Metric: d.metric(), Attributes: pcommon.NewMap()}
	d.attributes(s.Attributes, 0)
	return s
}

func (e *encoder) metric(m *stream.Metric) {
	if refer(e, e.metrics, m) {
		return
	}
	e.scope(m.Scope)
	e.pair(m.ID)
	e.buf = append(e.buf, byte(m.Kind))
	e.text(m.Name)
	e.text(m.Description)
	e.text(m.Unit)
	e.attributes(m.Metadata, 0)
}

func (d *decoder) metric() *stream.Metric {
	i, follows := d.index(len(d.metrics))
	if follows {
		m := &stream.Metric{Scope: d.scope(), ID: d.pair(), Kind: d.kind(), Name: d.text(), Description: d.text(), Unit: d.text()}
		m.Metadata = pcommon.NewMap()
		d.attributes(m.Metadata, 0)
		if d.err == nil { // only what is whole may be shared
			m = d.share.table.Metric(m.ID, func() *stream.Metric { return m })
		}
		d.metrics = append(d.metrics, m)
	}
	if i < 0 {
		return nil
	}
	return d.metrics[i]
}

func (e *encoder) scope(s *stream.Scope) {
	if refer(e, e.scopes, s) {
		return
	}
	e.resource(s.Resource)
	e.pair(s.ID)
	e.text(s.Name)
	e.text(s.Version)
	e.text(s.SchemaURL)
	e.attributes(s.Attributes, 0)
}

func (d *decoder) scope() *stream.Scope {
	i, follows := d.index(len(d.scopes))
	if follows {
		s := &stream.Scope{Resource: d.resource(), ID: d.pair(), Name: d.text(), Version: d.text(), SchemaURL: d.text()}
		s.Attributes = pcommon.NewMap()
		d.attributes(s.Attributes, 0)
		if d.err == nil {
			s = d.share.table.Scope(s.ID, func() *stream.Scope { return s })
		}
		d.scopes = append(d.scopes, s)
	}
	if i < 0 {
		return nil
	}
	return d.scopes[i]
}

func (e *encoder) resource(r *stream.Resource) {
	if refer(e, e.resources, r) {
		return
	}
	e.pair(r.ID)
	e.text(r.SchemaURL)
	e.attributes(r.Attributes, 0)
}

func (d *decoder) resource() *stream.Resource {
	i, follows := d.index(len(d.resources))
	if follows {
		r := &stream.Resource{ID: d.pair(), SchemaURL: d.text(), Attributes: pcommon.NewMap()}
		d.attributes(r.Attributes, 0)
		if d.err == nil {
			r = d.share.table.Resource(r.ID, func() *stream.Resource { return r })
		}
		d.resources = append(d.resources, r)
	}
	if i < 0 {
		return nil
	}
	return d.resources[i]
}

func (e *encoder) rule(id consolidation.RuleID) {
	if !refer(e, e.rules, id) {
		e.buf = appendFixed64(e.buf, uint64(id))
	}
}

func (d *decoder) rule() consolidation.RuleID {
	i, follows := d.index(len(d.rules))
	if follows {
		d.rules = append(d.rules, consolidation.RuleID(d.fixed64()))
	}
	if i < 0 {
		return 0
	}
	return d.rules[i]
}

func (d *decoder) kind() consolidation.Kind {
	k := consolidation.Kind(d.byte())
	if k > consolidation.Summary {
		d.fail("an unknown kind of stream")
		return 0
	}
	return k
}

func (e *encoder) key(k consolidation.Key) {
	e.buf = appendFixed64(appendFixed64(e.buf, k.A), k.B)
}

func (d *decoder) key() consolidation.Key {
	return consolidation.Key{A: d.fixed64(), B: d.fixed64()}
}
