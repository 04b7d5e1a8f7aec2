package checkpoint

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// maxDepth is where the content of nested values ends. What lies deeper takes
// no part in the identity of a series either: see package series.
const maxDepth = 64

// Types of values, as they are written. pcommon does not promise its numbers.
const (
	emptyValue = iota
	stringValue
	intValue
	doubleValue
	falseValue
	trueValue
	bytesValue
	sliceValue
	mapValue
)

// text writes a string that occurs often: the first time in full, then by its
// number.
func (e *encoder) text(s string) {
	if !refer(e, e.strings, s) {
		e.buf = appendLiteral(e.buf, s)
	}
}

func (d *decoder) text() string {
	i, follows := d.index(len(d.strings))
	switch {
	case follows:
		d.strings = append(d.strings, d.literal())
	case i < 0:
		return ""
	}
	return d.strings[i]
}

// numbered is a string that was written.
type numbered struct {
	text   string
	number int
}

func (e *encoder) attributes(m pcommon.Map, depth int) {
	e.buf = appendUvarint(e.buf, uint64(m.Len())) //nolint:gosec // not negative
	at := 0
	for key, value := range m.All() {
		e.attributeKey(key, at)
		e.value(value, depth)
		at++
	}
}

// attributeKey is text for a key: outputs of a metric have the same keys in the
// same order, so comparing saves the search in a map.
func (e *encoder) attributeKey(key string, at int) {
	if at < len(e.keys) && e.keys[at].text == key {
		e.buf = appendUvarint(e.buf, uint64(e.keys[at].number)) //nolint:gosec // not negative
		return
	}
	e.text(key)
	last := numbered{key, e.strings[key]}
	switch {
	case at < len(e.keys):
		e.keys[at] = last
	case at == len(e.keys):
		e.keys = append(e.keys, last)
	}
}

func (e *encoder) value(v pcommon.Value, depth int) {
	t := v.Type()
	if (t == pcommon.ValueTypeSlice || t == pcommon.ValueTypeMap) && depth == maxDepth {
		t = pcommon.ValueTypeEmpty
	}
	switch t {
	case pcommon.ValueTypeStr:
		e.buf = append(e.buf, stringValue)
		e.text(v.Str())
	case pcommon.ValueTypeInt:
		e.buf = appendVarint(append(e.buf, intValue), v.Int())
	case pcommon.ValueTypeDouble:
		e.buf = appendFloat(append(e.buf, doubleValue), v.Double())
	case pcommon.ValueTypeBool:
		if v.Bool() {
			e.buf = append(e.buf, trueValue)
			return
		}
		e.buf = append(e.buf, falseValue)
	case pcommon.ValueTypeBytes:
		e.buf = appendLiteral(append(e.buf, bytesValue), string(v.Bytes().AsRaw()))
	case pcommon.ValueTypeSlice:
		s := v.Slice()
		e.buf = appendUvarint(append(e.buf, sliceValue), uint64(s.Len())) //nolint:gosec // not negative
		for _, element := range s.All() {
			e.value(element, depth+1)
		}
	case pcommon.ValueTypeMap:
		e.buf = append(e.buf, mapValue)
		e.attributes(v.Map(), depth+1)
	case pcommon.ValueTypeEmpty:
		e.buf = append(e.buf, emptyValue)
	}
}

func (d *decoder) attributes(m pcommon.Map, depth int) {
	n := d.count(2)
	m.EnsureCapacity(n)
	for range n {
		key := d.text()
		if d.err != nil {
			return
		}
		d.value(m.PutEmpty(key), depth)
	}
}

func (d *decoder) value(v pcommon.Value, depth int) {
	switch t := d.byte(); t {
	case emptyValue:
	case stringValue:
		v.SetStr(d.text())
	case intValue:
		v.SetInt(d.varint())
	case doubleValue:
		v.SetDouble(d.float())
	case falseValue, trueValue:
		v.SetBool(t == trueValue)
	case bytesValue:
		v.SetEmptyBytes().FromRaw(d.raw(d.count(1)))
	case sliceValue, mapValue:
		if depth == maxDepth {
			d.fail("values nested too deep")
			return
		}
		if t == mapValue {
			d.attributes(v.SetEmptyMap(), depth+1)
			return
		}
		s, n := v.SetEmptySlice(), d.count(1)
		s.EnsureCapacity(n)
		for range n {
			if d.err != nil {
				return
			}
			d.value(s.AppendEmpty(), depth+1)
		}
	default:
		d.fail("an unknown type of value")
	}
}
