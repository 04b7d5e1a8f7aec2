package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// pathCardinality is where the client asks.
const pathCardinality = "/api/v1/cardinality"

const (
	// clientTimeout bounds a request when the caller brings no HTTP client.
	clientTimeout = 30 * time.Second
	// maxAnswerBytes bounds what a client reads of one answer.
	maxAnswerBytes = 256 << 20
)

// Client asks the API of one control plane. It is safe for concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
}

// UnreachableError is returned if nothing answers at the client's address.
type UnreachableError struct {
	// Address is the client's address.
	Address string
	// Err is why the request did not get through.
	Err error
}

// Error names the address and the cause.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("reach the control plane at %s: %v", e.Address, e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// NewClient returns a client of the control plane at address, such as
// "http://localhost:8620" or "localhost:8620". A nil client means one with a
// timeout of 30s.
func NewClient(address string, client *http.Client) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	if base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("address %q: must begin with http:// or https://", address)
	}
	if base.Host == "" {
		return nil, fmt.Errorf("address %q: has no host", address)
	}
	if client == nil {
		client = &http.Client{Timeout: clientTimeout}
	}
	return &Client{base: base, http: client}, nil
}

// Cardinality lists what metrics cost.
func (c *Client) Cardinality(ctx context.Context, q CardinalityQuery) (*CardinalityList, error) {
	return decodeAnswer[CardinalityList](c.CardinalityJSON(ctx, q))
}

// MetricCardinality says what one metric costs, attribute by attribute.
func (c *Client) MetricCardinality(ctx context.Context, metric string, q MetricQuery) (*MetricCardinality, error) {
	return decodeAnswer[MetricCardinality](c.MetricCardinalityJSON(ctx, metric, q))
}

// CardinalityJSON is Cardinality as the API writes it, also with fields that
// this client does not know.
func (c *Client) CardinalityJSON(ctx context.Context, q CardinalityQuery) (json.RawMessage, error) {
	return c.get(ctx, pathCardinality, q.values())
}

// MetricCardinalityJSON is MetricCardinality as the API writes it.
func (c *Client) MetricCardinalityJSON(ctx context.Context, metric string, q MetricQuery) (json.RawMessage, error) {
	// A name may be or hold ".." and slashes, which servers would resolve.
	segment := strings.ReplaceAll(url.PathEscape(metric), ".", "%2E")
	return c.get(ctx, pathCardinality+"/"+segment, q.values())
}

// Ready returns nil if the collector's pipelines run.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.get(ctx, pathReady, nil)
	return err
}

// get asks for an escaped path. Its error is an *UnreachableError, a *Problem,
// or says that something else answers at the address.
func (c *Client) get(ctx context.Context, escapedPath string, query url.Values) (json.RawMessage, error) {
	target := *c.base
	target.RawPath = strings.TrimSuffix(c.base.EscapedPath(), "/") + escapedPath
	path, err := url.PathUnescape(target.RawPath)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", target.RawPath, err)
	}
	target.Path, target.RawQuery = path, query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.base.Redacted(), err)
	}
	req.Header.Set("Accept", "application/json, "+problemType)
	resp, err := c.http.Do(req)
	if err != nil {
		if cause := ctx.Err(); cause != nil {
			return nil, cause
		}
		return nil, &UnreachableError{Address: c.base.Redacted(), Err: innermost(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.base.Redacted(), err)
	}
	return c.answer(resp, body)
}

func (c *Client) answer(resp *http.Response, body []byte) (json.RawMessage, error) {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == problemType {
		var p Problem
		if err := json.Unmarshal(body, &p); err != nil {
			return nil, fmt.Errorf("read the problem that %s answered: %w", c.base.Redacted(), err)
		}
		return nil, &p
	}
	if resp.StatusCode != http.StatusOK || kind != "application/json" {
		return nil, fmt.Errorf("%s answered %s with %q, which is not the Phoenix API; is it the address of a phoenix_control extension?",
			c.base.Redacted(), resp.Status, kind)
	}
	return body, nil
}

func decodeAnswer[T any](body json.RawMessage, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	answer := new(T)
	if err := json.Unmarshal(body, answer); err != nil {
		return nil, fmt.Errorf("decode the answer: %w", err)
	}
	return answer, nil
}

// innermost drops the method and address that url.Error puts in front, for the
// UnreachableError names the address itself.
func innermost(err error) error {
	if inURL, ok := errors.AsType[*url.Error](err); ok {
		return inURL.Err
	}
	return err
}
