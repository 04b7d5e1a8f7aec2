package control_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control"
	"github.com/phoenix-platform/phoenix/control/controltest"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service/insight"
	"github.com/phoenix-platform/phoenix/internal/backend"
)

// sourceFunc is a source of a type that has no equality.
type sourceFunc func(context.Context, report.CardinalityQuery) (report.Cardinality, error)

func (f sourceFunc) Cardinality(ctx context.Context, q report.CardinalityQuery) (report.Cardinality, error) {
	return f(ctx, q)
}

// ours is the metric that tests ask about, and nobody else: the plane asks by
// itself for its history and its alarms.
const ours = "asked.by.the.test"

// countedSource counts how often it is asked about ours.
type countedSource struct{ asked atomic.Int64 }

func (s *countedSource) Cardinality(_ context.Context, q report.CardinalityQuery) (report.Cardinality, error) {
	if q.Metric == ours {
		s.asked.Add(1)
	}
	return report.Cardinality{Series: 5}, nil
}

func registration(component, point string, source report.CardinalitySource) report.CardinalityRegistration {
	return report.CardinalityRegistration{Component: component, Point: point, Source: source}
}

func TestTwoComponentsCannotMeasureOnePoint(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
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
	plane := controltest.Open(t, control.Settings{})
	_, err := plane.RegisterCardinality(report.CardinalityRegistration{})
	require.ErrorContains(t, err, "the component has no id")
	require.ErrorContains(t, err, "the point has no name")
	require.ErrorContains(t, err, "there is no source")
}

func TestInstancesThatShareASourceAreAskedOnce(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
	source := &countedSource{}
	first, err := plane.RegisterCardinality(registration("cardinality", "ingest", source))
	require.NoError(t, err)
	second, err := plane.RegisterCardinality(registration("cardinality", "ingest", source))
	require.NoError(t, err)

	answers, err := plane.Cardinality(t.Context(), "", report.CardinalityQuery{Metric: ours})
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
	require.ErrorIs(t, err, insight.ErrUnknownPoint)
}

func TestUnregisteringLateLeavesTheNextClaimAlone(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
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
	plane := controltest.Open(t, control.Settings{})
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
	plane := controltest.Open(t, control.Settings{})
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
	require.ErrorIs(t, err, insight.ErrUnknownPoint)
	require.EqualError(t, err, `unknown measuring point "q"; known are a, m, z`)
}

func TestFailureNamesThePoint(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
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
	plane := controltest.Open(t, control.Settings{})
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

// applying is a processor that applies rules.
type applying struct {
	answer  report.Consolidation
	version atomic.Uint64
	err     error
}

func (a *applying) Consolidation(context.Context) (report.Consolidation, error) {
	return a.answer, a.err
}
func (a *applying) PolicyVersion() uint64 { return a.version.Load() }

func TestEveryProcessorIsAskedAndNamedByItsRegistration(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
	_, err := plane.RegisterConsolidation(report.ConsolidationRegistration{})
	require.ErrorContains(t, err, "the component has no id")
	require.ErrorContains(t, err, "there is no role")
	require.ErrorContains(t, err, "there is no source")

	var last func()
	for _, component := range []string{"tag_consolidation/b", "tag_consolidation/a", "tag_consolidation/a"} {
		last, err = plane.RegisterConsolidation(report.ConsolidationRegistration{
			Component: component, Role: "common", Source: &applying{answer: report.Consolidation{Component: "a lie", PolicyVersion: 3}},
		})
		require.NoError(t, err)
	}
	broken, err := plane.RegisterConsolidation(report.ConsolidationRegistration{
		Component: "tag_consolidation/broken", Role: "candidate", Source: &applying{err: assert.AnError},
	})
	require.NoError(t, err)
	answers, err := plane.Consolidation(t.Context())
	require.ErrorIs(t, err, assert.AnError)
	require.ErrorContains(t, err, `consolidation of "tag_consolidation/broken"`)
	var names []string
	for _, a := range answers {
		names = append(names, a.Component+" "+a.Role)
	}
	assert.Equal(t, []string{"tag_consolidation/a common", "tag_consolidation/a common", "tag_consolidation/b common"}, names)

	broken()
	last()
	last() // again, which must not take another one with it
	answers, err = plane.Consolidation(t.Context())
	require.NoError(t, err)
	assert.Len(t, answers, 2)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = plane.Consolidation(ended)
	require.ErrorIs(t, err, context.Canceled)
}

// TestQueriesHaveTheLabelsOfTheBackend finds what the end of an arm knows of the
// database, so that what is judged has the labels that a dashboard sees.
func TestQueriesHaveTheLabelsOfTheBackend(t *testing.T) {
	plane := controltest.Open(t, control.Settings{})
	unregister, err := plane.RegisterArm(report.ArmRegistration{
		Component: "cardinality/baseline", Point: "baseline", Arm: "baseline", Source: noArms{},
		Backend: report.ArmBackend{ResourceAttributes: []string{"k8s.pod.name"}, Translation: "NoTranslation"},
	})
	require.NoError(t, err)
	assert.Equal(t, backend.PrometheusSettings{ResourceAttributes: []string{"k8s.pod.name"}, Translation: "NoTranslation"}, plane.BackendOf("baseline"))
	assert.Zero(t, plane.BackendOf("elsewhere"))
	unregister()
	assert.Zero(t, plane.BackendOf("baseline"))
}

// noArms is the end of an arm that nothing has left.
type noArms struct{}

func (noArms) Arms(context.Context, []string) ([]report.ArmReport, error) { return nil, nil }
