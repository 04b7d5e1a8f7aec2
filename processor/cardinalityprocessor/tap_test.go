package cardinalityprocessor

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"

	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/tap"
)

// tappedExtension hosts a control plane and a hub.
type tappedExtension struct {
	planeExtension
	hub *tap.Hub
}

func (e tappedExtension) Tap(point string) report.Tap { return e.hub.Tap(point) }

// newTappedRig is a rig whose control plane looks at data.
func newTappedRig(tb testing.TB) (*rig, *tap.Hub) {
	tb.Helper()
	r := newRig(tb)
	hub := tap.New(tap.Settings{})
	r.host[controlID] = tappedExtension{planeExtension{Plane: r.plane}, hub}
	return r, hub
}

// received decodes what waits in a subscription.
func received(t *testing.T, s *tap.Subscription) (batches []report.TapBatch, metrics []pmetric.Metrics) {
	t.Helper()
	batches, err := s.Next(t.Context())
	require.NoError(t, err)
	for _, b := range batches {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(b.OTLP)
		require.NoError(t, err)
		require.Equal(t, b.Points, md.DataPointCount())
		metrics = append(metrics, md)
	}
	return batches, metrics
}

const tapBatch = `
resource service.name=shop
gauge a
  x={1..3}
sum b
  x={1..2}
resource service.name=other
gauge c
  x=1
`

func TestTapCopiesWhatIsWanted(t *testing.T) {
	r, hub := newTappedRig(t)
	p := r.start("point: ingest")
	sub, err := hub.Want(tap.Selection{Point: "ingest", Metrics: []string{"b", "nothing"}})
	require.NoError(t, err)
	before := time.Now()
	r.feed(p, tapBatch)
	r.feed(p, "gauge a\n  x=1") // holds nothing that is wanted
	r.feed(p, tapBatch)

	batches, metrics := received(t, sub)
	require.Len(t, batches, 2)
	for i, b := range batches {
		assert.Equal(t, "ingest", b.Point)
		assert.Equal(t, "cardinality", b.Component)
		assert.Equal(t, uint64(i+1), b.Seq)
		assert.Equal(t, []string{"b"}, b.Metrics)
		assert.Equal(t, 2, b.Points)
		assert.WithinRange(t, b.At, before, time.Now())
	}
	want := parseStream(t, tapBatch)
	want.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool { return m.Name() != "b" })
			return sm.Metrics().Len() == 0
		})
		return rm.ScopeMetrics().Len() == 0
	})
	assert.Equal(t, marshal(t, want), marshal(t, metrics[0]))
	assert.Equal(t, "tap_points{point=ingest} 4\n", r.tapCounters())

	sub.Close()
	r.feed(p, tapBatch)
	assert.Equal(t, "tap_points{point=ingest} 4\n", r.tapCounters(), "nobody looks any more")
}

func (r *rig) tapCounters() string {
	r.t.Helper()
	return r.telemetryText([]string{"tap_points", "tap_points_lost"})
}

func TestTapThatIsFullHoldsNothingUp(t *testing.T) {
	r, hub := newTappedRig(t)
	p := r.start("point: ingest")
	sub, err := hub.Want(tap.Selection{Point: "ingest", Metrics: []string{"a", "c"}, MaxBytes: 300})
	require.NoError(t, err)
	const rounds = 50
	for range rounds {
		r.feed(p, tapBatch)
	}
	require.Equal(t, rounds*6, r.sink.DataPointCount(), "everything goes on")
	batches, _ := received(t, sub)
	lost := sub.Lost()
	require.NotZero(t, lost.Offers)
	require.Equal(t, rounds, len(batches)+int(lost.Offers))
	require.Equal(t, map[string]uint64{"a": lost.Offers, "c": lost.Offers}, lost.Metrics)
	r.feed(p, tapBatch)
	later, _ := received(t, sub)
	require.Equal(t, lost.Offers+1, later[0].Seq-batches[len(batches)-1].Seq, "the gap in the numbers is what was lost")
}

// Instances of one id share the tap, what comes next may change the batch, and
// nobody misses anything.
func TestTapOfManySenders(t *testing.T) {
	r, hub := newTappedRig(t)
	sub, err := hub.Want(tap.Selection{Point: "default"})
	require.NoError(t, err)
	cfg := r.config("")
	const senders, rounds = 4, 50
	var running sync.WaitGroup
	for range senders {
		p := r.create("cardinality", cfg)
		require.NoError(t, p.Start(t.Context(), r.host))
		t.Cleanup(func() { require.NoError(t, p.Shutdown(context.WithoutCancel(t.Context()))) })
		running.Go(func() { sendAndSpoil(t, p, rounds) })
	}
	running.Wait()
	batches, metrics := received(t, sub)
	require.Len(t, batches, senders*rounds)
	want := marshal(t, parseStream(t, tapBatch))
	var numbers []uint64
	for i, b := range batches {
		numbers = append(numbers, b.Seq)
		require.Equal(t, want, marshal(t, metrics[i]))
	}
	slices.Sort(numbers)
	require.Len(t, slices.Compact(numbers), senders*rounds, "no number twice")
	require.Equal(t, uint64(senders*rounds), numbers[len(numbers)-1], "and no gap")
}

// sendAndSpoil changes each batch once it was sent.
func sendAndSpoil(t *testing.T, p processor.Metrics, rounds int) {
	t.Helper()
	for range rounds {
		md := parseStream(t, tapBatch)
		if assert.NoError(t, p.ConsumeMetrics(t.Context(), md)) {
			for _, rm := range md.ResourceMetrics().All() {
				rm.Resource().Attributes().PutStr("service.name", "spoilt")
			}
		}
	}
}

func TestControlPlaneWithoutTap(t *testing.T) {
	r := newRig(t)
	r.host[controlID] = struct {
		component.Component
		report.CardinalityRegistry
	}{planeExtension{Plane: r.plane}, r.plane}
	p := r.start("")
	r.feed(p, tapBatch)
	require.Equal(t, 6, r.sink.DataPointCount())
}

// BenchmarkTap measures what the tap costs a batch of 1,000 points that nobody
// looks at, and what looking costs.
func BenchmarkTap(b *testing.B) {
	for _, c := range []struct {
		name    string
		tapped  bool
		metrics []string
	}{{name: "none"}, {name: "nobody", tapped: true}, {name: "other", tapped: true, metrics: []string{"other"}}, {name: "all", tapped: true, metrics: []string{"http.server.requests"}}} {
		b.Run("looks="+c.name, func(b *testing.B) {
			p, m := benchInstance(b, nil)
			hub := tap.New(tap.Settings{})
			if c.tapped {
				m.tap.Tap = hub.Tap("default")
			}
			if c.metrics != nil {
				sub, err := hub.Want(tap.Selection{Point: "default", Metrics: c.metrics})
				require.NoError(b, err)
				defer sub.Close()
			}
			md := newWorkload(batchPoints).turn(0)
			_ = p.ConsumeMetrics(b.Context(), md)
			b.ReportAllocs()
			for b.Loop() {
				_ = p.ConsumeMetrics(b.Context(), md)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batchPoints, "ns/point")
		})
	}
}

// BenchmarkTapCheck measures the check alone, a batch.
func BenchmarkTapCheck(b *testing.B) {
	p, m := benchInstance(b, nil)
	_ = p
	m.tap.Tap = tap.New(tap.Settings{}).Tap("default")
	md := pmetric.NewMetrics()
	one := &instance{measure: m}
	b.ReportAllocs()
	for b.Loop() {
		m.offer(b.Context(), one, md)
	}
}
