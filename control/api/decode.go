package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/phoenix-platform/phoenix/control/api/fault"
)

// decode fills a request with what path, query and body say. What it does not
// know it refuses, and it names every mistake.
func (x *exchange) decode(m *method, into proto.Message, params map[string]string) error {
	violations, err := x.decodeBody(m, into)
	if err != nil {
		return err
	}
	x.wasRead()
	violations = append(violations, decodePath(m, into.ProtoReflect(), params)...)
	violations = append(violations, decodeQuery(m, into, x.r.URL.RawQuery)...)
	if len(violations) > 0 {
		return fault.Violates(violations...)
	}
	return nil
}

// decodePath sets the fields that are in the path. If the body has them, too,
// they must be the same.
func decodePath(m *method, into protoreflect.Message, params map[string]string) []fault.Violation {
	var found []fault.Violation
	for _, path := range m.inPath {
		value := params[path]
		if !utf8.ValidString(value) {
			found = append(found, fault.Violation{Field: path, Description: "must be UTF-8"})
			continue
		}
		if before, given := textAt(into, path); given && before != value {
			found = append(found, fault.Violation{Field: path, Description: "must be the one in the path, or be left out"})
			continue
		}
		if err := runtime.PopulateFieldFromPath(into.Interface(), path, value); err != nil {
			found = append(found, fault.Violation{Field: path, Description: describe(fieldAt(m.input, path))})
		}
	}
	return found
}

// fieldAt finds a field by its path in the proto.
func fieldAt(in protoreflect.MessageDescriptor, path string) (field protoreflect.FieldDescriptor) {
	for name := range strings.SplitSeq(path, ".") {
		if field = in.Fields().ByName(protoreflect.Name(name)); field == nil {
			return nil
		}
		in = field.Message()
	}
	return field
}

// textAt returns a field as text, if it is set.
func textAt(in protoreflect.Message, path string) (text string, set bool) {
	name, rest, nested := strings.Cut(path, ".")
	field := in.Descriptor().Fields().ByName(protoreflect.Name(name))
	if field == nil || !in.Has(field) {
		return "", false
	}
	if nested {
		return textAt(in.Get(field).Message(), rest)
	}
	return fmt.Sprint(in.Get(field).Interface()), true
}

var everything = utilities.NewDoubleArray(nil)

// decodeQuery sets the fields that are query parameters: those that are neither
// in the path nor the body.
func decodeQuery(m *method, into proto.Message, query string) []fault.Violation {
	if query == "" {
		return nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return []fault.Violation{{Field: "query", Description: "is not well formed: separate parameters by &, and escape what is no letter or digit"}}
	}
	allowed := m.parameters()
	var found []fault.Violation
	for _, name := range slices.Sorted(mapKeys(values)) {
		field := allowed[name]
		switch texts := values[name]; {
		case len(found) >= maxViolations:
			return found
		case field == nil:
			found = append(found, fault.Violation{Field: abbreviate(strings.ToValidUTF8(name, "\uFFFD")), Description: "is no parameter here; " + known(allowed)})
		case slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) }):
			found = append(found, fault.Violation{Field: name, Description: "must be UTF-8"})
		case len(texts) > 1 && !field.IsList():
			found = append(found, fault.Violation{Field: name, Description: "is given more than once"})
		default:
			if err := runtime.PopulateQueryParameters(into, url.Values{name: texts}, everything); err != nil {
				found = append(found, fault.Violation{Field: name, Description: describe(field)})
			}
		}
	}
	return found
}

// mapKeys iterates over the names of query parameters.
func mapKeys(values url.Values) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range values {
			if !yield(name) {
				return
			}
		}
	}
}

// parameters are the fields that may be in the query, by name.
func (m *method) parameters() map[string]protoreflect.FieldDescriptor {
	if m.body == "*" {
		return nil
	}
	allowed := map[string]protoreflect.FieldDescriptor{}
	fields := m.input.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := string(field.Name())
		if name != m.body && !slices.Contains(m.inPath, name) {
			allowed[name] = field
		}
	}
	return allowed
}

func known(allowed map[string]protoreflect.FieldDescriptor) string {
	if len(allowed) == 0 {
		return "there are none"
	}
	names := make([]string, 0, len(allowed))
	for name := range allowed {
		names = append(names, name)
	}
	slices.Sort(names)
	return "there are: " + strings.Join(names, ", ")
}

// maxDepth bounds how deep JSON may be nested. Policies need 8.
const maxDepth = 64

var fromJSON = protojson.UnmarshalOptions{RecursionLimit: maxDepth}

// decodeBody reads the body into the request, or into the field of it that is the body.
func (x *exchange) decodeBody(m *method, into proto.Message) ([]fault.Violation, error) {
	raw, err := x.readBody(m)
	if err != nil {
		return nil, err
	}
	if m.body == "" {
		if len(raw) > 0 {
			return []fault.Violation{{Field: bodyField, Description: "must be empty: this method takes no body"}}, nil
		}
		return nil, nil
	}
	prefix := ""
	if m.body != "*" {
		prefix = m.body
		field := m.input.Fields().ByName(protoreflect.Name(m.body))
		into = into.ProtoReflect().Mutable(field).Message().Interface()
	}
	if len(raw) == 0 {
		if prefix == "" {
			return nil, nil // all fields may be missing
		}
		return []fault.Violation{{Field: prefix, Description: "is required: send it as the body"}}, nil
	}
	if err := fromJSON.Unmarshal(raw, into); err != nil {
		return explain(raw, into.ProtoReflect().Descriptor(), prefix, err), nil
	}
	return nil, nil
}

// readBody reads the body, which must be JSON if there is one. Of a method that
// takes none it reads enough to know that there is one.
func (x *exchange) readBody(m *method) ([]byte, error) {
	r := x.r
	if r.ContentLength == 0 {
		return nil, nil
	}
	if m.body == "" {
		one := make([]byte, 1)
		n, err := io.ReadFull(r.Body, one)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, x.notRead(err)
		}
		return one[:n], nil
	}
	if r.ContentLength > x.server.MaxBody {
		return nil, x.notRead(&http.MaxBytesError{Limit: x.server.MaxBody})
	}
	if kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != mediaJSON ||
		!strings.EqualFold(parameters["charset"], "utf-8") && parameters["charset"] != "" {
		return nil, fault.New(fault.UnsupportedMedia, "the body must be JSON in UTF-8: send it with the header Content-Type: application/json")
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, fault.New(fault.UnsupportedMedia, "the body must not be encoded")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(x.w, r.Body, x.server.MaxBody))
	if err != nil {
		return nil, x.notRead(err)
	}
	return raw, nil
}

// notRead is the fault of a body that could not be read.
func (x *exchange) notRead(err error) error {
	var (
		tooLarge *http.MaxBytesError
		network  net.Error
	)
	f := fault.Violated(bodyField, "could not be read to its end")
	switch {
	case errors.As(err, &tooLarge):
		x.w.Header().Set("Connection", "close") // rather than reading what is left of it
		f = fault.New(fault.TooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit))
	case errors.As(err, &network) && network.Timeout():
		x.w.Header().Set("Connection", "close")
		f = fault.New(fault.SlowRequest, fmt.Sprintf("the body did not come within %s", x.server.Timeout))
	}
	f.Cause = err
	return f
}
