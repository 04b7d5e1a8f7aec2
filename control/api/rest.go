package api

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/fault"
)

// router finds the RPC of a REST request by the options google.api.http. It is
// the mux of grpc-gateway, with handlers that go through the same code as gRPC:
// generated ones lose the type of an error, cannot stream in process, and pass
// over what they do not know.
type router struct{ mux *runtime.ServeMux }

func newRouter(s *Server) (*router, error) {
	rt := &router{}
	rt.mux = runtime.NewServeMux(
		// Only between slashes that are not escaped does a segment end.
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptSlash),
		runtime.WithDisablePathLengthFallback(), runtime.WithDisableHTTPMethodOverride(),
		runtime.WithRoutingErrorHandler(rt.unrouted),
		runtime.WithErrorHandler(func(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, _ http.ResponseWriter, _ *http.Request, _ error) {
			exchangeOf(ctx).refuseFor(fault.Violated("path", "holds an escape sequence that is none"))
		}),
	)
	for _, m := range inOrder(s.methods) {
		if err := rt.mux.HandlePath(m.httpMethod, m.template, serveMethod(m)); err != nil {
			return nil, fmt.Errorf("api: %s: path %s: %w", m.short, m.template, err)
		}
	}
	return rt, nil
}

// inOrder sorts methods so that the mux, which asks the last one first, comes to
// patterns that match any number of segments when no other fits.
func inOrder(methods map[string]*method) []*method {
	return slices.SortedFunc(maps.Values(methods), func(a, b *method) int {
		return cmp.Or(
			-cmp.Compare(strings.Count(a.template, "**"), strings.Count(b.template, "**")),
			cmp.Compare(a.full, b.full),
		)
	})
}

type probeKey struct{}

// serve answers a REST request of somebody who is known.
func (rt *router) serve(x *exchange) {
	path := x.r.URL.EscapedPath()
	if !plain(path) {
		x.refuseFor(unknownPath())
		return
	}
	r := x.r.WithContext(x.ctx)
	r.URL = &url.URL{Path: x.r.URL.Path, RawPath: path, RawQuery: x.r.URL.RawQuery} // unescaped once, always
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet
	}
	rt.mux.ServeHTTP(x.w, r)
}

// plain says whether a path has no segment that is empty, or that stands for
// another place.
func plain(path string) bool {
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		text, err := url.PathUnescape(segment)
		if err != nil || text == "" || text == "." || text == ".." {
			return false
		}
	}
	return strings.HasPrefix(path, "/")
}

// serveMethod answers the requests of one RPC.
func serveMethod(m *method) runtime.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request, params map[string]string) {
		ctx := r.Context()
		if found, probing := ctx.Value(probeKey{}).(*bool); probing {
			*found = true
			return
		}
		x := exchangeOf(ctx)
		x.is(m)
		if m.stream != nil && x.r.Method == http.MethodHead {
			x.streaming = false
			x.refuseMethod([]string{http.MethodGet})
			return
		}
		if f := x.take(m.verb); f != nil {
			x.refuse(f)
			return
		}
		m.unescapeRest(params, r.URL.RawPath)
		if m.stream != nil {
			x.stream(ctx, m, params)
			return
		}
		x.unary(ctx, m, params)
	}
}

// unescapeRest takes the value of a field that stands for the rest of a path
// from there: of those the mux leaves some escape sequences.
func (m *method) unescapeRest(params map[string]string, path string) {
	prefix, field, found := strings.Cut(m.template, "{")
	name, isRest := strings.CutSuffix(field, "=**}")
	if !found || !isRest {
		return
	}
	if text, err := url.PathUnescape(strings.TrimPrefix(path, prefix)); err == nil {
		params[name] = text
	}
}

// unary answers with one message.
func (x *exchange) unary(ctx context.Context, m *method, params map[string]string) {
	ctx, cancel := context.WithTimeout(ctx, x.server.Timeout)
	defer cancel()
	var request proto.Message
	answer, f := invoke(ctx, m, func(into proto.Message) error {
		request = into
		return x.decode(m, into, params)
	})
	if f != nil {
		x.refuse(f)
		return
	}
	x.succeed(m, request, answer)
}

// refuseFor refuses a request that is for no RPC. It counts like one that reads.
func (x *exchange) refuseFor(f *fault.Fault) {
	if limited := x.take(access.Get); limited != nil {
		f = limited
	}
	x.refuse(f)
}

func unknownPath() *fault.Fault {
	return fault.New(fault.NotFound, "there is nothing at this path; "+pathOpenAPI+" describes all that there are")
}

// unrouted answers a request that no RPC is for: there is no such path, or it
// takes other methods.
func (rt *router) unrouted(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, _ http.ResponseWriter, r *http.Request, status int) {
	if _, probing := ctx.Value(probeKey{}).(*bool); probing {
		return
	}
	x := exchangeOf(ctx)
	if status == http.StatusMethodNotAllowed {
		if allowed := rt.allowed(r); len(allowed) > 0 {
			x.refuseMethod(allowed)
			return
		}
	}
	x.refuseFor(unknownPath())
}

// allowed returns the methods that a path takes.
func (rt *router) allowed(r *http.Request) []string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		found := false
		probe := r.WithContext(context.WithValue(r.Context(), probeKey{}, &found))
		probe.Method = method
		rt.mux.ServeHTTP(nil, probe)
		if found {
			methods = append(methods, method)
		}
	}
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	return methods
}

// refuseMethod refuses a method and says which ones there are.
func (x *exchange) refuseMethod(allowed []string) {
	list := strings.Join(allowed, ", ")
	x.w.Header().Set("Allow", list)
	x.refuse(fault.New(fault.MethodNotAllowed, "the method "+abbreviate(x.r.Method)+" is not allowed here; use "+list))
}
