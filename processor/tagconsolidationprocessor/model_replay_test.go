package tagconsolidationprocessor

import (
	"bytes"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// judge goes through a history with the model and demands that the processor
// did what the model does.
type judge struct {
	t        require.TestingT
	config   *Config
	ledger   *ledger
	database database
	variants map[string]string // the names of variants, by their bounds
	in, out  map[string]int    // points of an output, and of what feeds it
}

func newJudge(t require.TestingT, config *Config) *judge {
	return &judge{
		t: t, config: config, database: database{}, variants: map[string]string{}, in: map[string]int{}, out: map[string]int{},
	}
}

func (j *judge) newLedger(rules []*knownRule) *ledger {
	return &ledger{
		staleness: uint64(j.config.Staleness), heartbeat: uint64(j.config.Heartbeat),
		rules:      clearRules{rules: rules, neverTouch: j.config.NeverTouch, writer: j.config.Writer.name()},
		activation: map[string]uint64{}, raw: map[string]rawRule{}, began: map[string]int{}, turns: 1, knows: 1, inputs: map[string]*memory{}, lives: map[string]*life{}, gone: map[string]uint64{}, arrived: j.in,
	}
}

// happened takes the next entry of a history.
func (j *judge) happened(h *happening) {
	l := j.ledger
	switch {
	case h.begin && l == nil && h.kept: // the disk has the state of a process that did nothing
		l = j.newLedger(nil)
		l.save()
		j.ledger = l.restored(h.now, h.complete, h.rules)
	case h.begin && !h.kept:
		j.ledger = j.newLedger(h.rules)
		j.ledger.watch(h.now)
		for _, s := range j.database {
			s.lost = true
		}
	case h.begin:
		j.ledger = l.restored(h.now, h.complete, h.rules)
	case h.apply:
		l.apply(h.rules)
	case h.edge > 0:
		if h.edge > l.flushed {
			l.writeBases(h)
		}
		j.judge(l.turn(h.edge, h.now), h.emitted)
	case h.end:
		want := l.held
		l.held = nil
		l.writeBases(h)
		want = append(want, l.flush(max(h.now, l.flushed+1e6))...)
		j.judge(want, h.emitted)
		l.save()
	case h.saved:
		l.save()
	case h.points != nil:
		j.judgeBatch(h)
	}
}

// judge compares what was emitted, and lets the database have it.
func (j *judge) judge(want []*expected, got []*output) {
	writer := ""
	if !j.config.Writer.None {
		writer = "Str:" + j.config.Writer.ID
	}
	agree(j.t, want, got, writer, j.variants)
	for _, o := range got {
		name := seriesOf(o.labels, o.scope, o.clearPoint)
		if !o.delivered {
			continue
		}
		j.database.write(j.t, o)
		if !o.stale {
			j.out[name]++
		}
	}
	for name, n := range j.out {
		if n > j.in[name] {
			require.Failf(j.t, "more samples out than in", "%s: %d in, %d out", name, j.in[name], n)
		}
	}
}

// judgeBatch demands that of a batch exactly the points passed that no rule
// takes, byte by byte, and the ends of series that were seen until then.
func (j *judge) judgeBatch(h *happening) {
	taken, ends := make([]bool, len(h.points)), make([]uint64, len(h.points))
	for i, p := range h.points {
		taken[i], ends[i] = j.ledger.take(p)
	}
	var marshaler pmetric.ProtoMarshaler
	want, err := marshaler.MarshalMetrics(leftOf(h.sent, func(i int) (bool, uint64) { return taken[i], ends[i] }))
	require.NoError(j.t, err)
	got, err := marshaler.MarshalMetrics(h.passed)
	require.NoError(j.t, err)
	if !bytes.Equal(want, got) {
		require.Failf(j.t, "passed something else", "of %v\nwant those of %v untouched, ends of %v\ngot %v", h.points, taken, ends, clearPoints(h.passed, h.now))
	}
}
