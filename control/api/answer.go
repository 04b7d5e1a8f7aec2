package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/phoenix-platform/phoenix/control/api/fault"
)

const mediaJSON = "application/json"

// WriteProblem writes a problem with the security headers of every answer. It
// has the signature of confighttp's error handler, for errors that arise before
// a request reaches this package, such as a body that cannot be decompressed.
func WriteProblem(w http.ResponseWriter, r *http.Request, detail string, status int) {
	secure(w.Header())
	id := requestID(r)
	w.Header().Set(headerRequestID, id)
	f := fault.New(reasonOf(status), detail)
	if isGRPC(r) {
		refuseGRPC(w, f)
		return
	}
	writeFault(w, r, f, id)
}

// reasonOf is the reason for a status that others chose.
func reasonOf(status int) fault.Reason {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.Forbidden
	case http.StatusRequestEntityTooLarge:
		return fault.TooLarge
	case http.StatusUnsupportedMediaType:
		return fault.UnsupportedMedia
	case http.StatusTooManyRequests:
		return fault.RateLimited
	case http.StatusServiceUnavailable:
		return fault.Unavailable
	}
	if status >= http.StatusInternalServerError {
		return fault.Internal
	}
	return fault.Invalid
}

// writeFault writes a fault as a problem.
func writeFault(w http.ResponseWriter, r *http.Request, f *fault.Fault, requestID string) {
	p := fault.ToProblem(f, abbreviate(r.URL.EscapedPath()), requestID)
	body := append(p.JSON(), '\n')
	h := w.Header()
	h.Set("Content-Type", fault.ProblemMedia)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if seconds := f.RetryAfterSeconds(); seconds > 0 {
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if f.Reason == fault.Unauthenticated {
		h.Set("WWW-Authenticate", `Bearer realm="phoenix"`)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) //nolint:gosec // G705: it is JSON and nosniff says so; a client that has gone away cannot be told
}

// toJSON has the names of the proto. Messages that are not there are left out;
// everything else is written, so that readers need no defaults.
var toJSON = protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}

// encode returns the JSON of a message without the blanks that protojson puts in
// at random.
func encode(m proto.Message) ([]byte, error) {
	raw, err := toJSON.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	var stable bytes.Buffer
	stable.Grow(len(raw) + 1)
	err = json.Compact(&stable, raw)
	return stable.Bytes(), err
}

// succeed writes the answer of a service.
func (x *exchange) succeed(m *method, request, answer proto.Message) {
	body, err := encode(answer)
	if err != nil {
		x.refuse(fault.Of(err))
		return
	}
	h, status := x.w.Header(), http.StatusOK
	if etag := textIn(answer, "etag"); etag != "" {
		h.Set("ETag", etag)
	}
	if m.located != nil {
		if path := m.located(request, answer); path != "" {
			h.Set("Location", path)
			status = http.StatusCreated
		}
	}
	x.write(status, body)
}

// write writes a JSON document as a line.
func (x *exchange) write(status int, body []byte) {
	body = append(bytes.Clone(body), '\n')
	x.status.Store(int32(status)) //nolint:gosec // a status has three digits
	x.w.Header().Set("Content-Type", mediaJSON)
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // a client that has gone away cannot be told so
}

// textIn returns a text field of a message, empty if it has none of that name.
func textIn(m proto.Message, name protoreflect.Name) string {
	field := m.ProtoReflect().Descriptor().Fields().ByName(name)
	if field == nil || field.Kind() != protoreflect.StringKind || field.IsList() {
		return ""
	}
	return m.ProtoReflect().Get(field).String()
}
