package client

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func experimentEvent(phase string, looks int) string {
	return fmt.Sprintf("data: {\"name\": \"a\", \"status\": {\"phase\": %q, \"looks\": %d}, \"new\": 1}\n\n", phase, looks)
}

var shopA = ExperimentQuery{Namespace: "shop", Name: "a"}

func TestAnExperimentIsWatchedUntilItIsOver(t *testing.T) {
	asked := make(chan *http.Request, 10)
	c := stream(t, asked,
		": phoenix\n\n"+experimentEvent("Running", 1)+": heartbeat\n\n",                                          // cut
		experimentEvent("Running", 2)+"event: error\ndata: {\"status\": 503, \"detail\": \"shutting down\"}\n\n", // a restart
		experimentEvent("Running", 3)+experimentEvent("Promoted", 4))
	var (
		got  []string
		lost []string
	)
	q := shopA
	q.Lost = func(err error) { lost = append(lost, err.Error()) }
	require.NoError(t, c.WatchExperiment(t.Context(), q, func(e *phoenixv1.Experiment) error {
		got = append(got, fmt.Sprint(e.GetStatus().GetPhase(), " ", e.GetStatus().GetLooks()))
		return nil
	}))
	assert.Equal(t, []string{"Running 1", "Running 2", "Running 3", "Promoted 4"}, got)
	require.Len(t, lost, 2)
	assert.Equal(t, "the stream of events ended", lost[0])
	assert.Contains(t, lost[1], "shutting down")
	assert.Equal(t, "/api/v1/experiments/shop/a:watch", (<-asked).URL.Path)
}

func TestAWatchThatEndsOtherwise(t *testing.T) {
	asked := make(chan *http.Request, 10)
	ignore := func(*phoenixv1.Experiment) error { return nil }
	var p *Problem
	// Refused at once, and when the experiment is not seen any more
	require.ErrorAs(t, stream(t, asked).WatchExperiment(t.Context(), shopA, ignore), &p)
	p = nil
	require.ErrorAs(t, stream(t, asked, experimentEvent("Draft", 0)).WatchExperiment(t.Context(), shopA, ignore), &p)
	assert.Equal(t, http.StatusForbidden, p.Status)
	// By the caller
	err := stream(t, asked, experimentEvent("Draft", 0)).WatchExperiment(t.Context(), shopA, func(*phoenixv1.Experiment) error { return errEnough })
	require.ErrorIs(t, err, errEnough)
	ctx, cancel := context.WithCancel(t.Context())
	err = stream(t, asked, experimentEvent("Draft", 0)).WatchExperiment(ctx, shopA, func(*phoenixv1.Experiment) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
	// What is no experiment, and what has no name
	require.ErrorContains(t, stream(t, asked, "data: {\n\n").WatchExperiment(t.Context(), shopA, ignore), "decode the experiment")
	require.ErrorContains(t, stream(t, asked).WatchExperiment(t.Context(), ExperimentQuery{Namespace: "shop"}, ignore), "name: must not be empty")
}
