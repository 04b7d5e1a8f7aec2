package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/phoenix-platform/phoenix/control/api/fault"
)

// bodyField is what is at fault when it is no field of the body.
const bodyField = "body"

// explain finds out what is wrong with JSON that protojson refused with an
// error: that names the first mistake only, by its place in the text.
func explain(raw []byte, in protoreflect.MessageDescriptor, prefix string, refusal error) []fault.Violation {
	if at := firstInvalid(raw); at >= 0 {
		return []fault.Violation{{Field: bodyField, Description: fmt.Sprintf("must be UTF-8: byte %d is not", at)}}
	}
	var whole json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil {
		return []fault.Violation{{Field: bodyField, Description: "must be JSON: " + placed(raw, err)}}
	}
	e := &explainer{}
	e.object(whole, in, prefix, 1)
	if len(e.found) == 0 {
		e.add(prefix, plainText(refusal))
	}
	return e.found
}

func firstInvalid(raw []byte) int {
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// placed adds the line and the column to a syntax error.
func placed(raw []byte, err error) string {
	syntax := &json.SyntaxError{}
	if !errors.As(err, &syntax) {
		return err.Error()
	}
	before := raw[:min(int64(len(raw)), max(0, syntax.Offset-1))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d: %s", line, column, syntax.Error())
}

var protoPrefix = regexp.MustCompile(`^proto:[\s\x{a0}]*`)

// plainText is the text of an error of protojson without what it puts in at
// random.
func plainText(err error) string {
	return abbreviate(strings.ReplaceAll(protoPrefix.ReplaceAllString(err.Error(), ""), "\u00a0", " "))
}

// explainer walks through JSON beside the descriptor that it does not fit.
type explainer struct{ found []fault.Violation }

func (e *explainer) add(path, description string) {
	if path == "" {
		path = bodyField
	}
	if len(e.found) < maxViolations {
		e.found = append(e.found, fault.Violation{Field: path, Description: description})
	}
}

// object looks at the JSON of a message.
func (e *explainer) object(raw json.RawMessage, in protoreflect.MessageDescriptor, path string, depth int) {
	if depth > maxDepth {
		e.add(path, fmt.Sprintf("is nested deeper than %d", maxDepth))
		return
	}
	seen := map[protoreflect.Name]bool{}
	isObject := members(raw, func(name string, value json.RawMessage) {
		field := in.Fields().ByName(protoreflect.Name(name))
		if field == nil {
			field = in.Fields().ByJSONName(name)
		}
		at := join(path, abbreviate(name))
		switch {
		case field == nil:
			e.add(at, "is no field; "+knownFields(in))
		case seen[field.Name()]:
			e.add(at, "is given more than once")
		default:
			seen[field.Name()] = true
			e.field(value, field, at, depth)
		}
	})
	if !isObject {
		e.add(path, "must be an object")
	}
}

// field looks at the value of one field.
func (e *explainer) field(raw json.RawMessage, field protoreflect.FieldDescriptor, path string, depth int) {
	switch nested := field.Message() != nil && !wellKnown(field.Message()); {
	case string(raw) == "null":
	case field.IsList() && nested:
		i := 0
		if !elements(raw, func(element json.RawMessage) {
			e.object(element, field.Message(), fmt.Sprintf("%s[%d]", path, i), depth+1)
			i++
		}) {
			e.add(path, "must be a list of objects")
		}
	case field.IsList():
		i := 0
		if !elements(raw, func(element json.RawMessage) {
			e.alone(field, "["+string(element)+"]", fmt.Sprintf("%s[%d]", path, i))
			i++
		}) {
			e.add(path, "must be a list")
		}
	case field.IsMap() || !nested:
		e.alone(field, string(raw), path)
	default:
		e.object(raw, field.Message(), path, depth+1)
	}
}

// alone asks protojson about one field.
func (e *explainer) alone(field protoreflect.FieldDescriptor, value, path string) {
	if len(e.found) >= maxViolations {
		return
	}
	of, err := protoregistry.GlobalTypes.FindMessageByName(field.ContainingMessage().FullName())
	if err != nil {
		return
	}
	name, _ := json.Marshal(string(field.Name())) // a text can be encoded
	if err := fromJSON.Unmarshal([]byte("{"+string(name)+":"+value+"}"), proto.Message(of.New().Interface())); err != nil {
		e.add(path, describe(field))
	}
}

// members calls use for each member of an object, in order, duplicates too. It
// is false if raw, which is valid, is no object.
func members(raw json.RawMessage, use func(name string, value json.RawMessage)) bool {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return false
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return false
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return false
		}
		text, _ := name.(string)
		use(text, value)
	}
	return true
}

// elements is members for a list.
func elements(raw json.RawMessage, use func(json.RawMessage)) bool {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || list == nil {
		return false
	}
	for _, element := range list {
		use(element)
	}
	return true
}

// wellKnown says whether a message has a form of its own in JSON.
func wellKnown(m protoreflect.MessageDescriptor) bool {
	return strings.HasPrefix(string(m.FullName()), "google.protobuf.")
}

func knownFields(in protoreflect.MessageDescriptor) string {
	names := make([]string, 0, in.Fields().Len())
	for i := range in.Fields().Len() {
		names = append(names, string(in.Fields().Get(i).Name()))
	}
	return "there are: " + strings.Join(names, ", ")
}

// describe says what a field must be.
func describe(field protoreflect.FieldDescriptor) string {
	if field == nil {
		return "is not accepted"
	}
	if field.IsMap() {
		return "must be an object whose values are each a " + article(field.MapValue())[2:]
	}
	return "must be " + article(field)
}

// article names what a value must be, with its article.
func article(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return "a whole number from 0 to 4294967295"
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return "a whole number from -2147483648 to 2147483647"
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return "a number"
	case protoreflect.StringKind:
		return "a string of valid Unicode"
	case protoreflect.MessageKind:
		switch field.Message().FullName() {
		case "google.protobuf.Timestamp":
			return "a time such as 2026-03-11T12:00:00Z"
		case "google.protobuf.ListValue":
			return "a list"
		}
		return "a value of " + string(field.Message().Name())
	default:
		return "a " + field.Kind().String()
	}
}
