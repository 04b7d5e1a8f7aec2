package control_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/api"
	"github.com/phoenix-platform/phoenix/control/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sourceFunc is a source of a type that has no equality.
type sourceFunc func(context.Context, report.CardinalityQuery) (report.Cardinality, error)

func (f sourceFunc) Cardinality(ctx context.Context, q report.CardinalityQuery) (report.Cardinality, error) {
	return f(ctx, q)
}

// countedSource counts how often it is asked.
type countedSource struct{ asked atomic.Int64 }

func (s *countedSource) Cardinality(context.Context, report.CardinalityQuery) (report.Cardinality, error) {
	return report.Cardinality{Series: 5, Points: uint64(s.asked.Add(1))}, nil
}

func registration(component, point string, source report.CardinalitySource) report.CardinalityRegistration {
	return report.CardinalityRegistration{Component: component, Point: point, Source: source}
}

func TestTwoComponentsCannotMeasureOnePoint(t *testing.T) {
	plane := control.New(control.Settings{})
	unregister, err := plane.RegisterCardinality(registration("cardinality/a", "ingest", &countedSource{}))
	require.NoError(t, err)

	_, err = plane.RegisterCardinality(registration("cardinality/b", "ingest", &countedSource{}))
	require.EqualError(t, err, `point: "ingest" is measured by "cardinality/a" already, so "cardinality/b" cannot measure it too; `+
		"give one of them another `point`")

	unregister()
	_, err = plane.RegisterCardinality(registration("cardinality/b", "ingest", &countedSource{}))
	require.NoError(t, err, "a point without a component is free")
}

func TestIncompleteRegistrationIsRefused(t *testing.T) {
	plane := control.New(control.Settings{})
	_, err := plane.RegisterCardinality(report.CardinalityRegistration{})
	require.ErrorContains(t, err, "the component has no id")
	require.ErrorContains(t, err, "the point has no name")
	require.ErrorContains(t, err, "there is no source")
}

func TestInstancesThatShareASourceAreAskedOnce(t *testing.T) {
	plane := control.New(control.Settings{})
	source := &countedSource{}
	first, err := plane.RegisterCardinality(registration("cardinality", "ingest", source))
	require.NoError(t, err)
	second, err := plane.RegisterCardinality(registration("cardinality", "ingest", source))
	require.NoError(t, err)

	answers, err := plane.Cardinality(t.Context(), "", report.CardinalityQuery{})
	require.NoError(t, err)
	require.Len(t, answers, 1)
	assert.Equal(t, uint64(5), answers[0].Series)
	assert.Equal(t, int64(1), source.asked.Load())

	first()
	first() // again, which must not take the second one with it
	answers, err = plane.Cardinality(t.Context(), "ingest", report.CardinalityQuery{})
	require.NoError(t, err)
	require.Len(t, answers, 1)

	second()
	_, err = plane.Cardinality(t.Context(), "ingest", report.CardinalityQuery{})
	require.ErrorIs(t, err, api.ErrUnknownPoint)
}

func TestUnregisteringLateLeavesTheNextClaimAlone(t *testing.T) {
	plane := control.New(control.Settings{})
	stale, err := plane.RegisterCardinality(registration("cardinality/a", "ingest", &countedSource{}))
	require.NoError(t, err)
	stale()
	_, err = plane.RegisterCardinality(registration("cardinality/b", "ingest", &countedSource{}))
	require.NoError(t, err)
	stale()
	answers, err := plane.Cardinality(t.Context(), "ingest", report.CardinalityQuery{})
	require.NoError(t, err)
	assert.Equal(t, "cardinality/b", answers[0].Component)
}

func TestSourcesWithoutEqualityAreAllAsked(t *testing.T) {
	plane := control.New(control.Settings{})
	source := sourceFunc(func(context.Context, report.CardinalityQuery) (report.Cardinality, error) {
		return report.Cardinality{Series: 7}, nil
	})
	for range 2 {
		_, err := plane.RegisterCardinality(registration("cardinality", "ingest", source))
		require.NoError(t, err)
	}
	answers, err := plane.Cardinality(t.Context(), "", report.CardinalityQuery{})
	require.NoError(t, err)
	assert.Equal(t, uint64(14), answers[0].Series)
}

func TestAnswersAreSortedAndNamedByTheRegistration(t *testing.T) {
	plane := control.New(control.Settings{})
	for _, point := range []string{"z", "a", "m"} {
		_, err := plane.RegisterCardinality(registration("cardinality/"+point, point, &countedSource{}))
		require.NoError(t, err)
	}
	answers, err := plane.Cardinality(t.Context(), "", report.CardinalityQuery{})
	require.NoError(t, err)
	var names []string
	for _, a := range answers {
		names = append(names, a.Point+" by "+a.Component)
	}
	assert.Equal(t, []string{"a by cardinality/a", "m by cardinality/m", "z by cardinality/z"}, names)

	_, err = plane.Cardinality(t.Context(), "q", report.CardinalityQuery{})
	require.ErrorIs(t, err, api.ErrUnknownPoint)
	require.EqualError(t, err, `unknown measuring point "q"; known are a, m, z`)
}

