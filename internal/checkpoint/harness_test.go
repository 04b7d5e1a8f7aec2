package checkpoint_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/checkpoint"
	c "github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

const (
	second   = uint64(1e9)
	zero     = 1_700_000_010 * second // a multiple of the interval
	interval = 15 * second
)

// settings let streams go stale within a history; patient ones do not, so that a process that was killed, whose inputs get a
// full staleness to come back, does what one does that was not.
var (
	settings = c.Settings{Staleness: 90 * time.Second, Heartbeat: 30 * time.Second, Shards: 4}
	patient  = c.Settings{Staleness: time.Hour, Heartbeat: 30 * time.Second, Shards: 4, Bases: true}
)

var errDead = errors.New("the process was killed")

// memory is a storage that keeps the values that it is given, as some clients do. After a number of operations it is dead.
type memory struct {
	data map[string][]byte
	// left is how many operations are still carried out; below 0 there is no end. torn carries the last one out and
	// reports that it failed.
	left int
	torn bool
	fail map[string]error // by the beginning of the operation, say "set head"
	// file, if not nil, is a storage of the Collector in place of data.
	file storage.Client

	dead       bool
	operations int // that changed something
}

func newMemory() *memory { return &memory{data: map[string][]byte{}, left: -1} }

func (m *memory) operation(name string, change func() error) error {
	for start, err := range m.fail {
		if len(name) >= len(start) && name[:len(start)] == start {
			return err
		}
	}
	switch {
	case m.dead:
		return errDead
	case change == nil:
		return nil
	case m.left == 0:
		m.dead = true
		if m.torn {
			return errors.Join(errDead, change())
		}
		return errDead
	}
	m.left--
	m.operations++
	return change()
}

func (m *memory) Get(ctx context.Context, key string) ([]byte, error) {
	if err := m.operation("get "+key, nil); err != nil {
		return nil, err
	}
	if m.file != nil {
		return m.file.Get(ctx, key)
	}
	return m.data[key], nil
}

func (m *memory) Set(ctx context.Context, key string, value []byte) error {
	return m.operation("set "+key, func() error {
		if m.file != nil {
			return m.file.Set(ctx, key, value)
		}
		m.data[key] = value
		return nil
	})
}

func (m *memory) Delete(ctx context.Context, key string) error {
	return m.operation("delete "+key, func() error {
		if m.file != nil {
			return m.file.Delete(ctx, key)
		}
		delete(m.data, key)
		return nil
	})
}

