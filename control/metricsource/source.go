package metricsource

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/policy"
)

// DefaultTimeout bounds one query.
const DefaultTimeout = 5 * time.Second

// Settings says where to ask.
type Settings struct {
	// URL is that of the server, without /api/v1. A tenant's path may be part of
	// it. Required.
	URL string
	// Headers are sent with each query, such as Authorization or X-Scope-OrgID.
	Headers map[string]string
	// Timeout bounds one query. Default: 5s.
	Timeout time.Duration
	// Client sends the queries. Default: that of the standard library.
	Client *http.Client
}

// Validate reports what is wrong with the settings, the key of the
// configuration first.
func (s Settings) Validate() error {
	var errs []error
	if u, err := url.Parse(s.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, fmt.Errorf("url: must be http:// or https:// and a host, got %q", s.URL))
	} else if u.User != nil {
		errs = append(errs, errors.New("url: must hold no password: use headers"))
	}
	if s.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout: must be positive, got %s", s.Timeout))
	}
	return errors.Join(errs...)
}

// Source asks one server. Its methods may be called by many goroutines.
type Source struct {
	api     v1.API
	timeout time.Duration
}

// New returns a source; the server is not asked yet.
func New(s Settings) (*Source, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport
	if s.Client != nil && s.Client.Transport != nil {
		transport = s.Client.Transport
	}
	client, err := api.NewClient(api.Config{Address: s.URL, RoundTripper: headers{s.Headers, transport}})
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	return &Source{api: v1.NewAPI(client), timeout: s.Timeout}, nil
}

// headers adds headers to each request.
type headers struct {
	values map[string]string
	next   http.RoundTripper
}

func (h headers) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, value := range h.values {
		r.Header.Set(name, value)
	}
	return h.next.RoundTrip(r)
}

// Ask asks the query of a guardrail at a time, once for each arm. In the query
// $arm stands for baseline or candidate, and $experiment for the id. Each answer
// must be one number: a vector without an element, and NaN, are no data; one
// with several elements is an error, because which of them is meant nobody knows.
func (s *Source) Ask(ctx context.Context, id string, g experiment.Guardrail, now time.Time) experiment.Answer {
	a := experiment.Answer{Guardrail: g.Name}
	for _, arm := range []struct {
		name  policy.Arm
		value *experiment.Number
	}{{policy.ArmBaseline, &a.Baseline}, {policy.ArmCandidate, &a.Candidate}} {
		value, found, err := s.value(ctx, Expand(g.Query, id, arm.name), now)
		switch {
		case err != nil:
			a.Error = fmt.Sprintf("%s: %s", arm.name, err)
			return a
		case !found:
			a.NoData = true
		default:
			*arm.value = experiment.Number(value)
		}
	}
	return a
}

// Expand writes the id and the arm into a query.
func Expand(query, id string, arm policy.Arm) string {
	return strings.NewReplacer("$experiment", id, "$arm", string(arm)).Replace(query)
}

func (s *Source) value(ctx context.Context, query string, now time.Time) (value float64, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	answer, _, err := s.api.Query(ctx, query, now)
	if err != nil {
		return 0, false, err
	}
	switch answer := answer.(type) {
	case *model.Scalar:
		value, found = float64(answer.Value), true
	case model.Vector:
		if len(answer) > 1 {
			return 0, false, fmt.Errorf("%d series answer to %q, one is needed: aggregate them, say by sum()", len(answer), query)
		}
		for _, sample := range answer {
			if sample.Histogram != nil {
				return 0, false, fmt.Errorf("a histogram answers to %q, a number is needed", query)
			}
			value, found = float64(sample.Value), true
		}
	default:
		return 0, false, fmt.Errorf("a %s answers to %q, a scalar or an instant vector is needed", answer.Type(), query)
	}
	return value, found && !math.IsNaN(value), nil
}
