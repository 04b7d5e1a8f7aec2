package checkpoint

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/spatial"
	"github.com/phoenix-platform/phoenix/internal/stream"
)

func sharing() *share { return &share{table: &stream.Table{}, bounds: spatial.NewBounds} }

func streamOf(k consolidation.Kind) *stream.Stream {
	r := &stream.Resource{ID: series.Pair{A: 1, B: 1}, Attributes: pcommon.NewMap()}
	s := &stream.Scope{ID: series.Pair{A: 2, B: 2}, Resource: r, Attributes: pcommon.NewMap()}
	m := &stream.Metric{ID: series.Pair{A: 3, B: uint64(k)}, Scope: s, Kind: k, Name: "m", Metadata: pcommon.NewMap()}
	return &stream.Stream{Metric: m, Attributes: pcommon.NewMap()}
}

func boundsOf(t *testing.T, edges ...float64) *spatial.Bounds {
	t.Helper()
	b, v := spatial.NewBounds(edges)
	require.Equal(t, spatial.Accepted, v)
	return b
}

// TestWhatWouldCorruptAnEngineIsDamage: records that are sound by their checksum and still cannot be the state of an engine.
func TestWhatWouldCorruptAnEngineIsDamage(t *testing.T) {
	const late = math.MaxInt64 + 1
	key := consolidation.Key{A: 1, B: 2}
	output := func(change func(o *consolidation.OutputState)) func(e *encoder) {
		return func(e *encoder) {
			o := consolidation.OutputState{Key: key, Rule: 1, Kind: consolidation.CumulativeSum}
			change(&o)
			e.output(&o, streamOf(o.Kind))
		}
	}
	input := func(change func(in *consolidation.InputState)) func(e *encoder) {
		return func(e *encoder) {
			in := consolidation.InputState{Key: key, Kind: consolidation.CumulativeSum, Sum: spatial.SumPoint{Span: spatial.Span{Start: 1, Time: 2}}}
			change(&in)
			e.input(&in)
		}
	}
	for name, test := range map[string]struct {
		write func(e *encoder)
		want  string
	}{
		"entry":       {func(e *encoder) { e.buf = append(e.buf, 0x7f) }, "an unknown entry"},
		"cut":         {func(e *encoder) { e.buf = append(e.buf, outputEntry, 0) }, "it ends too early"},
		"kind":        {output(func(o *consolidation.OutputState) { o.Kind = consolidation.Summary + 1 }), "an unknown kind of stream"},
		"other kind":  {func(e *encoder) { e.output(&consolidation.OutputState{}, streamOf(consolidation.Gauge)) }, "an output of another kind than its metric"},
		"policy":      {output(func(o *consolidation.OutputState) { o.Policy = spatial.PolicyCount + 1 }), "an unknown policy of a gauge"},
		"start":       {output(func(o *consolidation.OutputState) { o.Start = late }), "a time past the year 2262"},
		"emitted":     {output(func(o *consolidation.OutputState) { o.Emitted = late }), "a time past the year 2262"},
		"first":       {output(func(o *consolidation.OutputState) { o.First = math.MaxUint64 }), "a time past the year 2262"},
		"NaN":         {output(func(o *consolidation.OutputState) { o.Sum = spatial.Double(math.NaN()) }), "a sum that is not a number"},
		"last NaN":    {output(func(o *consolidation.OutputState) { o.Last = spatial.Double(math.NaN()) }), "a sum that is not a number"},
		"negative":    {output(func(o *consolidation.OutputState) { o.Last = spatial.Int(-1) }), "a monotonic sum below zero"},
		"rule":        {func(e *encoder) { e.buf = append(e.buf, watchEntry, 1) }, "index 1 into a table of 0"},
		"watch":       {func(e *encoder) { e.watch(1, late) }, "a time past the year 2262"},
		"edge":        {func(e *encoder) { e.edge(late) }, "a time past the year 2262"},
		"forgotten":   {func(e *encoder) { e.forgotten(0, late) }, "a time past the year 2262"},
		"tombstone":   {func(e *encoder) { e.gone(inputGoneEntry, consolidation.Tombstone{Time: 1}) }, "a tombstone of nobody"},
		"buried late": {func(e *encoder) { e.gone(outputGoneEntry, consolidation.Tombstone{Mark: 1, Time: late}) }, "a time past the year 2262"},
		"class":       {func(e *encoder) { e.buf = append(e.buf, inputEntry|5) }, "an unknown kind of input"},
		"seen":        {input(func(in *consolidation.InputState) { in.Seen = math.MaxUint32 }), "an input that was seen after the year 2038"},
		"span":        {input(func(in *consolidation.InputState) { in.Sum.Start = 3 }), "a point that ends before it starts, or past the year 2262"},
		"late":        {input(func(in *consolidation.InputState) { in.Sum.Time = late }), "a point that ends before it starts, or past the year 2262"},
		"fields": {output(func(o *consolidation.OutputState) {
			o.Kind, o.Histogram.Known = consolidation.DeltaHistogram, 8
		}), "unknown fields of a histogram"},
		"buckets": {output(func(o *consolidation.OutputState) {
			o.Kind, o.Histogram = consolidation.DeltaHistogram, spatial.HistogramPoint{Bounds: boundsOf(t, 1, 2), Counts: []uint64{1}, Count: 1}
		}), "a histogram: buckets_mismatch"},
		"counts": {output(func(o *consolidation.OutputState) {
			o.Kind, o.Histogram = consolidation.CumulativeHistogram, spatial.HistogramPoint{Bounds: boundsOf(t, 1), Counts: []uint64{math.MaxUint64, 1}}
		}), "counts that do not fit in 64 bits"},
		"floor": {output(func(o *consolidation.OutputState) {
			o.Kind, o.Behind, o.ExponentialFloor.Scale = consolidation.CumulativeExponential, true, 21
		}), "a histogram: scale_out_of_range"},
		"many buckets": {output(func(o *consolidation.OutputState) {
			o.Kind, o.Exponential.Positive.Counts = consolidation.CumulativeExponential, make([]uint64, spatial.MaxListed+1)
		}), "more buckets than are looked at"},
		"credit": {func(e *encoder) {
			e.output(&consolidation.OutputState{}, streamOf(0))
			e.buf = append(e.buf[:len(e.buf)-6], 0xff, 0xff, 0xff, 0xff, 0xff, 1)
		}, "more credit than 32 bits hold"},
		"many things": {func(e *encoder) {
			e.buf = append(e.buf, outputEntry, 0, 0, 0)
			e.key(key)
			e.rule(1)
			e.buf = appendUvarint(append(e.buf, 0, 0, 0), 1<<40)
		}, "it ends too early"},
	} {
		t.Run(name, func(t *testing.T) {
			var e encoder
			e.begin(0)
			test.write(&e)
			_, err := newDecoder(e.buf, sharing()).part()
			require.ErrorIs(t, err, ErrDamaged)
			require.ErrorContains(t, err, test.want)
		})
	}
}

