package publish_test

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/publish"
)

// The API and the data path describe a rule with the same words.
func TestRulesOfTheAPIAreThoseOfTheDataPath(t *testing.T) {
	assertSameFields(t, "spec", (&phoenixv1.PolicySpec{}).ProtoReflect().Descriptor(), reflect.TypeFor[publish.Spec]())
}

func assertSameFields(t *testing.T, path string, message protoreflect.MessageDescriptor, value reflect.Type) {
	t.Helper()
	types := map[string]reflect.Type{}
	for field := range value.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		types[name] = field.Type
	}
	if path == "spec.rules" || path == "spec.sampling" {
		delete(types, "mode") // which is the state of the policy
	}
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := string(field.Name())
		kind, there := types[name]
		assert.True(t, there, "%s.%s is in the API only", path, name)
		delete(types, name)
		for there && (kind.Kind() == reflect.Slice || kind.Kind() == reflect.Pointer) {
			kind = kind.Elem()
		}
		if there && field.Message() != nil && !field.IsMap() && !strings.HasPrefix(string(field.Message().FullName()), "google.") {
			assertSameFields(t, path+"."+name, field.Message(), kind)
		}
	}
	for name := range types {
		t.Errorf("%s.%s is in the data path only", path, name)
	}
}

// rules draws rules of any content that JSON can carry.
func anySpec(t *rapid.T) publish.Spec {
	s := publish.Spec{
		Description: rapid.StringN(0, 20, -1).Draw(t, "description"),
		Priority:    rapid.IntRange(-1000, 1000).Draw(t, "priority"),
		Rules:       rapid.SliceOfN(rapid.Make[policy.Rule](), 0, 3).Draw(t, "rules"),
		Sampling:    rapid.SliceOfN(rapid.Make[policy.SamplingRule](), 0, 3).Draw(t, "sampling"),
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		r.Mode = ""
		// What validation refuses, or the types of the proto do not have.
		bound := func(n *int64) { *n &= math.MaxUint32 }
		if r.Limit != nil {
			bound(&r.Limit.MaxSeries)
		}
		for j := range r.Attributes.HashBuckets {
			r.Attributes.HashBuckets[j].Buckets &= math.MaxUint16
		}
		if r.Attributes.TopK != nil {
			r.Attributes.TopK.K &= math.MaxUint16
		}
	}
	for i := range s.Sampling {
		r := &s.Sampling[i]
		r.Mode = ""
		if r.Series != nil {
			r.Series.Seed &= math.MaxUint32
		}
	}
	return s
}

// What is stored is JSON of the proto: it can be read by its decoder, and what
// its encoder writes is the same specification.
func TestSpecificationsAreJSONOfTheProto(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySpec(t)
		text, err := publish.EncodeSpec(s)
		require.NoError(t, err)
		wire := &phoenixv1.PolicySpec{}
		require.NoError(t, protojson.Unmarshal(text, wire), "%s", text)
		for _, o := range []protojson.MarshalOptions{{UseProtoNames: true}, {UseProtoNames: true, Multiline: true}} {
			again, err := o.Marshal(wire)
			require.NoError(t, err)
			read, err := publish.DecodeSpec(again)
			require.NoError(t, err, "%s", again)
			normal, err := publish.EncodeSpec(read)
			require.NoError(t, err)
			require.Equal(t, string(plain(t, text)), string(plain(t, normal)))
		}
	})
}

// plain is the JSON of the proto for the JSON of a specification: an empty list
// and none are the same there, unless it is that of keep.
func plain(t require.TestingT, text []byte) []byte {
	wire := &phoenixv1.PolicySpec{}
	require.NoError(t, protojson.Unmarshal(text, wire))
	out, err := publish.EncodeSpec(decodeProto(t, wire))
	require.NoError(t, err)
	return out
}

func decodeProto(t require.TestingT, wire *phoenixv1.PolicySpec) publish.Spec {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(wire)
	require.NoError(t, err)
	s, err := publish.DecodeSpec(text)
	require.NoError(t, err)
	return s
}

func TestKeepOfNothingIsNotNothing(t *testing.T) {
	text, err := publish.EncodeSpec(publish.Spec{Rules: []policy.Rule{{
		Match: policy.Match{Metric: "a<b>&"}, Attributes: policy.Attributes{Keep: []string{}},
	}}})
	require.NoError(t, err)
	assert.Contains(t, string(text), `"metric":"a<b>&"`)
	assert.Contains(t, string(text), `"keep":[]`)
	s, err := publish.DecodeSpec(text)
	require.NoError(t, err)
	assert.NotNil(t, s.Rules[0].Attributes.Keep)
	wire := &phoenixv1.PolicySpec{}
	require.NoError(t, protojson.Unmarshal(text, wire))
	assert.NotNil(t, wire.GetRules()[0].GetAttributes().GetKeep())
}

func TestSpecificationsThatAreRefused(t *testing.T) {
	f := func(text, message string) {
		t.Helper()
		_, err := publish.DecodeSpec([]byte(text))
		require.ErrorContains(t, err, message)
	}
	f(``, "EOF")
	f(`{"rules":[]} {}`, "something follows it")
	f(`{"rules":[],"rate":1}`, `unknown field "rate"`)
	f(`{"rules":[{"match":{"metric":"a","label":"b"}}]}`, `unknown field "label"`)
	f(`{"rules":[{"mode":"enforce"}]}`, "rules[0].mode: the state of the policy says it")
	f(`{"rules":[{"limit":{"fold":1}}]}`, "must be auto or a list of attributes")
	f(`{"priority":"high"}`, "cannot unmarshal")
}

func TestDigestIsOfTheRulesOnly(t *testing.T) {
	a := spec(1, "a")
	b := spec(2, "a")
	b.Description = "b"
	assert.Equal(t, a.RulesDigest(), b.RulesDigest())
	assert.NotEqual(t, a.RulesDigest(), spec(1, "b").RulesDigest())
	assert.NotEqual(t, a.RulesDigest(), spec(1, "a", "b").RulesDigest())
}

func TestEffectDigestIsOfRulesAndPriority(t *testing.T) {
	a, described := spec(1, "a"), spec(1, "a")
	described.Description = "why"
	assert.Equal(t, a.EffectDigest(), described.EffectDigest())
	assert.NotEqual(t, a.EffectDigest(), spec(2, "a").EffectDigest())
	assert.NotEqual(t, a.EffectDigest(), spec(-1, "a").EffectDigest())
	assert.NotEqual(t, a.EffectDigest(), spec(1, "b").EffectDigest())
}
