// Package controltest gives tests a control plane that answers over HTTP, and
// sources that say what a test wants them to say.
package controltest

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/report"
)

// Source is a report.CardinalitySource with a fixed answer. Register its
// address.
type Source struct {
	Answer report.Cardinality
}

var _ report.CardinalitySource = (*Source)(nil)

// Cardinality gives the part of the answer that is asked for, as a measuring
// component would.
func (s *Source) Cardinality(ctx context.Context, q report.CardinalityQuery) (report.Cardinality, error) {
	if err := ctx.Err(); err != nil {
		return report.Cardinality{}, err
	}
	answer := s.Answer
	if q.Since > answer.Window {
		return report.Cardinality{}, fmt.Errorf("%w: at most %s, asked for %s", report.ErrSinceTooLong, answer.Window, q.Since)
	}
	if q.Since > 0 {
		answer.From = answer.To.Add(-q.Since)
	}
	answer.Metrics = nil
	for _, m := range s.Answer.Metrics {
		if q.Metric != "" && q.Metric != m.Name {
			continue
		}
		if !q.Detail {
			m.Attributes, m.Groups = nil, nil
		}
		answer.Metrics = append(answer.Metrics, m)
	}
	return answer, nil
}

// Register makes a Source with each answer known to the plane, under the point
// and component of the answer.
func Register(tb testing.TB, registry report.CardinalityRegistry, answers ...report.Cardinality) {
	tb.Helper()
	for _, answer := range answers {
		unregister, err := registry.RegisterCardinality(report.CardinalityRegistration{
			Component: answer.Component,
			Point:     answer.Point,
			Source:    &Source{Answer: answer},
		})
		require.NoError(tb, err)
		tb.Cleanup(unregister)
	}
}

// Open opens a control plane whose store is gone with the test.
func Open(tb testing.TB, s control.Settings) *control.Plane {
	tb.Helper()
	if s.Directory == "" && s.Postgres == "" {
		s.Directory = tb.TempDir()
	}
	plane, err := control.Open(tb.Context(), s)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, plane.Shutdown(context.WithoutCancel(tb.Context()))) })
	return plane
}

// Serve starts a control plane that knows the answers, and stops it with the
// test.
func Serve(tb testing.TB, answers ...report.Cardinality) *httptest.Server {
	tb.Helper()
	server, plane := ServePlane(tb, control.Settings{})
	Register(tb, plane, answers...)
	return server
}

// ServePlane starts a control plane that answers over HTTP/1 and HTTP/2, and
// stops it with the test.
func ServePlane(tb testing.TB, s control.Settings) (*httptest.Server, *control.Plane) {
	tb.Helper()
	plane := Open(tb, s)
	plane.SetReady(true)
	server := httptest.NewUnstartedServer(plane.Handler())
	api.Configure(server.Config)
	server.Start()
	tb.Cleanup(server.Close)
	return server, plane
}
