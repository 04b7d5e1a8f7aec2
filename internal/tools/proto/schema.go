package main

import (
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// comment is what the proto says about something, as one paragraph.
func comment(d protoreflect.Descriptor) string {
	location := d.ParentFile().SourceLocations().ByDescriptor(d)
	return strings.Join(strings.Fields(location.LeadingComments), " ")
}

func reference(name string) *openapi3.SchemaRef {
	return openapi3.NewSchemaRef("#/components/schemas/"+name, nil)
}

// named returns a reference to the schema of a message, which it adds.
func (d *description) named(m protoreflect.MessageDescriptor) *openapi3.SchemaRef {
	name := string(m.Name())
	if !d.schemas[name] {
		d.schemas[name] = true
		d.doc.Components.Schemas[name] = openapi3.NewSchemaRef("", d.message(m))
	}
	return reference(name)
}

// message returns the schema of a message without some of its fields.
func (d *description) message(m protoreflect.MessageDescriptor, without ...string) *openapi3.Schema {
	schema := openapi3.NewObjectSchema()
	schema.Description = comment(m)
	left := map[string]bool{}
	for _, name := range without {
		left[name] = true
	}
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		name := string(field.Name())
		if left[name] {
			continue
		}
		schema.WithPropertyRef(name, describe(d.value(field), comment(field)))
		if strings.Contains(comment(field), "Required.") {
			schema.Required = append(schema.Required, name)
		}
	}
	return schema
}

// describe adds a description. In OpenAPI 3.0 nothing may stand beside a reference.
func describe(s *openapi3.SchemaRef, text string) *openapi3.SchemaRef {
	switch {
	case text == "":
		return s
	case s.Ref != "":
		return openapi3.NewSchemaRef("", &openapi3.Schema{AllOf: openapi3.SchemaRefs{s}, Description: text})
	}
	s.Value.Description = text
	return s
}

// value returns the schema of a field's value.
func (d *description) value(field protoreflect.FieldDescriptor) *openapi3.SchemaRef {
	switch {
	case field.IsMap():
		schema := openapi3.NewObjectSchema()
		schema.AdditionalProperties = openapi3.AdditionalProperties{Schema: d.scalar(field.MapValue())}
		return openapi3.NewSchemaRef("", schema)
	case field.IsList():
		schema := openapi3.NewArraySchema()
		schema.Items = d.scalar(field)
		return openapi3.NewSchemaRef("", schema)
	}
	return d.scalar(field)
}

func texts() *openapi3.Schema { return openapi3.NewArraySchema().WithItems(openapi3.NewStringSchema()) }

// scalar returns the schema of one value of a field.
func (d *description) scalar(field protoreflect.FieldDescriptor) *openapi3.SchemaRef {
	var schema *openapi3.Schema
	switch field.Kind() {
	case protoreflect.BoolKind:
		schema = openapi3.NewBoolSchema()
	case protoreflect.Uint32Kind:
		schema = openapi3.NewInt64Schema().WithMin(0).WithMax(1<<32 - 1)
	case protoreflect.Int32Kind:
		schema = openapi3.NewInt32Schema()
	case protoreflect.DoubleKind:
		schema = openapi3.NewFloat64Schema().WithFormat("double")
	case protoreflect.StringKind:
		schema = openapi3.NewStringSchema()
	case protoreflect.MessageKind:
		switch field.Message().FullName() {
		case "google.protobuf.Timestamp":
			schema = openapi3.NewDateTimeSchema()
		case "google.protobuf.ListValue": // lists that differ when they are empty and when they are not there
			schema = texts()
		case "google.protobuf.Value": // only Limit.fold
			schema = openapi3.NewOneOfSchema(openapi3.NewStringSchema().WithEnum("auto"), texts())
		default:
			return d.named(field.Message())
		}
	default:
		panic("no schema for the kind " + field.Kind().String() + " of " + string(field.FullName()))
	}
	return openapi3.NewSchemaRef("", schema)
}

func statusSchema(status string) *openapi3.Schema {
	schema := openapi3.NewObjectSchema().WithProperty("status", openapi3.NewStringSchema().WithEnum(status))
	schema.Required = []string{"status"}
	return schema
}

// problemSchema is that of errors; see package fault.
func problemSchema() *openapi3.Schema {
	described := func(s *openapi3.Schema, text string) *openapi3.Schema {
		s.Description = text
		return s
	}
	mistake := openapi3.NewObjectSchema().
		WithProperty("field", described(openapi3.NewStringSchema(), "The path of the field in the request, or the name of a parameter or header.")).
		WithProperty("detail", openapi3.NewStringSchema())
	mistake.Required = []string{"field", "detail"}
	schema := openapi3.NewObjectSchema().
		WithProperty("type", described(openapi3.NewStringSchema().WithPattern("^urn:phoenix:problem:[a-z-]+$"), "The reason; programs decide by it.")).
		WithProperty("title", openapi3.NewStringSchema()).
		WithProperty("status", described(openapi3.NewInt32Schema().WithMin(400).WithMax(599), "That of HTTP.")).
		WithProperty("detail", described(openapi3.NewStringSchema(), "What is wrong and what to do about it.")).
		WithProperty("instance", described(openapi3.NewStringSchema(), "The path of the request.")).
		WithProperty("request_id", described(openapi3.NewStringSchema(), "Finds the request in logs, traces and the audit log.")).
		WithProperty("errors", described(openapi3.NewArraySchema().WithItems(mistake), "All mistakes in the request.")).
		WithProperty("suggestions", described(texts(), "Names near an unknown one."))
	schema.Description = "An answer that is no success, as RFC 9457 has it."
	schema.Required = []string{"type", "title", "status", "detail"}
	return schema
}

func problemResponse() *openapi3.Response {
	r := openapi3.NewResponse().WithDescription("The request was refused.")
	r.Content = openapi3.NewContentWithSchemaRef(reference("Problem"), []string{"application/problem+json"})
	r.Headers = openapi3.Headers{"X-Request-Id": headerReference("X-Request-Id"), "Retry-After": headerReference("Retry-After")}
	return r
}

func headerReference(name string) *openapi3.HeaderRef {
	return &openapi3.HeaderRef{Ref: "#/components/headers/" + name}
}

// headers are those of answers.
func headers() openapi3.Headers {
	all := openapi3.Headers{}
	add := func(name, text string, schema *openapi3.Schema) {
		all[name] = &openapi3.HeaderRef{Value: &openapi3.Header{Parameter: openapi3.Parameter{
			Description: text, Schema: openapi3.NewSchemaRef("", schema),
		}}}
	}
	add("X-Request-Id", "Finds the request in logs, traces and the audit log.", openapi3.NewStringSchema())
	add("Retry-After", "Seconds after which to ask again, if that helps.", openapi3.NewIntegerSchema())
	add("ETag", "Names the present revision, for If-Match.", openapi3.NewStringSchema())
	add("Location", "The path of what was created.", openapi3.NewStringSchema())
	add("Content-Disposition", "Holds a name for the file.", openapi3.NewStringSchema())
	return all
}
