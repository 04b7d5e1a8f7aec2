package relabel

import (
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Value is the value of an attribute as a feeder sees it: a text, or a number
// whose text is made only if it is asked for.
type Value struct {
	kind valueKind
	text string
	bits uint64
}

type valueKind uint8

const (
	kindString valueKind = iota
	kindInt
	kindDouble
	kindOther
)

// String is a string value. The text is borrowed for as long as the Value is.
func String(text string) Value { return Value{text: text} }

// Int is an integer value.
func Int(i int64) Value {
	return Value{kind: kindInt, bits: uint64(i)} //nolint:gosec // the bits are kept
}

// Double is a floating-point value.
func Double(f float64) Value { return Value{kind: kindDouble, bits: math.Float64bits(f)} }

// Text is a value of any other type, by its text.
func Text(text string) Value { return Value{kind: kindOther, text: text} }

// Of is the value of a pdata attribute. A string is borrowed from it.
func Of(v pcommon.Value) Value {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return String(v.Str())
	case pcommon.ValueTypeInt:
		return Int(v.Int())
	case pcommon.ValueTypeDouble:
		return Double(v.Double())
	default:
		return Text(v.AsString())
	}
}

// Text returns the value as pcommon.Value.AsString writes it.
func (v Value) Text() string {
	switch v.kind {
	case kindInt:
		return strconv.FormatInt(v.int(), 10)
	case kindDouble:
		return pcommon.NewValueDouble(v.double()).AsString()
	default:
		return v.text
	}
}

func (v Value) int() int64 {
	return int64(v.bits) //nolint:gosec // the bits were kept
}

func (v Value) double() float64 { return math.Float64frombits(v.bits) }