func (m *memory) keys() []string {
	var keys []string
	if m.file != nil {
		_ = m.file.(storage.Walker).Walk(context.Background(), func(key string, _ []byte) ([]*storage.Operation, error) {
			keys = append(keys, key)
			return nil, nil
		})
	}
	for k := range m.data {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func hash(name string) series.Pair {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	a := h.Sum64()
	_, _ = h.Write([]byte("again"))
	return series.Pair{A: a * 0x9e3779b97f4a7c15, B: h.Sum64() * 0xbf58476d1ce4e5b9}
}

// source is a program that sends one stream.
type source struct {
	name, output string
	rule         c.RuleID
	kind         c.Kind
	policy       spatial.Policy
	double       bool
	bounds       []float64
	scale        int32
	start, time  uint64

	value    int64
	counts   []uint64
	lastTime uint64 // of a delta
	table    *stream.Table
}

// Describe gives outputs streams that share much and have attributes of all types.
func (s *source) Describe() c.Description { return s.describe(s.output) }

func (s *source) Overflow() (c.Key, c.Description) {
	name := "overflow of " + s.kind.String()
	return c.Key(hash(name)), s.describe(name)
}

func (s *source) describe(output string) c.Description {
	id := hash("resource " + strconv.Itoa(int(s.kind)%2))
	resource := s.table.Resource(id, func() *stream.Resource {
		r := &stream.Resource{ID: id, SchemaURL: "https://example.com/" + strconv.Itoa(int(s.kind)%2), Attributes: pcommon.NewMap()}
		r.Attributes.PutStr("service.name", "shop")
		list := r.Attributes.PutEmptySlice("process.command_args")
		list.AppendEmpty().SetStr("--verbose")
		list.AppendEmpty().SetEmptyMap().PutDouble("pi", 3.25)
		list.AppendEmpty()
		return r
	})
	scopeID := hash("scope").Add(id)
	scope := s.table.Scope(scopeID, func() *stream.Scope {
		a := pcommon.NewMap()
		a.PutBool("yes", true)
		a.PutBool("no", false)
		a.PutEmptyBytes("raw").FromRaw([]byte{0, 255})
		return &stream.Scope{ID: scopeID, Resource: resource, Name: "lib", Version: "1.2", SchemaURL: "s", Attributes: a}
	})
	metricID := hash("metric " + s.kind.String()).Add(scopeID)
	metric := s.table.Metric(metricID, func() *stream.Metric {
		m := &stream.Metric{ID: metricID, Scope: scope, Name: "m." + s.kind.String(), Description: "What it is.", Unit: "s", Kind: s.kind, Metadata: pcommon.NewMap()}
		m.Metadata.PutStr("prometheus.type", "counter")
		return m
	})
	a := pcommon.NewMap()
	a.PutStr("output", output)
	a.PutInt("code", 200)
	a.PutDouble("ratio", 0.1)
	d := c.Description{Owner: &stream.Stream{Metric: metric, Attributes: a}}
	if s.kind == c.DeltaHistogram && s.rule == 2 { // a rule that names bounds
		if kept, err := boundsOf(s.bounds).Keep([]float64{1, 4}); err == nil {
			d.Bounds, d.KeepBounds = kept, true
		}
	}
	return d
}

var sharedBounds = map[string]*spatial.Bounds{}

func boundsOf(edges []float64) *spatial.Bounds {
	name := fmt.Sprint(edges)
	if sharedBounds[name] == nil {
		sharedBounds[name], _ = spatial.NewBounds(edges)
	}
	return sharedBounds[name]
}

func levelled(k c.Kind) bool {
	return k == c.Gauge || k == c.CumulativeUpDown || k == c.DeltaUpDown
}

// next is the next point, in which the program has counted n more.
func (s *source) next(now uint64, n int64) *c.Point {
	s.time = max(s.time+1, now)
	p := &c.Point{
		Input: c.Key(hash(s.name)), Output: c.Key(hash(s.kind.String() + s.output)), Rule: s.rule, Kind: s.kind, Policy: s.policy, Now: now,
	}
	span := spatial.Span{Start: s.start, Time: s.time}
	if s.kind.Delta() {
		span.Start, s.value, s.counts = max(s.lastTime, s.start), 0, nil
		s.lastTime = s.time
	}
	if s.counts == nil {
		s.counts = make([]uint64, len(s.bounds)+1)
	}
	s.value += n
	if levelled(s.kind) {
		s.value = 3*n - 10
	}
	if n > 0 {
		s.counts[int(n)%len(s.counts)] += uint64(n)
	}
	p.Sum = spatial.SumPoint{Span: span, Value: spatial.Int(s.value)}
	if s.double {
		p.Sum.Value = spatial.Double(float64(s.value) / 4)
	}
	total := uint64(0)
	for _, count := range s.counts {
		total += count
	}
	moments := spatial.Moments{Sum: float64(total) / 8, Known: spatial.HasSum}
	switch s.kind {
	case c.DeltaHistogram, c.CumulativeHistogram, c.Summary:
		h := &spatial.HistogramPoint{Span: span, Moments: moments, Counts: slices.Clone(s.counts), Count: total}
		h.Bounds = boundsOf(s.bounds)
		if s.kind == c.Summary {
			h.Bounds, h.Counts = nil, nil
		}
		if s.kind == c.DeltaHistogram {
			h.Moments = spatial.Moments{Sum: moments.Sum, Min: -1, Max: float64(n), Known: spatial.HasSum | spatial.HasMin | spatial.HasMax}
		}
		p.Histogram = h
	case c.DeltaExponential, c.CumulativeExponential:
		x := &spatial.ExponentialPoint{Span: span, Moments: moments, Scale: s.scale, ZeroCount: s.counts[0], ZeroThreshold: 1e-6, Count: total}
		x.Positive = spatial.Buckets{Offset: -3, Counts: slices.Clone(s.counts[1:])}
		p.Exponential = x
	}
	return p
}

// program makes a source of a kind.
func program(i int, kind c.Kind) *source {
	s := &source{
		name: "in" + strconv.Itoa(i), output: "out" + strconv.Itoa(i%3), rule: 1, kind: kind, policy: spatial.Policy(kind % 6),
		double: i%2 == 1, bounds: []float64{0.5, 1, 2, 4}, scale: int32(i % 3), start: zero + uint64(i)*second/8,
	}
	return s
}

// feedTo feeds the next point to an engine.
func (s *source) feedTo(e *c.Engine, table *stream.Table, p *c.Point) {
	s.table = table
	e.Feed(p, s)
}

// snapshot is the whole state of an engine, in an order that does not depend on shards.
type snapshot struct {
	rules           map[c.RuleID]uint64
	edge            uint64
	outputs         []string
	inputs          []string
	inputsGone      []c.Tombstone
	outputsGone     []c.Tombstone
	inputsForgotten uint64
}

func snapshotOf(e *c.Engine) snapshot {
	all := snapshot{rules: map[c.RuleID]uint64{}}
	for p := range e.Snapshot() {
		maps.Copy(all.rules, p.Rules)
		all.edge = max(all.edge, p.Edge)
		all.inputsForgotten = max(all.inputsForgotten, p.InputsForgotten)
		all.inputsGone, all.outputsGone = append(all.inputsGone, p.InputsGone...), append(all.outputsGone, p.OutputsGone...)
		for i := range p.Outputs {
			all.outputs = append(all.outputs, textOfOutput(&p.Outputs[i]))
		}
		for i := range p.Inputs {
			all.inputs = append(all.inputs, textOfInput(&p.Inputs[i]))
		}
	}
	slices.Sort(all.outputs)
	slices.Sort(all.inputs)
	order := func(a, b c.Tombstone) int { return cmp.Compare(a.Mark, b.Mark) }
	slices.SortFunc(all.inputsGone, order)
	slices.SortFunc(all.outputsGone, order)
	return all
}

func textOfOutput(o *c.OutputState) string {
	s := o.Owner.(*stream.Stream)
	plain := *o
	plain.Owner, plain.Histogram.Bounds, plain.HistogramFloor.Bounds = nil, nil, nil
	return fmt.Sprintf("%+v %v %v %s", plain, o.Histogram.Bounds.Edges(), o.HistogramFloor.Bounds.Edges(), textOfStream(s))
}

func textOfStream(s *stream.Stream) string {
	m := s.Metric
	return fmt.Sprint(
		s.Attributes.AsRaw(), m.ID, m.Name, m.Description, m.Unit, m.Kind, m.Metadata.AsRaw(),
		m.Scope.ID, m.Scope.Name, m.Scope.Version, m.Scope.SchemaURL, m.Scope.Attributes.AsRaw(),
		m.Scope.Resource.ID, m.Scope.Resource.SchemaURL, m.Scope.Resource.Attributes.AsRaw(),
	)
}

func textOfInput(in *c.InputState) string {
	plain := *in
	plain.Histogram, plain.Exponential = nil, nil
	text := fmt.Sprintf("%+v", plain)
	if h := in.Histogram; h != nil {
		text += fmt.Sprint(h.Span, h.Moments, h.Bounds.Edges(), h.Counts, h.Count)
	}
	if x := in.Exponential; x != nil {
		text += fmt.Sprintf("%+v", *x)
	}
	return text
}

// shown is what was sent of one output at one time.
type shown struct {
	output      string
	start, time uint64
	kind        c.Kind
	stale       bool
	number      spatial.Number
	counts      []uint64 // of a histogram, with the zero count of an exponential one
	moments     spatial.Moments
}

func shownBy(m *c.Emission) shown {
	name, _ := m.Owner.(*stream.Stream).Attributes.Get("output")
	out := shown{output: m.Kind.String() + " " + name.Str(), start: m.Start, time: m.Time, kind: m.Kind, stale: m.Stale, number: m.Number}
	if h := m.Histogram; h != nil {
		out.counts, out.moments = append([]uint64{h.Count}, h.Counts...), h.Moments
	}
	if x := m.Exponential; x != nil {
		out.counts, out.moments = append([]uint64{x.ZeroCount}, x.Positive.Counts...), x.Moments
	}
	return out
}

// identity of all tests.
var identity = checkpoint.Identity{Secret: series.NewSecret(), Writer: "w1"}

// write writes a checkpoint of an engine.
func write(ctx context.Context, s *checkpoint.Store, e *c.Engine, now uint64) (int, error) {
	w := s.Begin(identity, []byte("extra"), now)
	for part := range e.Snapshot() {
		if err := w.Part(ctx, part); err != nil {
			w.Abort(ctx)
			return 0, err
		}
	}
	size, err := w.Commit(ctx)
	if err != nil {
		w.Abort(ctx)
	}
	return size, err
}
