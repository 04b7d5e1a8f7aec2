package cardinalityprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadata"
	"github.com/phoenix-platform/phoenix/processor/cardinalityprocessor/internal/metadatatest"
)

// otherExtension is an extension that is no control plane.
type otherExtension struct {
	component.StartFunc
	component.ShutdownFunc
}

// points asks the control plane which measuring points it knows.
func (r *rig) points() (names []string) {
	r.t.Helper()
	answers, err := r.plane.Cardinality(r.t.Context(), "", report.CardinalityQuery{})
	require.NoError(r.t, err)
	for _, a := range answers {
		names = append(names, a.Component+" at "+a.Point)
	}
	return names
}

func TestInstancesOfOneIDCountTogether(t *testing.T) {
	r := newRig(t)
	cfg := r.config("")
	a, b := r.create("cardinality/ingest", cfg), r.create("cardinality/ingest", cfg)
	require.NoError(t, a.Start(t.Context(), r.host))
	require.NoError(t, b.Start(t.Context(), r.host))
	assert.Equal(t, []string{"cardinality/ingest at ingest"}, r.points())

	r.feed(a, "gauge a\n  x={1..3}")
	r.feed(b, "gauge a\n  x={2..5}")
	m := r.metric("a")
	assert.Equal(t, uint64(5), m.Series, "what both pipelines see counts once")
	assert.Equal(t, uint64(7), m.Points)

	require.NoError(t, a.Shutdown(t.Context()))
	require.NoError(t, a.Shutdown(t.Context()), "twice")
	r.feed(b, "gauge a\n  x=6")
	assert.Equal(t, uint64(6), r.metric("a").Series, "the other goes on")
	assert.NotEmpty(t, r.telemetryText([]string{"streams"}), "and so does the telemetry")
	c := r.create("cardinality/ingest", cfg)
	require.NoError(t, c.Start(t.Context(), r.host))
	assert.Equal(t, uint64(6), r.metric("a").Series, "a new instance joins")

	require.NoError(t, b.Shutdown(t.Context()))
	require.NoError(t, c.Shutdown(t.Context()))
	assert.Empty(t, r.points())
	assert.Empty(t, r.telemetryText([]string{"streams"}))

	again := r.create("cardinality/ingest", cfg)
	require.NoError(t, again.Start(t.Context(), r.host))
	assert.Zero(t, r.report(report.CardinalityQuery{}).Series, "the state is gone with its last instance")
	require.NoError(t, again.Shutdown(t.Context()))
}

func TestShutdownOfWhatNeverStarted(t *testing.T) {
	r := newRig(t)
	cfg := r.config("")
	idle, running := r.create("cardinality", cfg), r.create("cardinality", cfg)
	require.NoError(t, running.Start(t.Context(), r.host))
	require.NoError(t, idle.Shutdown(t.Context()))
	require.NoError(t, idle.Shutdown(t.Context()))
	r.feed(running, "gauge a\n  x=1")
	assert.Equal(t, uint64(1), r.metric("a").Series)
	require.NoError(t, running.Shutdown(t.Context()))
	require.NoError(t, running.Shutdown(t.Context()))
}

func TestPointHasOneOwner(t *testing.T) {
	r := newRig(t)
	r.start("point: ingest") // cardinality
	second := r.create("cardinality/ingest", r.config(""))
	err := second.Start(t.Context(), r.host)
	require.EqualError(t, err, "cardinality/ingest and cardinality both claim the measuring point \"ingest\": "+
		"give one of them another `point`")
	require.NoError(t, second.Shutdown(t.Context()))
	assert.Equal(t, []string{"cardinality at ingest"}, r.points(), "the first owner stays")
}

// Two factories, as in two collectors of one process, meet in the control plane.
func TestControlPlaneRefusesASecondOwner(t *testing.T) {
	r, other := newRig(t), newRig(t)
	r.start("point: ingest")
	second := other.create("cardinality/after", other.config("point: ingest"))
	err := second.Start(t.Context(), r.host)
	require.ErrorContains(t, err, "register with phoenix_control: ")
	require.ErrorContains(t, err, `"cardinality"`)
	require.ErrorContains(t, err, `"cardinality/after"`)
	assert.Empty(t, other.telemetryText(nil), "nothing is left behind")
	require.NoError(t, second.Shutdown(t.Context()))
}

func TestQueriesThatCannotBeAnswered(t *testing.T) {
	r := newRig(t)
	r.start("window: 8m")
	_, err := r.plane.Cardinality(t.Context(), "", report.CardinalityQuery{Since: 8*time.Minute + 1})
	require.ErrorIs(t, err, report.ErrSinceTooLong)
	require.ErrorContains(t, err, "since is 8m0.000000001s, the window of cardinality is 8m0s")
	_, err = r.plane.Cardinality(t.Context(), "", report.CardinalityQuery{Since: 8 * time.Minute})
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.plane.Cardinality(ctx, "", report.CardinalityQuery{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestNamesOfPoints(t *testing.T) {
	f := func(id, configured, want string) {
		t.Helper()
		var parsed component.ID
		require.NoError(t, parsed.UnmarshalText([]byte(id)))
		assert.Equal(t, want, pointName(parsed, configured))
	}
	f("cardinality", "", "default")
	f("cardinality/ingest", "", "ingest")
	f("cardinality/ingest", "before", "before")
}

func TestControlExtension(t *testing.T) {
	r := newRig(t)
	f := func(h host, want string) {
		t.Helper()
		p := r.create("cardinality/ingest", r.config(""))
		require.EqualError(t, p.Start(t.Context(), h), want)
		require.NoError(t, p.Shutdown(t.Context()))
		assert.Empty(t, r.points())
	}
	const missing = "control: cardinality/ingest needs the extension phoenix_control, which is not running: " +
		"add it to service.extensions, or remove the option `control`"
	f(nil, missing)
	f(host{component.MustNewID("other"): otherExtension{}}, missing)
	f(host{controlID: otherExtension{}}, "control: cardinality/ingest needs a control plane, "+
		"but the extension phoenix_control (cardinalityprocessor.otherExtension) is none")
}

// The real factory, without control: it works alone.
func TestWorksAlone(t *testing.T) {
	tt := componenttest.NewTelemetry()
	sink := new(consumertest.MetricsSink)
	p, err := NewFactory().CreateMetrics(t.Context(), metadatatest.NewSettings(tt), createDefaultConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, p.ConsumeMetrics(t.Context(), parseStream(t, "gauge a\n  x={1..3}")))
	assert.Equal(t, 3, sink.DataPointCount())
	got, err := tt.GetMetric("otelcol_processor_cardinality_streams")
	require.NoError(t, err)
	assert.NotNil(t, got.Data)
	require.NoError(t, p.Shutdown(t.Context()))
	require.NoError(t, tt.Shutdown(t.Context()))
	assert.Equal(t, metadata.Type, NewFactory().Type())
}
