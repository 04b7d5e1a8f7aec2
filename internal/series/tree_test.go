package series_test

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// attr is an attribute in the order of the wire. Unlike a pcommon.Map that was
// filled by its methods, a list of them may have a key twice. The value is nil,
// a string, int64, float64, bool or []byte, a []any or an []attr.
type attr struct {
	key   string
	value any
}

// hasherOf returns the hasher of a secret that is written as 32 digits.
func hasherOf(t require.TestingT, text string) *series.Hasher {
	secret, err := series.ParseSecret(text)
	require.NoError(t, err)
	return series.NewHasher(secret)
}

// fixed is the hasher of tests that need no other.
func fixed(t require.TestingT) *series.Hasher {
	return hasherOf(t, "00112233445566778899aabbccddeeff")
}

// decode brings attributes over the wire into the resource of a request.
func decode(t require.TestingT, attributes []attr) pcommon.Map {
	md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(encode(attributes))
	require.NoError(t, err)
	return md.ResourceMetrics().At(0).Resource().Attributes()
}

// value brings one value over the wire.
func value(t require.TestingT, v any) pcommon.Value {
	got, ok := decode(t, []attr{{"k", v}}).Get("k")
	require.True(t, ok)
	return got
}

// encode writes an ExportMetricsServiceRequest with one resource.
func encode(attributes []attr) []byte {
	var resource []byte
	for _, a := range attributes {
		resource = appendMessage(resource, 1, keyValue(a))
	}
	return appendMessage(nil, 1, appendMessage(nil, 1, resource))
}

func appendMessage(dst []byte, field protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), message)
}

func keyValue(a attr) []byte {
	return appendMessage(appendMessage(nil, 1, []byte(a.key)), 2, anyValue(a.value))
}

// anyValue writes an opentelemetry.proto.common.v1.AnyValue.
func anyValue(v any) []byte {
	switch v := v.(type) {
	case string:
		return appendMessage(nil, 1, []byte(v))
	case bool:
		return protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), protowire.EncodeBool(v))
	case int64:
		return protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), uint64(v))
	case float64:
		return protowire.AppendFixed64(protowire.AppendTag(nil, 4, protowire.Fixed64Type), math.Float64bits(v))
	case []any:
		var list []byte
		for _, element := range v {
			list = appendMessage(list, 1, anyValue(element))
		}
		return appendMessage(nil, 5, list)
	case []attr:
		var list []byte
		for _, a := range v {
			list = appendMessage(list, 1, keyValue(a))
		}
		return appendMessage(nil, 6, list)
	case []byte:
		return appendMessage(nil, 7, v)
	}
	return nil
}

// canonical is the slow identity: equal for two lists of attributes exactly if
// they are the same multiset of keys and typed values.
func canonical(attributes []attr) string {
	parts := make([]string, len(attributes))
	for i, a := range attributes {
		parts[i] = fmt.Sprintf("%q:%s", a.key, canonicalValue(a.value))
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, ",") + "}"
}

func canonicalValue(v any) string {
	switch v := v.(type) {
	case float64:
		return fmt.Sprintf("double %x", math.Float64bits(v))
	case []any:
		parts := make([]string, len(v))
		for i, element := range v {
			parts[i] = canonicalValue(element)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case []attr:
		return canonical(v)
	}
	return fmt.Sprintf("%T %q", v, fmt.Sprint(v))
}

// reversed returns the attributes back to front, those of nested maps too. The
// elements of slices stay where they are.
func reversed(attributes []attr) []attr {
	out := make([]attr, 0, len(attributes))
	for _, a := range slices.Backward(attributes) {
		out = append(out, attr{a.key, reversedValue(a.value)})
	}
	return out
}

func reversedValue(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = reversedValue(v[i])
		}
		return out
	case []attr:
		return reversed(v)
	}
	return v
}

// tree reads a map back.
func tree(m pcommon.Map) []attr {
	out := []attr{}
	for key, v := range m.All() {
		out = append(out, attr{key, treeValue(v)})
	}
	return out
}

func treeValue(v pcommon.Value) any {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return v.Str()
	case pcommon.ValueTypeInt:
		return v.Int()
	case pcommon.ValueTypeDouble:
		return v.Double()
	case pcommon.ValueTypeBool:
		return v.Bool()
	case pcommon.ValueTypeBytes:
		return v.Bytes().AsRaw()
	case pcommon.ValueTypeSlice:
		out := []any{}
		for _, element := range v.Slice().All() {
			out = append(out, treeValue(element))
		}
		return out
	case pcommon.ValueTypeMap:
		return tree(v.Map())
	case pcommon.ValueTypeEmpty:
	}
	return nil
}

// scalars are few and alike, so that generated values are often equal or differ
// in nothing but their type.
func scalars() *rapid.Generator[any] {
	return rapid.SampledFrom([]any{
		nil, "", "0", "1", "true", "a", "b", "\xff\xfe", "\x00", strings.Repeat("a", 17), strings.Repeat("a", 300),
		int64(0), int64(1), int64(-1), int64(math.MinInt64), int64(math.Float64bits(1)),
		0.0, math.Copysign(0, -1), 1.0, math.NaN(), math.Float64frombits(0x7ff8000000000002), math.Inf(1), math.Inf(-1),
		true, false,
		[]byte{},
		[]byte{0},
		[]byte{0, 0},
		[]byte("1"), []byte("a"), []byte("\xff\xfe"),
	})
}

// values nest up to so many levels deep.
func values(levels int) *rapid.Generator[any] {
	if levels == 0 {
		return scalars()
	}
	return rapid.OneOf(
		scalars(),
		rapid.Map(rapid.SliceOfN(values(levels-1), 0, 3), func(v []any) any { return v }),
		rapid.Map(lists(levels-1), func(v []attr) any { return v }),
	)
}

// lists are attributes, some with the same key.
func lists(levels int) *rapid.Generator[[]attr] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) attr {
		key := rapid.SampledFrom([]string{"", "a", "b", "ab", "c", "\xff"}).Draw(t, "key")
		return attr{key, values(levels).Draw(t, "value")}
	}), 0, 4)
}
