package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// documenter turns descriptors into what the page shows.
type documenter struct {
	examples    map[string]string
	permissions []permission
}

type serviceDoc struct {
	Name, Comment string
	Methods       []methodDoc
}

type methodDoc struct {
	// Name is Service.Method, GRPC the full name.
	Name, GRPC, Comment string
	Route               route
	// Access says who may.
	Access string
	Fields []fieldDoc
	// Answer is what comes back, in words and with a link.
	Answer  string
	Example string
}

type messageDoc struct {
	Name, Comment string
	Fields        []fieldDoc
}

type fieldDoc struct {
	Name, Type, Meaning string
	// In is path, query, body (a field of it) or the body (all of it); empty in messages.
	In string
}

func (d documenter) services(files linker.Files) ([]*serviceDoc, error) {
	var all []*serviceDoc
	for _, file := range files {
		services := file.Services()
		for i := range services.Len() {
			s := services.Get(i)
			doc := &serviceDoc{Name: string(s.Name()), Comment: comment(s)}
			for j := range s.Methods().Len() {
				m, err := d.method(s.Methods().Get(j))
				if err != nil {
					return nil, err
				}
				doc.Methods = append(doc.Methods, m)
			}
			all = append(all, doc)
		}
	}
	if unknown := unknownMethods(all); len(unknown) > 0 {
		return nil, fmt.Errorf("accessOf names methods that there are not: %s", strings.Join(unknown, ", "))
	}
	return all, nil
}

func (d documenter) method(m protoreflect.MethodDescriptor) (methodDoc, error) {
	name := string(m.Parent().Name()) + "." + string(m.Name())
	doc := methodDoc{
		Name: name, GRPC: string(m.Parent().FullName()) + "/" + string(m.Name()), Comment: comment(m), Example: d.examples[name],
	}
	var err error
	if doc.Route, err = routeOf(m); err != nil {
		return doc, err
	}
	if doc.Access, err = accessText(name, d.permissions); err != nil {
		return doc, err
	}
	doc.Fields = requestFields(m.Input(), doc.Route)
	doc.Answer = link(m.Output())
	if m.IsStreamingServer() {
		doc.Answer = "A stream of " + doc.Answer
	}
	doc.Route.Path = parameter.ReplaceAllString(doc.Route.Path, "{$1}")
	return doc, nil
}

// parameter is a variable of a path, which may have a pattern: {metric=**}.
var parameter = regexp.MustCompile(`\{([\w.]+)(?:=[^}]*)?\}`)

// requestFields says where each field of a request goes over REST.
func requestFields(in protoreflect.MessageDescriptor, r route) []fieldDoc {
	var inPath []string
	for _, match := range parameter.FindAllStringSubmatch(r.Path, -1) {
		inPath = append(inPath, match[1])
	}
	var fields []fieldDoc
	for i := range in.Fields().Len() {
		f := in.Fields().Get(i)
		doc := describeField(f)
		switch {
		case slices.Contains(inPath, doc.Name):
			doc.In = "path"
		case r.Body == doc.Name:
			doc.In = "the body"
		case r.Body == "*":
			doc.In = "body"
		default:
			doc.In = "query"
		}
		fields = append(fields, doc)
	}
	return fields
}

func describeField(f protoreflect.FieldDescriptor) fieldDoc {
	return fieldDoc{Name: string(f.Name()), Type: typeOf(f), Meaning: strings.ReplaceAll(comment(f), "|", `\|`)}
}

func typeOf(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return "map of text to " + scalar(f.MapValue())
	case f.IsList():
		return "list of " + scalar(f)
	default:
		return scalar(f)
	}
}

// scalar is a type as it is written in JSON.
func scalar(f protoreflect.FieldDescriptor) string {
	switch f.Kind() {
	case protoreflect.StringKind:
		return "text"
	case protoreflect.BoolKind:
		return "bool"
	case protoreflect.DoubleKind:
		return "number"
	case protoreflect.Int32Kind, protoreflect.Uint32Kind:
		return "whole number"
	case protoreflect.MessageKind:
		return link(f.Message())
	default:
		return f.Kind().String()
	}
}

// foreign are messages of others, as they are in JSON.
var foreign = map[protoreflect.FullName]string{
	"google.protobuf.Timestamp": "time (RFC 3339)",
	"google.protobuf.ListValue": "list of text",
	"google.protobuf.Value":     "text or list of text",
	"google.api.HttpBody":       "bytes",
}

func link(m protoreflect.MessageDescriptor) string {
	if text, known := foreign[m.FullName()]; known {
		return text
	}
	if m.Fields().Len() == 0 {
		return "an empty object"
	}
	return fmt.Sprintf("[%s](#%s)", m.Name(), strings.ToLower(string(m.Name())))
}

// messages are all but those of requests, which the methods show, and empty ones.
func (documenter) messages(files linker.Files) []*messageDoc {
	requests := map[protoreflect.FullName]bool{}
	var all []*messageDoc
	for _, file := range files {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				requests[methods.Get(j).Input().FullName()] = true
			}
		}
	}
	for _, file := range files {
		for i := range file.Messages().Len() {
			m := file.Messages().Get(i)
			if requests[m.FullName()] || m.Fields().Len() == 0 {
				continue
			}
			doc := &messageDoc{Name: string(m.Name()), Comment: comment(m)}
			for j := range m.Fields().Len() {
				doc.Fields = append(doc.Fields, describeField(m.Fields().Get(j)))
			}
			all = append(all, doc)
		}
	}
	slices.SortFunc(all, func(a, b *messageDoc) int { return strings.Compare(a.Name, b.Name) })
	return all
}
