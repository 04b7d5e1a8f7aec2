package tagconsolidationprocessor

import (
	"maps"
	"math"
	"slices"

	"pgregory.net/rapid"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// program sends one stream, as an SDK would.
type program struct {
	kind               consolidation.Kind
	name, unit         string
	resource, scope    map[string]any
	point              map[string]any
	scopeName, version string
	double             bool
	skew               int64 // of its clock
	startless          bool  // it never says when it began

	start, time uint64
	bounds      []float64
	scale       int
	threshold   float64

	whole    int64          // of an integer
	real     float64        // of a double
	measured []float64      // of a histogram
	fine     [2]map[int]int // of an exponential histogram: counts by index at fineScale
	zeros    int
	last     *reading
}

// reading is one point of a program.
type reading struct {
	program            *program
	start, time        uint64
	stale, noValue     bool
	double             bool
	whole              int64
	real               float64
	bounds             []float64
	counts             []uint64
	negative           []uint64
	offset, negOffset  int32
	scale              int32
	threshold          float64
	zeros              uint64
	count              uint64
	sum, least, most   float64
	hasSum, hasExtreme bool
}

const fineScale = 6

var boundsPool = [][]float64{{1, 4}, {1, 2, 4}, {1, 4, 8}, {0.5, 1, 2, 4, 8}, {3, 7}, nil}

// attributePool has the values of point attributes; nil: there is none.
var attributePool = []struct {
	key    string
	values []any
}{
	{"pod", []any{"p1", "p2", nil}},
	{"code", []any{int64(200), int64(404), "503", nil}},
	{"method", []any{"GET", nil, nil}},
	{"route", []any{"/users/1", "/users/2?x", "/cart", "/files/a/b", nil}},
	{DefaultWriterAttribute, []any{nil, nil, nil, nil, nil, "other"}},
}

func drawProgram(t *rapid.T, now uint64) *program {
	pick := func(name string, values ...string) string { return rapid.SampledFrom(values).Draw(t, name) }
	p := &program{
		kind:     consolidation.Kind(rapid.Uint8Range(0, uint8(consolidation.Summary)).Draw(t, "kind")),
		name:     pick("name", "http.requests", "http.requests", "http.latency", "db.calls", "untouched", "memory"),
		unit:     pick("unit", "", "", "s"),
		resource: map[string]any{"service.name": pick("service", "shop", "cart"), "k8s.pod.name": pick("pod", "p1", "p2", "p3")},
		scope:    map[string]any{}, scopeName: pick("scope", "", "lib"), point: map[string]any{},
		double: rapid.Bool().Draw(t, "double"), scale: rapid.IntRange(0, 4).Draw(t, "scale"),
		bounds: rapid.SampledFrom(boundsPool).Draw(t, "bounds"),
	}
	if rapid.IntRange(0, 3).Draw(t, "more") == 0 {
		p.resource["region"], p.scope["team"], p.version = "eu", "a", "2"
	}
	for _, a := range attributePool {
		if v := a.values[rapid.IntRange(0, len(a.values)-1).Draw(t, a.key)]; v != nil {
			p.point[a.key] = v
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "skewed") == 0 {
		p.skew = rapid.SampledFrom([]int64{-90, -2, 2, 90}).Draw(t, "skew") * 1e9
	}
	p.startless = rapid.IntRange(0, 5).Draw(t, "startless") == 0
	p.begin(p.clock(now) - rapid.Uint64Range(0, 20).Draw(t, "age")*1e9)
	return p
}

func (p *program) clock(now uint64) uint64 { return now + uint64(p.skew) }

// begin lets the program begin counting at a time.
func (p *program) begin(start uint64) {
	p.start = start
	p.forget()
}

// forget lets it count from zero, and not say so.
func (p *program) forget() {
	p.whole, p.real, p.measured, p.zeros = 0, 0, nil, 0
	p.fine = [2]map[int]int{{}, {}}
}

// report measures, and says what there is.
func (p *program) report(t *rapid.T, now uint64) *reading {
	p.time = max(p.time+1e6, p.clock(now)-rapid.Uint64Range(0, 1000).Draw(t, "lag")*1e6)
	r := &reading{program: p, start: p.start, time: p.time, bounds: p.bounds, double: p.double}
	if p.kind.Delta() {
		p.forget()
		if p.last != nil {
			r.start = min(p.last.time, r.time)
		}
	}
	if p.startless {
		r.start = 0
	}
	p.measure(t, r)
	p.last = r
	return r
}

func (p *program) measure(t *rapid.T, r *reading) {
	switch {
	case isLevel(p.kind) || p.kind == consolidation.DeltaUpDown:
		p.whole = int64(rapid.IntRange(-50, 50).Draw(t, "level"))
		p.real = float64(p.whole) / 10
	case p.kind == consolidation.DeltaSum || p.kind == consolidation.CumulativeSum:
		n := rapid.IntRange(0, 50).Draw(t, "growth")
		p.whole += int64(n)
		p.real += float64(n) / 10
	case p.kind == consolidation.DeltaExponential || p.kind == consolidation.CumulativeExponential:
		p.measureExponential(t)
		p.sayExponential(t, r)
	default:
		for range rapid.IntRange(0, 4).Draw(t, "n") {
			p.measured = append(p.measured, rapid.SampledFrom([]float64{0.25, 0.75, 1.5, 3, 6, 10}).Draw(t, "v"))
		}
		p.sayHistogram(t, r)
	}
	r.whole, r.real = p.whole, p.real
}

func (p *program) sayHistogram(t *rapid.T, r *reading) {
	r.count = uint64(len(p.measured))
	r.counts = make([]uint64, len(p.bounds)+1)
	for _, v := range p.measured {
		at := 0
		for at < len(p.bounds) && v > p.bounds[at] {
			at++
		}
		r.counts[at]++
		r.observe(v)
	}
	r.sayFields(t)
}

func (r *reading) observe(v float64) {
	if r.sum == 0 && r.least == 0 && r.most == 0 {
		r.least, r.most = v, v
	}
	r.sum += v
	r.least, r.most = min(r.least, v), max(r.most, v)
}

// sayFields chooses which of the optional fields there are; an exporter that
// leaves the sum out is rare.
func (r *reading) sayFields(t *rapid.T) {
	r.hasSum = rapid.IntRange(0, 15).Draw(t, "hasSum") > 0
	r.hasExtreme = rapid.Bool().Draw(t, "hasExtremes")
}

func (p *program) measureExponential(t *rapid.T) {
	for range rapid.IntRange(0, 4).Draw(t, "n") {
		side, reach := 0, 64
		if rapid.IntRange(0, 3).Draw(t, "negative") == 0 {
			side = 1
		}
		if rapid.IntRange(0, 20).Draw(t, "far") == 0 {
			reach = 1500 // more than 160 buckets at a scale of 3
		}
		if at := rapid.IntRange(-reach, reach).Draw(t, "v"); at == 0 {
			p.zeros++
		} else {
			p.fine[side][at]++
		}
	}
}

func (p *program) sayExponential(t *rapid.T, r *reading) {
	r.scale, r.threshold, r.zeros, r.count = int32(p.scale), p.threshold, uint64(p.zeros), uint64(p.zeros)
	for side, counts := range p.fine {
		low, high := math.MaxInt, math.MinInt
		for at := range counts {
			low, high = min(low, at>>(fineScale-p.scale)), max(high, at>>(fineScale-p.scale))
		}
		if low > high {
			continue
		}
		low -= rapid.IntRange(0, 2).Draw(t, "leading") // zeros
		list := make([]uint64, high-low+1)
		for _, at := range slices.Sorted(maps.Keys(counts)) {
			n := counts[at]
			list[at>>(fineScale-p.scale)-low] += uint64(n)
			r.count += uint64(n)
			r.sum += float64(n) * math.Exp2(float64(at)/(1<<fineScale)) * float64(1-2*side)
		}
		if side == 0 {
			r.offset, r.counts = int32(low), list
		} else {
			r.negOffset, r.negative = int32(low), list
		}
	}
	r.least, r.most = -1e30, 1e30
	r.sayFields(t)
}
