package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// description is the OpenAPI document of the REST door while it is made. It is made from the descriptors: what generic
// generators make of them lacks the names of the paths, the headers, the errors and the streams.
type description struct {
	doc *openapi3.T
	// schemas are the messages that have a schema already.
	schemas map[string]bool
}

// writeOpenAPI writes openapi.json, which must be valid.
func writeOpenAPI(ctx context.Context, request *pluginpb.CodeGeneratorRequest, out string) error {
	files, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: request.GetProtoFile()})
	if err != nil {
		return err
	}
	d := newDescription()
	for _, name := range request.GetFileToGenerate() {
		file, err := files.FindFileByPath(name)
		if err != nil {
			return err
		}
		for i := range file.Services().Len() {
			if err := d.service(file.Services().Get(i)); err != nil {
				return err
			}
		}
	}
	d.plain("/healthz", "GetHealth", "Says that the process is alive.", statusSchema("ok"))
	d.plain("/readyz", "GetReady", "Says whether the pipelines run; 503 if they do not.", statusSchema("ready"))
	d.plain("/api/v1/openapi.json", "GetOpenAPI", "This description.", openapi3.NewObjectSchema())
	return d.write(ctx, filepath.Join(out, "openapi.json"))
}

func (d *description) write(ctx context.Context, path string) error {
	raw, err := json.Marshal(d.doc)
	if err != nil {
		return err
	}
	loaded, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := loaded.Validate(ctx); err != nil {
		return fmt.Errorf("%s is no valid OpenAPI: %w", path, err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return err
	}
	text.WriteByte('\n')
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // sources are for everybody to read
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644) //nolint:gosec // as above
}

const bearer = "bearer"

func newDescription() *description {
	d := &description{schemas: map[string]bool{}}
	d.doc = &openapi3.T{
		OpenAPI: "3.0.3",
		Info: &openapi3.Info{
			Title: "Phoenix control plane", Version: "v1",
			Description: "Policies, cardinality, costs and savings of a Phoenix collector. The same is there over gRPC on the same port, " +
				"from the same proto. What a request holds and the API does not know is refused.",
			License: &openapi3.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		Servers: openapi3.Servers{{URL: "http://localhost:8620", Description: "A collector on this machine."}},
		Paths:   openapi3.NewPaths(),
		Components: &openapi3.Components{
			Schemas: openapi3.Schemas{"Problem": {Value: problemSchema()}},
			SecuritySchemes: openapi3.SecuritySchemes{bearer: {Value: &openapi3.SecurityScheme{
				Type: "http", Scheme: "bearer",
				Description: "An API key (phx_…), or a token that the configured authentication extension accepts. Client certificates are " +
					"taken too, and without authentication configured whoever is on the machine.",
			}}},
			Responses: openapi3.ResponseBodies{"Problem": {Value: problemResponse()}},
			Headers:   headers(),
		},
		Security: openapi3.SecurityRequirements{{bearer: {}}, {}},
		Tags:     openapi3.Tags{{Name: "Health", Description: "Says how the collector is. Needs no credentials."}},
	}
	return d
}

// service adds all RPCs of a service.
func (d *description) service(s protoreflect.ServiceDescriptor) error {
	d.doc.Tags = append(d.doc.Tags, &openapi3.Tag{Name: string(s.Name()), Description: comment(s)})
	for i := range s.Methods().Len() {
		if err := d.method(s, s.Methods().Get(i)); err != nil {
			return fmt.Errorf("%s: %w", s.Methods().Get(i).FullName(), err)
		}
	}
	return nil
}

// rule is the option google.api.http of an RPC.
type rule struct {
	method, template, body string
	// inPath are the fields in the path: their paths in the message by the names that they have in the document.
	inPath map[string]string
	names  []string
}

func ruleOf(m protoreflect.MethodDescriptor) (rule, error) {
	option, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	r := rule{body: option.GetBody(), inPath: map[string]string{}}
	switch p := option.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		r.method, r.template = http.MethodGet, p.Get
	case *annotations.HttpRule_Put:
		r.method, r.template = http.MethodPut, p.Put
	case *annotations.HttpRule_Post:
		r.method, r.template = http.MethodPost, p.Post
	case *annotations.HttpRule_Delete:
		r.method, r.template = http.MethodDelete, p.Delete
	default:
		return r, fmt.Errorf("no path in the option google.api.http: %v", option)
	}
	var path strings.Builder
	for rest := r.template; ; {
		literal, after, found := strings.Cut(rest, "{")
		path.WriteString(literal)
		if !found {
			break
		}
		inside, after, _ := strings.Cut(after, "}")
		field, _, _ := strings.Cut(inside, "=")
		name := field[strings.LastIndexByte(field, '.')+1:]
		r.inPath[name], r.names = field, append(r.names, name)
		path.WriteString("{" + name + "}")
		rest = after
	}
	r.template = path.String()
	return r, nil
}

