package prometheus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// Range is when a range query is evaluated: from Start to End, inclusive, each
// Step.
type Range struct {
	Start, End time.Time
	Step       time.Duration
}

// Query evaluates PromQL at one time. What Prometheus warns about is an error,
// and so is a result that is not a vector.
func (s *Server) Query(ctx context.Context, promql string, at time.Time) (model.Vector, error) {
	return ask[model.Vector](ctx, s, "query", url.Values{"query": {promql}, "time": {seconds(at)}})
}

// QueryRange evaluates PromQL at the times of a range. What Prometheus warns
// about is an error.
func (s *Server) QueryRange(ctx context.Context, promql string, r Range) (model.Matrix, error) {
	return ask[model.Matrix](ctx, s, "query_range", url.Values{
		"query": {promql}, "start": {seconds(r.Start)}, "end": {seconds(r.End)},
		"step": {strconv.FormatFloat(r.Step.Seconds(), 'f', -1, 64)},
	})
}

// Write sends metrics over OTLP/HTTP. They can be queried when it returns. It
// is an error if any of them is refused.
func (s *Server) Write(ctx context.Context, md pmetric.Metrics) error {
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	answer, err := s.post(ctx, s.OTLPEndpoint+"/v1/metrics", "application/x-protobuf", body)
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	if answer.status/100 != 2 {
		return fmt.Errorf("write metrics: %d: %s", answer.status, bytes.TrimSpace(answer.body))
	}
	return nil
}

// Prometheus keeps milliseconds.
func seconds(at time.Time) string {
	return fmt.Sprintf("%d.%03d", at.UnixMilli()/1000, at.UnixMilli()%1000)
}

// reply is the answer of the HTTP API,
// https://prometheus.io/docs/prometheus/latest/querying/api/#format-overview.
type reply struct {
	Status    string          `json:"status"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
	Data      json.RawMessage `json:"data"`
}

func ask[T model.Vector | model.Matrix](ctx context.Context, s *Server, endpoint string, form url.Values) (T, error) {
	answer, err := s.post(ctx, s.URL+"/api/v1/"+endpoint, "application/x-www-form-urlencoded", []byte(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", endpoint, form.Get("query"), err)
	}
	result, err := decode[T](answer)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", endpoint, form.Get("query"), err)
	}
	return result, nil
}

func decode[T model.Vector | model.Matrix](answer answer) (T, error) {
	var said reply
	if err := json.Unmarshal(answer.body, &said); err != nil {
		return nil, fmt.Errorf("%d: %w", answer.status, err)
	}
	if said.Status != "success" {
		return nil, fmt.Errorf("%d: %s: %s", answer.status, said.ErrorType, said.Error)
	}
	if len(said.Warnings) > 0 {
		return nil, errors.New(strings.Join(said.Warnings, "; "))
	}
	var data struct {
		Type   model.ValueType `json:"resultType"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(said.Data, &data); err != nil {
		return nil, err
	}
	var result T
	if want := model.Value(result).Type(); data.Type != want {
		return nil, fmt.Errorf("the result is a %s, not a %s", data.Type, want)
	}
	err := json.Unmarshal(data.Result, &result)
	return result, err
}

// answer is an HTTP response that was read to its end.
type answer struct {
	status int
	body   []byte
}

func (s *Server) post(ctx context.Context, to, contentType string, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", contentType)
	response, err := s.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, body: read}, err
}
