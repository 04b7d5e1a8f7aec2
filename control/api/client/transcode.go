package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// route is how an RPC is asked over REST: the google.api.http option of the
// proto, which the server's gateway is generated from, too.
type route struct {
	method string
	// template is a path in which {field} and {field=**} stand for values.
	template string
	// body is the field that is the body, * for all fields that are not in the
	// path, empty for none.
	body string
}

var (
	routes sync.Map // of route by full method name

	errNoRoute = errors.New("has no REST form")
)

// routeOf finds the route of /phoenix.v1.Service/Method.
func routeOf(method string) (route, error) {
	if r, known := routes.Load(method); known {
		return r.(route), nil
	}
	name := protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", "."))
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return route{}, fmt.Errorf("%s: %w", method, err)
	}
	rule, ok := proto.GetExtension(d.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return route{}, fmt.Errorf("%s: %w", method, errNoRoute)
	}
	r := route{body: rule.GetBody()}
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		r.method, r.template = http.MethodGet, p.Get
	case *annotations.HttpRule_Put:
		r.method, r.template = http.MethodPut, p.Put
	case *annotations.HttpRule_Post:
		r.method, r.template = http.MethodPost, p.Post
	case *annotations.HttpRule_Delete:
		r.method, r.template = http.MethodDelete, p.Delete
	case *annotations.HttpRule_Patch:
		r.method, r.template = http.MethodPatch, p.Patch
	default:
		return route{}, fmt.Errorf("%s: %w", method, errNoRoute)
	}
	routes.Store(method, r)
	return r, nil
}

// creates says whether the request makes something new, so that a repetition
// would make a second one.
func (r route) creates() bool {
	last := r.template[strings.LastIndexByte(r.template, '/')+1:]
	return r.method == http.MethodPost && !strings.Contains(last, ":")
}

var toJSON = protojson.MarshalOptions{UseProtoNames: true}

// encode makes the HTTP request of a message.
func (r route) encode(m proto.Message) (*call, error) {
	out := &call{method: r.method}
	inPath := map[string]bool{}
	var err error
	if out.path, err = r.fill(m.ProtoReflect(), inPath); err != nil {
		return nil, err
	}
	switch r.body {
	case "":
	case "*":
		rest := proto.Clone(m)
		for name := range inPath {
			rest.ProtoReflect().Clear(rest.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name)))
		}
		out.body, err = toJSON.Marshal(rest)
		return out, err
	default:
		field := m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(r.body))
		if out.body, err = toJSON.Marshal(m.ProtoReflect().Get(field).Message().Interface()); err != nil {
			return nil, err
		}
	}
	out.query = url.Values{}
	m.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if name := string(fd.Name()); !inPath[name] && name != r.body {
			err = addQuery(out.query, fd, v)
		}
		return err == nil
	})
	return out, err
}

// fill writes the values of fields into the template, and their top names into
// used.
func (r route) fill(m protoreflect.Message, used map[string]bool) (string, error) {
	var path strings.Builder
	rest := r.template
	for {
		before, after, more := strings.Cut(rest, "{")
		path.WriteString(before)
		if !more {
			return path.String(), nil
		}
		name, tail, _ := strings.Cut(after, "}")
		rest = tail
		name, _, _ = strings.Cut(name, "=")
		value, err := textAt(m, name)
		if err != nil {
			return "", err
		}
		if value == "" {
			return "", fmt.Errorf("%s: must not be empty", name)
		}
		top, _, _ := strings.Cut(name, ".")
		used[top] = true
		path.WriteString(escapeSegment(value))
	}
}

// textAt gives the value of a field as text; a dot leads into a message.
func textAt(m protoreflect.Message, path string) (string, error) {
	name, rest, deeper := strings.Cut(path, ".")
	fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if fd == nil {
		return "", fmt.Errorf("%s has no field %s", m.Descriptor().FullName(), name)
	}
	if deeper {
		return textAt(m.Get(fd).Message(), rest)
	}
	if !m.Has(fd) {
		return "", nil
	}
	return m.Get(fd).String(), nil
}

// escapeSegment writes a value as one segment of a path. A name may be or hold
// "..", slashes and colons, which servers would take for something else.
func escapeSegment(value string) string {
	return strings.NewReplacer(".", "%2E", ":", "%3A").Replace(url.PathEscape(value))
}

func addQuery(q url.Values, fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	name := string(fd.Name())
	switch {
	case fd.IsMap():
		return fmt.Errorf("%s: a map has no form as a parameter", name)
	case fd.IsList():
		for i := range v.List().Len() {
			q.Add(name, v.List().Get(i).String())
		}
	case fd.Message() != nil:
		at, ok := v.Message().Interface().(*timestamppb.Timestamp)
		if !ok {
			return fmt.Errorf("%s: a message has no form as a parameter", name)
		}
		q.Set(name, at.AsTime().Format(time.RFC3339Nano))
	default:
		q.Set(name, v.String())
	}
	return nil
}
