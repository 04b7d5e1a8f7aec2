package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Bounds against documents that aliases make endless.
const (
	maxNodes = 1_000_000
	maxDepth = 100
	// maxMistakes is more than anybody reads.
	maxMistakes = 100
)

// reader turns nodes into JSON as a message wants them, and collects mistakes.
type reader struct {
	file     string
	mistakes Mistakes
	nodes    int
	depth    int
}

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	key   string
	value value
}

// value is an object, a []value, or what encoding/json writes.
type value struct{ any }

// absent is the value of what is wrong, or null.
var absent = value{}

func (v value) json() ([]byte, error) {
	var out bytes.Buffer
	err := v.write(&out)
	return out.Bytes(), err
}

func (v value) write(out *bytes.Buffer) error {
	switch t := v.any.(type) {
	case object:
		out.WriteByte('{')
		for i, m := range t {
			if i > 0 {
				out.WriteByte(',')
			}
			key, err := json.Marshal(m.key)
			if err != nil {
				return err
			}
			out.Write(append(key, ':'))
			if err := m.value.write(out); err != nil {
				return err
			}
		}
		out.WriteByte('}')
	case []value:
		out.WriteByte('[')
		for i, e := range t {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := e.write(out); err != nil {
				return err
			}
		}
		out.WriteByte(']')
	default:
		text, err := json.Marshal(t)
		if err != nil {
			return err
		}
		out.Write(text)
	}
	return nil
}

func (r *reader) fault(node *yaml.Node, path, format string, args ...any) value {
	if len(r.mistakes) == maxMistakes {
		return absent
	}
	r.mistakes = append(r.mistakes, Mistake{File: r.file, Line: node.Line, Field: path, Problem: fmt.Sprintf(format, args...)})
	return absent
}

// enter counts a node and follows an alias; leave must follow.
func (r *reader) enter(node *yaml.Node, path string) *yaml.Node {
	r.nodes++
	r.depth++
	if r.nodes == maxNodes || r.depth == maxDepth {
		r.fault(node, path, "the document is too large or too deep")
	}
	if r.nodes >= maxNodes || r.depth >= maxDepth {
		return nil
	}
	return resolve(node)
}

func (r *reader) leave() { r.depth-- }

func isNull(node *yaml.Node) bool {
	node = resolve(node)
	return node == nil || node.Kind == yaml.ScalarNode && node.Tag == "!!null"
}

// message reads a mapping as the fields of a message.
func (r *reader) message(node *yaml.Node, d protoreflect.MessageDescriptor, path string) value {
	switch d.FullName() {
	case (&structpb.Value{}).ProtoReflect().Descriptor().FullName():
		return r.anything(node, path)
	case (&structpb.ListValue{}).ProtoReflect().Descriptor().FullName():
		return r.texts(node, path)
	case (&timestamppb.Timestamp{}).ProtoReflect().Descriptor().FullName():
		return r.time(node, path)
	}
	node = r.enter(node, path)
	defer r.leave()
	if node == nil {
		return absent
	}
	if node.Kind != yaml.MappingNode {
		return r.fault(node, path, "must be a mapping of %s, got %s", keysOf(d), kindOf(node))
	}
	out := object{}
	r.entries(node, path, func(key, child *yaml.Node) {
		at := join(path, key.Value)
		fd := d.Fields().ByName(protoreflect.Name(key.Value))
		switch {
		case fd == nil:
			r.fault(key, at, "is not known here; known are %s", keysOf(d))
		case !isNull(child):
			out = append(out, member{key.Value, r.field(child, fd, at)})
		}
	})
	return value{out}
}

// entries visits a mapping and refuses what is there twice.
func (r *reader) entries(node *yaml.Node, path string, visit func(key, child *yaml.Node)) {
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, child := node.Content[i], node.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.fault(key, path, "a key must be text, got %s", kindOf(key))
			continue
		case key.Tag == "!!merge":
			r.fault(key, path, "merge keys (<<) are not read; write the fields out, or use an alias for a whole value")
			continue
		}
		if line, twice := lines[key.Value]; twice {
			r.fault(key, join(path, key.Value), "is there twice; the first time in line %d", line)
			continue
		}
		lines[key.Value] = key.Line
		visit(key, child)
	}
}

func (r *reader) field(node *yaml.Node, fd protoreflect.FieldDescriptor, path string) value {
	switch {
	case fd.IsMap():
		node = r.enter(node, path)
		defer r.leave()
		if node == nil {
			return absent
		}
		if node.Kind != yaml.MappingNode {
			return r.fault(node, path, "must be a mapping, got %s", kindOf(node))
		}
		out := object{}
		r.entries(node, path, func(key, child *yaml.Node) {
			out = append(out, member{key.Value, r.single(child, fd.MapValue(), join(path, key.Value))})
		})
		return value{out}
	case fd.IsList():
		return r.list(node, path, func(child *yaml.Node, at string) value { return r.single(child, fd, at) })
	default:
		return r.single(node, fd, path)
	}
}

