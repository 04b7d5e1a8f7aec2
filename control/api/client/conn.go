package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// conn asks over REST what the generated clients ask over gRPC.
type conn struct {
	base       *url.URL
	address    string
	credential string
	userAgent  string
	timeout    time.Duration
	// pause is that after the first failed attempt, silence how long a stream may
	// say nothing.
	pause, silence time.Duration
	http           *http.Client
}

// call is one HTTP request before it is bound to an address.
type call struct {
	method string
	// path is escaped and begins with a slash.
	path   string
	query  url.Values
	body   []byte
	accept string
	header http.Header
	// repeatable: it may be sent again though the server may have acted on it.
	repeatable bool
}

// header is a grpc.CallOption that sets a header of the request.
type header struct {
	grpc.EmptyCallOption
	name, value string
}

// IfMatch makes a change conditional on the etag that the resource has.
func IfMatch(etag string) grpc.CallOption { return header{name: "If-Match", value: etag} }

// IdempotencyKey names a creation, so that a repetition has no effect. Default:
// a random one for each call.
func IdempotencyKey(key string) grpc.CallOption { return header{name: "Idempotency-Key", value: key} }

// Invoke implements grpc.ClientConnInterface.
func (c *conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	r, err := routeOf(method)
	if err != nil {
		return err
	}
	request, err := r.encode(args.(proto.Message))
	if err != nil {
		return err
	}
	request.header = http.Header{}
	if r.creates() {
		request.header.Set("Idempotency-Key", strings.ToLower(rand.Text()))
	}
	for _, o := range opts {
		if h, ok := o.(header); ok {
			request.header.Set(h.name, h.value)
		}
	}
	request.repeatable = repeatable(request)
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.do(ctx, request)
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	return c.decode(resp, reply.(proto.Message))
}

var errStream = errors.New("is a stream: use Events, WatchExperiment or Backup")

// NewStream implements grpc.ClientConnInterface, and refuses.
func (c *conn) NewStream(_ context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, fmt.Errorf("%s: %w", method, errStream)
}

// attempt sends the request once. Its error is the context's, or says that nothing
// answered.
func (c *conn) attempt(ctx context.Context, r *call) (*http.Response, error) {
	target := *c.base
	target.RawPath = strings.TrimSuffix(c.base.EscapedPath(), "/") + r.path
	path, err := url.PathUnescape(target.RawPath)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", target.RawPath, err)
	}
	target.Path, target.RawQuery = path, r.query.Encode()
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.address, err)
	}
	maps.Copy(req.Header, r.header)
	accept := r.accept
	if accept == "" {
		accept = mediaJSON
	}
	req.Header.Set("Accept", accept+", "+mediaProblem)
	req.Header.Set("User-Agent", c.userAgent)
	if r.body != nil {
		req.Header.Set("Content-Type", mediaJSON)
	}
	if c.credential != "" {
		req.Header.Set("Authorization", "Bearer "+c.credential)
	}
	resp, err := c.http.Do(req)
	if err == nil {
		return resp, nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err()
	}
	return nil, &UnreachableError{Address: c.address, Err: innermost(err)}
}

var fromJSON = protojson.UnmarshalOptions{DiscardUnknown: true} // a newer server says more

func (c *conn) decode(resp *http.Response, reply proto.Message) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode/100 != 2 || kind != mediaJSON {
		return c.refusal(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return &UnreachableError{Address: c.address, Err: fmt.Errorf("the answer was cut off: %w", err)}
	case len(body) > maxAnswerBytes:
		return fmt.Errorf("the answer of %s is longer than %d MiB; ask for less", c.address, maxAnswerBytes>>20)
	}
	if err := fromJSON.Unmarshal(body, reply); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", c.address, err)
	}
	return nil
}

// drain lets the connection be used again, unless much is left to read.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10)
	_ = body.Close()
}
