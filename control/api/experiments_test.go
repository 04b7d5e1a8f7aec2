package api_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// experiments answers with fixed messages.
type experiments struct {
	phoenixv1.UnimplementedExperimentsServer
}

func experimentOf(namespace, name, phase string) *phoenixv1.Experiment {
	return &phoenixv1.Experiment{
		Namespace: namespace, Name: name, Etag: `"9"`, Spec: &phoenixv1.ExperimentSpec{Mode: "mirror"},
		Status: &phoenixv1.ExperimentStatus{Phase: phase},
	}
}

func (experiments) ListExperiments(context.Context, *phoenixv1.ListExperimentsRequest) (*phoenixv1.ListExperimentsResponse, error) {
	return &phoenixv1.ListExperimentsResponse{Experiments: []*phoenixv1.Experiment{experimentOf("shop", "a", "Draft")}}, nil
}

func (experiments) GetExperiment(_ context.Context, r *phoenixv1.GetExperimentRequest) (*phoenixv1.Experiment, error) {
	return experimentOf(r.GetNamespace(), r.GetName(), "Draft"), nil
}

func (experiments) CreateExperiment(_ context.Context, r *phoenixv1.CreateExperimentRequest) (*phoenixv1.Experiment, error) {
	return experimentOf(r.GetExperiment().GetNamespace(), r.GetExperiment().GetName(), "Draft"), nil
}

func (experiments) UpdateExperiment(_ context.Context, r *phoenixv1.UpdateExperimentRequest) (*phoenixv1.Experiment, error) {
	return r.GetExperiment(), nil
}

func (experiments) DeleteExperiment(context.Context, *phoenixv1.DeleteExperimentRequest) (*phoenixv1.DeleteExperimentResponse, error) {
	return &phoenixv1.DeleteExperimentResponse{}, nil
}

func (experiments) StartExperiment(_ context.Context, r *phoenixv1.StartExperimentRequest) (*phoenixv1.Experiment, error) {
	return experimentOf(r.GetNamespace(), r.GetName(), "Running"), nil
}

func (experiments) PauseExperiment(_ context.Context, r *phoenixv1.PauseExperimentRequest) (*phoenixv1.Experiment, error) {
	return experimentOf(r.GetNamespace(), r.GetName(), "Paused"), nil
}

func (experiments) ResumeExperiment(_ context.Context, r *phoenixv1.ResumeExperimentRequest) (*phoenixv1.Experiment, error) {
	return experimentOf(r.GetNamespace(), r.GetName(), "Running"), nil
}

func (experiments) PromoteExperiment(_ context.Context, r *phoenixv1.PromoteExperimentRequest) (*phoenixv1.Experiment, error) {
	if r.GetName() == "ended" {
		return nil, fault.New(fault.Ended, "it is Promoted already")
	}
	return experimentOf(r.GetNamespace(), r.GetName(), "Promoted"), nil
}

func (experiments) AbortExperiment(_ context.Context, r *phoenixv1.AbortExperimentRequest) (*phoenixv1.Experiment, error) {
	return experimentOf(r.GetNamespace(), r.GetName(), "RolledBack"), nil
}

func (experiments) ApproveExperiment(_ context.Context, r *phoenixv1.ApproveExperimentRequest) (*phoenixv1.Experiment, error) {
	return experimentOf(r.GetNamespace(), r.GetName(), "Running"), nil
}

func (experiments) GetExperimentReport(_ context.Context, r *phoenixv1.GetExperimentReportRequest) (*phoenixv1.ExperimentReport, error) {
	report, err := structpb.NewStruct(map[string]any{"phase": "Running"})
	return &phoenixv1.ExperimentReport{Namespace: r.GetNamespace(), Name: r.GetName(), Report: report, Markdown: "# Experiment"}, err
}

func (experiments) GetExperimentAnalysis(context.Context, *phoenixv1.GetExperimentAnalysisRequest) (*phoenixv1.ExperimentAnalysis, error) {
	return &phoenixv1.ExperimentAnalysis{Phase: "Running", Value: 0.5, Ok: true}, nil
}

func (experiments) WatchExperiment(r *phoenixv1.WatchExperimentRequest, stream grpc.ServerStreamingServer[phoenixv1.Experiment]) error {
	for _, phase := range []string{"Running", "Promoted"} {
		if err := stream.Send(experimentOf(r.GetNamespace(), r.GetName(), phase)); err != nil {
			return err
		}
	}
	return nil
}

// What is behind the colon of a path is no part of the name.
func TestPathsOfExperiments(t *testing.T) {
	w := newWorld(t).start()
	for path, want := range map[string]string{
		"/api/v1/experiments/shop/a":          `"name":"a"`,
		"/api/v1/experiments/shop/a:report":   `"markdown":"# Experiment"`,
		"/api/v1/experiments/shop/a/analysis": `"ok":true`,
	} {
		got := w.send(http.MethodGet, path, "")
		assert.Equal(t, http.StatusOK, got.StatusCode, path)
		assert.Contains(t, got.body, want, path)
	}
	created := w.send(http.MethodPost, "/api/v1/experiments", `{"namespace": "shop", "name": "a"}`)
	assert.Equal(t, http.StatusCreated, created.StatusCode)
	assert.Equal(t, "/api/v1/experiments/shop/a", created.Header.Get("Location"))
	assert.Equal(t, `"9"`, created.Header.Get("Etag"))
	looked := w.send(http.MethodPost, "/api/v1/experiments?validate_only=true", `{"namespace": "shop", "name": "a"}`)
	assert.Equal(t, http.StatusOK, looked.StatusCode)
	assert.Empty(t, looked.Header.Get("Location"))
	refused := w.send(http.MethodPost, "/api/v1/experiments/shop/ended:promote", "{}")
	assert.Equal(t, http.StatusConflict, refused.StatusCode)
	assert.Equal(t, "urn:phoenix:problem:ended", refused.problem(t).Type)
}

// An experiment that is over ends its stream.
func TestTheStreamOfAnExperimentEnds(t *testing.T) {
	w := newWorld(t).start()
	resp := w.watch(t.Context(), 1, "/api/v1/experiments/shop/a:watch")
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	var data []string
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if text, is := strings.CutPrefix(lines.Text(), "data: "); is {
			data = append(data, text)
		}
	}
	require.NoError(t, lines.Err())
	require.Len(t, data, 2)
	assert.Contains(t, data[1], `"phase":"Promoted"`)

	stream, err := phoenixv1.NewExperimentsClient(w.dial()).WatchExperiment(t.Context(), &phoenixv1.WatchExperimentRequest{Namespace: "shop", Name: "a"})
	require.NoError(t, err)
	for _, phase := range []string{"Running", "Promoted"} {
		e, err := stream.Recv()
		require.NoError(t, err)
		assert.Equal(t, phase, e.GetStatus().GetPhase())
	}
}