func TestFailureNamesThePoint(t *testing.T) {
	plane := control.New(control.Settings{})
	failure := errors.New("sketch is broken")
	_, err := plane.RegisterCardinality(registration("cardinality", "ingest",
		sourceFunc(func(context.Context, report.CardinalityQuery) (report.Cardinality, error) {
			return report.Cardinality{}, failure
		})))
	require.NoError(t, err)
	_, err = plane.Cardinality(t.Context(), "", report.CardinalityQuery{})
	require.ErrorIs(t, err, failure)
	require.ErrorContains(t, err, `point "ingest"`)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = plane.Cardinality(ended, "", report.CardinalityQuery{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestRegistrationsAndQuestionsAtOnce(t *testing.T) {
	plane := control.New(control.Settings{})
	var all sync.WaitGroup
	var failures atomic.Int64
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				unregister, err := plane.RegisterCardinality(registration("cardinality", fmt.Sprint("p", i%3), &countedSource{}))
				if err == nil {
					_, err = plane.Cardinality(t.Context(), "", report.CardinalityQuery{})
					unregister()
				}
				if err != nil {
					failures.Add(1)
				}
			}
		})
	}
	all.Wait()
	assert.Zero(t, failures.Load())
	answers, err := plane.Cardinality(t.Context(), "", report.CardinalityQuery{})
	require.NoError(t, err)
	assert.Empty(t, answers)
}

func TestShutdownCancelsWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := control.New(control.Settings{Grace: 2 * time.Second, RequestTimeout: time.Hour})
		_, err := plane.RegisterCardinality(registration("cardinality", "ingest",
			sourceFunc(func(ctx context.Context, _ report.CardinalityQuery) (report.Cardinality, error) {
				<-ctx.Done()
				return report.Cardinality{}, ctx.Err()
			})))
		require.NoError(t, err)
		running := httptest.NewRecorder()
		go plane.Handler().ServeHTTP(running, httptest.NewRequest(http.MethodGet, "/api/v1/cardinality", nil))
		synctest.Wait()

		began := time.Now()
		require.NoError(t, plane.Shutdown(t.Context()))
		assert.Equal(t, 2*time.Second, time.Since(began))
		assert.Equal(t, http.StatusServiceUnavailable, running.Code)
		assert.Contains(t, running.Body.String(), "shutting down")

		late := httptest.NewRecorder()
		plane.Handler().ServeHTTP(late, httptest.NewRequest(http.MethodGet, "/healthz", nil))
		assert.Equal(t, http.StatusServiceUnavailable, late.Code)
		require.NoError(t, plane.Shutdown(t.Context()), "twice")
	})
}

func TestShutdownLetsShortRequestsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := control.New(control.Settings{})
		_, err := plane.RegisterCardinality(registration("cardinality", "ingest",
			sourceFunc(func(context.Context, report.CardinalityQuery) (report.Cardinality, error) {
				time.Sleep(time.Second) // the fake clock of synctest
				return report.Cardinality{}, nil
			})))
		require.NoError(t, err)
		running := httptest.NewRecorder()
		go plane.Handler().ServeHTTP(running, httptest.NewRequest(http.MethodGet, "/api/v1/cardinality", nil))
		synctest.Wait()
		require.NoError(t, plane.Shutdown(t.Context()))
		assert.Equal(t, http.StatusOK, running.Code)
	})
}

func TestShutdownGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := control.New(control.Settings{Grace: time.Second})
		release := make(chan struct{})
		_, err := plane.RegisterCardinality(registration("cardinality", "ingest",
			sourceFunc(func(context.Context, report.CardinalityQuery) (report.Cardinality, error) {
				<-release // deaf to its context
				return report.Cardinality{}, nil
			})))
		require.NoError(t, err)
		go plane.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api/v1/cardinality", nil))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, plane.Shutdown(ctx), context.DeadlineExceeded)
		close(release)
	})
}

func TestSlowSourceIsATimelyProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		plane := control.New(control.Settings{RequestTimeout: 3 * time.Second, Logger: zap.New(core)})
		_, err := plane.RegisterCardinality(registration("cardinality", "ingest",
			sourceFunc(func(ctx context.Context, _ report.CardinalityQuery) (report.Cardinality, error) {
				<-ctx.Done()
				return report.Cardinality{}, ctx.Err()
			})))
		require.NoError(t, err)
		w := httptest.NewRecorder()
		began := time.Now()
		plane.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/cardinality", nil))
		assert.Equal(t, 3*time.Second, time.Since(began))
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.Contains(t, w.Body.String(), "took too long")
		assert.Equal(t, 1, logs.FilterMessage("Cardinality source registered").Len())
	})
}

func TestReadiness(t *testing.T) {
	plane := control.New(control.Settings{})
	status := func() int {
		w := httptest.NewRecorder()
		plane.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code
	}
	assert.Equal(t, http.StatusServiceUnavailable, status())
	plane.SetReady(true)
	assert.Equal(t, http.StatusOK, status())
	plane.SetReady(false)
	assert.Equal(t, http.StatusServiceUnavailable, status())
}
