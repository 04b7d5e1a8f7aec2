package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/phoenix-platform/phoenix/examples/consolidate-kubernetes/playlist"
	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

const bothFolders = "../../kube-apiserver/rounds,../rounds"

func step(name, text string, pass int) playlist.Step {
	return playlist.Step{Round: capture.Round{Name: name, Text: []byte(text)}, Pass: pass}
}

// receiver keeps what it is sent.
type receiver struct {
	status   int
	rejected int64
	got      []pmetric.Metrics
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	sent := pmetricotlp.NewExportRequest()
	if err != nil || request.URL.Path != "/v1/metrics" || sent.UnmarshalProto(body) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.got = append(r.got, sent.Metrics())
	answer := pmetricotlp.NewExportResponse()
	answer.PartialSuccess().SetRejectedDataPoints(r.rejected)
	b, err := answer.MarshalProto()
	if err != nil || r.status != 0 {
		w.WriteHeader(r.status)
		return
	}
	_, _ = w.Write(b)
}

func sendTo(t *testing.T, r *receiver, steps ...playlist.Step) (said string, err error) {
	t.Helper()
	server := httptest.NewServer(r)
	defer server.Close()
	c, err := newConverter(steps)
	require.NoError(t, err)
	var out bytes.Buffer
	s := sender{endpoint: server.URL, convert: c, pause: time.Millisecond, out: &out}
	err = s.send(t.Context(), steps)
	return out.String(), err
}

func TestEachPassHasOneStartBeforeItsPoints(t *testing.T) {
	const text = "# TYPE c counter\nc 1\n"
	began := pcommon.NewTimestampFromTime(time.Now())
	r := &receiver{}
	said, err := sendTo(t, r, step("a", text, 1), step("b", text, 1), step("a", text, 2))
	require.NoError(t, err)
	assert.Equal(t, "Played a, pass 1\nPlayed b, pass 1\nPlayed a, pass 2\n", said)
	require.Len(t, r.got, 3)
	var points []pmetric.NumberDataPoint
	for _, md := range r.got {
		points = append(points, sums(md)[0].Sum().DataPoints().At(0))
	}
	assert.GreaterOrEqual(t, points[0].StartTimestamp(), began)
	assert.Equal(t, points[0].StartTimestamp(), points[1].StartTimestamp())
	assert.Less(t, points[0].StartTimestamp(), points[0].Timestamp())
	assert.Less(t, points[0].Timestamp(), points[1].Timestamp())
	assert.Less(t, points[1].Timestamp(), points[2].StartTimestamp(), "a new start")
	assert.Less(t, points[2].StartTimestamp(), points[2].Timestamp())
}

// A counter is one of integers only if it never has another value.
func TestWholeCountersAreIntegers(t *testing.T) {
	r := &receiver{}
	_, err := sendTo(t, r,
		step("a", "# TYPE whole counter\nwhole 3\n# TYPE cpu counter\ncpu 1\n# TYPE huge counter\nhuge 1e300\n", 1),
		step("b", "# TYPE whole counter\nwhole 4\n# TYPE cpu counter\ncpu 1.5\n", 1))
	require.NoError(t, err)
	types := map[string]pmetric.NumberDataPointValueType{}
	for _, m := range sums(r.got[0]) {
		types[m.Name()] = m.Sum().DataPoints().At(0).ValueType()
	}
	assert.Equal(t, map[string]pmetric.NumberDataPointValueType{
		"whole": pmetric.NumberDataPointValueTypeInt, "cpu": pmetric.NumberDataPointValueTypeDouble, "huge": pmetric.NumberDataPointValueTypeDouble,
	}, types)
	assert.Equal(t, int64(3), sums(r.got[0])[2].Sum().DataPoints().At(0).IntValue())
}

func TestWhatIsNotAcceptedIsAnError(t *testing.T) {
	for want, r := range map[string]*receiver{
		"send a: 503":              {status: http.StatusServiceUnavailable},
		"2 points were rejected: ": {rejected: 2},
	} {
		said, err := sendTo(t, r, step("a", "up 1\n", 1))
		require.ErrorContains(t, err, want)
		assert.Empty(t, said)
	}
}

func TestRunSendsTheRecordedRounds(t *testing.T) {
	r := &receiver{}
	server := httptest.NewServer(r)
	defer server.Close()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--endpoint", server.URL, "--rounds", bothFolders, "--again", "1", "--pause", "1ms"}, &out, io.Discard))
	require.Len(t, r.got, 8)
	assert.Contains(t, out.String(), "Played 012.prom.gz, pass 1\nPlayed 006.prom.gz, pass 2\n")
}

func TestRunRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"an unknown flag": {[]string{"--nope"}, "flag provided but not defined"},
		"an argument":     {[]string{"x"}, `unexpected argument "x"`},
		"no pause":        {[]string{"--pause", "0s"}, "pause: must be positive"},
		"an empty folder": {[]string{"--rounds", "."}, "no file matches"},
		"nobody there":    {[]string{"--rounds", bothFolders, "--endpoint", "http://127.0.0.1:1", "--pause", "1ms"}, "send 006.prom.gz: "},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, run(t.Context(), tc.args, io.Discard, io.Discard), tc.want)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, []string{"--rounds", bothFolders, "--pause", "1h"}, io.Discard, io.Discard), context.Canceled)
}