// method adds one RPC.
func (d *description) method(s protoreflect.ServiceDescriptor, m protoreflect.MethodDescriptor) error {
	r, err := ruleOf(m)
	if err != nil {
		return err
	}
	text := comment(m)
	if text == "" {
		text = string(m.Name()) + "."
	}
	summary, _, _ := strings.Cut(text, ". ")
	op := &openapi3.Operation{
		OperationID: string(m.Name()), Tags: []string{string(s.Name())},
		Summary: strings.TrimSuffix(summary, "."), Description: text,
	}
	for _, name := range r.names {
		field := fieldAt(m.Input(), r.inPath[name])
		op.AddParameter(openapi3.NewPathParameter(name).WithSchema(openapi3.NewStringSchema().WithMinLength(1)).WithDescription(comment(field)))
		if field.Kind() != protoreflect.StringKind {
			op.Parameters[len(op.Parameters)-1].Value.Schema = d.scalar(field)
		}
	}
	d.query(op, m.Input(), r)
	d.requestHeaders(op, s, m, r)
	d.body(op, m, r)
	d.responses(op, m)
	item := d.doc.Paths.Value(r.template)
	if item == nil {
		item = &openapi3.PathItem{}
		d.doc.Paths.Set(r.template, item)
	}
	item.SetOperation(r.method, op)
	return nil
}

func fieldAt(in protoreflect.MessageDescriptor, path string) (field protoreflect.FieldDescriptor) {
	for name := range strings.SplitSeq(path, ".") {
		field = in.Fields().ByName(protoreflect.Name(name))
		in = field.Message()
	}
	return field
}

// query adds the fields that are query parameters.
func (d *description) query(op *openapi3.Operation, in protoreflect.MessageDescriptor, r rule) {
	if r.body == "*" {
		return
	}
	for i := range in.Fields().Len() {
		field := in.Fields().Get(i)
		name := string(field.Name())
		if name == r.body || slices.Contains(r.names, name) {
			continue
		}
		p := openapi3.NewQueryParameter(name).WithDescription(comment(field))
		p.Schema = d.value(field)
		op.AddParameter(p)
	}
}

// requestHeaders adds the headers that an RPC reads.
func (d *description) requestHeaders(op *openapi3.Operation, s protoreflect.ServiceDescriptor, m protoreflect.MethodDescriptor, r rule) {
	add := func(name, text string) {
		op.AddParameter(openapi3.NewHeaderParameter(name).WithSchema(openapi3.NewStringSchema()).WithDescription(text))
	}
	switch {
	case creates(m):
		add("Idempotency-Key", "Makes the request safe to repeat: with the same key and the same request nothing is created twice.")
	case m.Output().Name() == "Event":
		add("Last-Event-ID", "Goes on after the event of this id.")
	case r.method != http.MethodGet && len(r.names) > 0 && (s.Name() == "Policies" || s.Name() == "Experiments" || s.Name() == "PriceModels"):
		add("If-Match", "The etag of the revision that is to be changed. If it is not the present one, the answer is 412.")
		if s.Name() == "Experiments" && r.method == http.MethodPost {
			add("Idempotency-Key", "Makes the command safe to repeat: with the same key and the same request it is carried out once.")
		}
	}
	add("X-Request-Id", "Finds the request in logs, traces and the audit log. Default: one is made.")
}