// TestNestedValuesEnd: deeper than the identity of a series looks, content is left out, and refused.
func TestNestedValuesEnd(t *testing.T) {
	deep := func(n int) pcommon.Map {
		m := pcommon.NewMap()
		at := m
		for range n {
			at = at.PutEmptySlice("s").AppendEmpty().SetEmptyMap()
		}
		at.PutStr("bottom", "yes")
		return m
	}
	var e encoder
	read := func(m pcommon.Map) pcommon.Map {
		e.begin(0)
		e.attributes(m, 0)
		got := pcommon.NewMap()
		d := newDecoder(e.buf, sharing())
		d.attributes(got, 0)
		require.NoError(t, d.err)
		require.Zero(t, d.left())
		return got
	}
	require.Equal(t, deep(32).AsRaw(), read(deep(32)).AsRaw())
	require.NotContains(t, pcommonText(read(deep(33))), "bottom")
	e.begin(0)
	for range maxDepth/2 + 1 {
		e.buf = append(e.buf, 1) // one attribute
		e.text("s")
		e.buf = append(e.buf, sliceValue, 1, mapValue)
	}
	d := newDecoder(e.buf, sharing())
	d.attributes(pcommon.NewMap(), 0)
	require.ErrorContains(t, d.err, "values nested too deep")
}

func pcommonText(m pcommon.Map) string {
	v := pcommon.NewValueMap()
	m.CopyTo(v.Map())
	return v.AsString()
}

// TestALengthIsBelievedOnlyWithTheBytesForIt: nothing is made room for that cannot be there.
func TestALengthIsBelievedOnlyWithTheBytesForIt(t *testing.T) {
	huge := appendUvarint(nil, 1<<50)
	for name, read := range map[string]func(d *decoder){
		"text":       func(d *decoder) { d.literal() },
		"counts":     func(d *decoder) { d.counts() },
		"attributes": func(d *decoder) { d.attributes(pcommon.NewMap(), 0) },
		"value":      func(d *decoder) { d.value(pcommon.NewValueEmpty(), 0) },
		"bounds":     func(d *decoder) { d.shape() },
	} {
		prefix := map[string][]byte{"value": {sliceValue}, "bounds": {0}}[name]
		payload := slices.Concat(prefix, huge)
		require.LessOrEqual(t, testing.AllocsPerRun(10, func() {
			d := newDecoder(payload, nil)
			read(d)
			require.ErrorContains(t, d.err, "1125899906842624 things where 0 bytes are left")
		}), 60.0, name)
	}
}

// TestOutputsOfOneKeyNeverMeet, and what is known of them goes where it should.
func TestOutputsOfOneKeyNeverMeet(t *testing.T) {
	seen := map[outputID]bool{}
	for variant := range uint64(30) {
		for rule := range consolidation.RuleID(30) {
			seen[reference{consolidation.Key{A: 5, B: 6}, variant, rule}.id()] = true
		}
	}
	require.Len(t, seen, 900)

	k := known{}
	a, b, both := outputID{1, 1}, outputID{2, 2}, outputID{3, 3}
	k.add(a, consolidation.Gauge, markCurrent)
	k.add(b, consolidation.Summary, markNext)
	k.add(both, consolidation.Gauge, markCurrent)
	k.add(both, consolidation.Gauge, markNext)
	require.Equal(t, []bool{true, false, true}, []bool{k.has(a), k.has(b), k.has(both)})
	aborted := maps.Clone(k)
	aborted.abort()
	require.Equal(t, known{a: markCurrent | 4, both: markCurrent | 4}, aborted)
	k.commit()
	require.Equal(t, known{b: markCurrent | 9, both: markCurrent | 4}, k)
	kind, there := k.kind(b)
	require.True(t, there)
	require.Equal(t, consolidation.Summary, kind)
	k.remove(b, markCurrent)
	k.remove(b, markCurrent)
	require.Len(t, k, 1)
}