func (r *reader) list(node *yaml.Node, path string, element func(*yaml.Node, string) value) value {
	node = r.enter(node, path)
	defer r.leave()
	if node == nil {
		return absent
	}
	if node.Kind != yaml.SequenceNode {
		return r.fault(node, path, "must be a list, got %s", kindOf(node))
	}
	out := make([]value, 0, len(node.Content))
	for i, child := range node.Content {
		out = append(out, element(child, fmt.Sprintf("%s[%d]", path, i)))
	}
	return value{out}
}

// texts reads a google.protobuf.ListValue, which stands for an optional list of
// texts.
func (r *reader) texts(node *yaml.Node, path string) value { return r.list(node, path, r.text) }

// anything reads a google.protobuf.Value, which stands for a word or a list of
// texts.
func (r *reader) anything(node *yaml.Node, path string) value {
	if plain := resolve(node); plain != nil && plain.Kind == yaml.SequenceNode {
		return r.texts(node, path)
	}
	return r.text(node, path)
}

func (r *reader) single(node *yaml.Node, fd protoreflect.FieldDescriptor, path string) value {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return r.message(node, fd.Message(), path)
	case protoreflect.StringKind:
		return r.text(node, path)
	case protoreflect.BoolKind:
		return r.truth(node, path)
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return r.number(node, path)
	default:
		return r.integer(node, fd.Kind(), path)
	}
}

func (r *reader) scalar(node *yaml.Node, path, want string) *yaml.Node {
	node = r.enter(node, path)
	defer r.leave()
	if node != nil && (node.Kind != yaml.ScalarNode || node.Tag == "!!null") {
		r.fault(node, path, "must be %s, got %s", want, kindOf(node))
		return nil
	}
	return node
}

// text takes any scalar as it is written: a price 0.30 and a day 2026-03-11 need
// no quotes.
func (r *reader) text(node *yaml.Node, path string) value {
	if node = r.scalar(node, path, "text"); node == nil {
		return absent
	}
	return value{node.Value}
}

func (r *reader) time(node *yaml.Node, path string) value {
	if node = r.scalar(node, path, "a time"); node == nil {
		return absent
	}
	if _, err := time.Parse(time.RFC3339, node.Value); err != nil {
		return r.fault(node, path, "must be a time such as 2026-03-11T12:00:00Z, got %s", strconv.Quote(node.Value))
	}
	return value{node.Value}
}

func (r *reader) truth(node *yaml.Node, path string) value {
	if node = r.scalar(node, path, "true or false"); node == nil {
		return absent
	}
	var b bool
	if node.Tag != "!!bool" || node.Decode(&b) != nil {
		return r.fault(node, path, "must be true or false, got %s", strconv.Quote(node.Value))
	}
	return value{b}
}

func (r *reader) number(node *yaml.Node, path string) value {
	if node = r.scalar(node, path, "a number"); node == nil {
		return absent
	}
	var n float64
	if node.Tag != "!!int" && node.Tag != "!!float" || node.Decode(&n) != nil {
		return r.fault(node, path, "must be a number, got %s", strconv.Quote(node.Value))
	}
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return r.fault(node, path, "must be finite, got %s", node.Value)
	}
	return value{n}
}

func (r *reader) integer(node *yaml.Node, kind protoreflect.Kind, path string) value {
	if node = r.scalar(node, path, "a whole number"); node == nil {
		return absent
	}
	var n int64
	if node.Tag != "!!int" || node.Decode(&n) != nil {
		return r.fault(node, path, "must be a whole number, got %s", strconv.Quote(node.Value))
	}
	low, high := int64(math.MinInt32), int64(math.MaxInt32)
	if kind == protoreflect.Uint32Kind {
		low, high = 0, math.MaxUint32
	}
	if n < low || n > high {
		return r.fault(node, path, "must be from %d to %d, got %s", low, high, node.Value)
	}
	return value{n}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// keysOf lists the fields of a message.
func keysOf(d protoreflect.MessageDescriptor) string {
	names := make([]string, 0, d.Fields().Len())
	for i := range d.Fields().Len() {
		names = append(names, string(d.Fields().Get(i).Name()))
	}
	return strings.Join(names, ", ")
}

func kindOf(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		if node.Tag == "!!null" {
			return "nothing"
		}
		return strconv.Quote(node.Value)
	}
}