// creates says whether an RPC makes a new object, which the answer tells by 201.
func creates(m protoreflect.MethodDescriptor) bool {
	return strings.HasPrefix(string(m.Name()), "Create")
}

// body adds the body of the request.
func (d *description) body(op *openapi3.Operation, m protoreflect.MethodDescriptor, r rule) {
	switch r.body {
	case "":
		return
	case "*":
		schema := d.message(m.Input(), r.names...)
		if len(schema.Properties) == 0 {
			return // it may be an empty object
		}
		d.doc.Components.Schemas[string(m.Input().Name())] = openapi3.NewSchemaRef("", schema)
		op.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().
			WithJSONSchemaRef(reference(string(m.Input().Name())))}
	default:
		field := m.Input().Fields().ByName(protoreflect.Name(r.body))
		op.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithRequired(true).
			WithJSONSchemaRef(d.named(field.Message()))}
	}
}

// responses adds what an RPC answers.
func (d *description) responses(op *openapi3.Operation, m protoreflect.MethodDescriptor) {
	status := http.StatusOK
	answer := openapi3.NewResponse().WithDescription("Done.")
	answer.Headers = openapi3.Headers{"X-Request-Id": headerReference("X-Request-Id")}
	switch {
	case m.Output().FullName() == "google.api.HttpBody":
		answer.Content = openapi3.NewContentWithSchema(openapi3.NewStringSchema().WithFormat("binary"), []string{"application/octet-stream"})
		answer.Headers["Content-Disposition"] = headerReference("Content-Disposition")
	case m.IsStreamingServer():
		answer.Content = openapi3.NewContentWithSchema(&openapi3.Schema{
			Type: &openapi3.Types{"string"},
			Description: "Server-sent events: id, event (the type) and data, which is a JSON object as the schema " + string(m.Output().Name()) +
				" has it. The event error has a Problem, and ends the stream.",
		}, []string{"text/event-stream"})
		d.named(m.Output())
	default:
		answer.Content = openapi3.NewContentWithJSONSchemaRef(d.named(m.Output()))
	}
	if !m.IsStreamingServer() && m.Output().Fields().ByName("etag") != nil {
		answer.Headers["ETag"] = headerReference("ETag")
	}
	op.Responses = openapi3.NewResponsesWithCapacity(3)
	if creates(m) {
		if m.Input().Fields().ByName("validate_only") != nil {
			op.Responses.Set("200", &openapi3.ResponseRef{Value: openapi3.NewResponse().
				WithDescription("Nothing is wrong with it; nothing was created.").WithContent(answer.Content)})
		}
		status = http.StatusCreated
		answer.WithDescription("Created.")
		answer.Headers["Location"] = headerReference("Location")
	}
	op.Responses.Set(strconv.Itoa(status), &openapi3.ResponseRef{Value: answer})
	op.Responses.Set("default", &openapi3.ResponseRef{Ref: "#/components/responses/Problem"})
}

// plain adds a path that is no RPC and needs no credentials.
func (d *description) plain(path, id, text string, schema *openapi3.Schema) {
	op := &openapi3.Operation{
		OperationID: id, Tags: []string{"Health"}, Summary: strings.TrimSuffix(text, "."), Security: &openapi3.SecurityRequirements{},
		Responses: openapi3.NewResponsesWithCapacity(2),
	}
	op.Responses.Set("200", &openapi3.ResponseRef{Value: openapi3.NewResponse().WithDescription("Done.").WithJSONSchema(schema)})
	op.Responses.Set("default", &openapi3.ResponseRef{Ref: "#/components/responses/Problem"})
	d.doc.Paths.Set(path, &openapi3.PathItem{Get: op})
}
