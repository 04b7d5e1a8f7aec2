package fidelity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// What a series, a sample in the head and one that waits take, measured by
// TestMemoryIsEstimated.
const (
	seriesBytes  = 1000
	sampleBytes  = 3
	nativeBytes  = 120
	waitingBytes = 64
)

// arm is what is kept of one arm of the experiment: a head, and what waits to get
// in. Samples wait until their time can be asked about, so that they go in by
// their time whatever order they came in.
type arm struct {
	name string
	dir  string
	head *tsdb.Head

	maxSeries int
	maxBytes  int64

	mu      sync.Mutex
	series  map[uint64][]*series
	count   int
	waiting []sample
	// samples estimates how many are in the head, since when by truncation.
	samples, natives int64
	from, to         int64
	// began is the time of the first point of the experiment.
	began int64
	// families has what was seen of each metric, by its name in the backend.
	families map[string]*family
	// rotated is when the newest observations of them began.
	rotated time.Time
	// unknown says that samples of other metrics found no room since the last look.
	unknown bool
	// refused counts samples that the bounds left no room for, late those that came
	// after their time was asked about, again those that contradict one before.
	refused, late, again uint64
	// taken counts all that were added.
	taken int64
}

// series is one of the head's. The head knows it by its reference.
type series struct {
	labels  labels.Labels
	ref     storage.SeriesRef
	family  *family
	outside bool
	last    int64
	// What follows is of the first point. counter: it only grows, until it is
	// reset. base is its value, first its time, born when it began to count, if that was
	// after the arm began.
	counter     bool
	base        float64
	first, born int64
}

// family is a metric of the backend, with the series that its types make.
type family struct {
	name string
	// first is the time of its first sample, refused whether samples of it found
	// no room since the last look.
	first   int64
	refused bool
	// recent is what was seen of the experiment's points, the newest first, each for
	// observation at least.
	recent [observations]observed
	// edges are the times of those that bear a whole second, while they are few
	// enough to be edges.
	edges map[int64]struct{}
}

// observed are points of a metric: edges divides the times, in milliseconds, of
// those that bear a whole second, which odd is the number of the others.
type observed struct {
	whole, odd int
	edges      int64
	late       lag
}

func (o observed) join(p observed) observed {
	return observed{o.whole + p.whole, o.odd + p.odd, divisor(o.edges, p.edges), o.late.join(p.late)}
}

// How long an observation lasts at least, and how many are kept: two edges of the
// longest interval fit in, and what was before the rules applied is forgotten.
const (
	observation  = 5 * time.Minute
	observations = 5
)

func (f *family) seen() (all observed) {
	for _, o := range f.recent {
		all = all.join(o)
	}
	return all
}

// interval is that at whose edges the experiment's points were emitted, as by
// tag_consolidation. 0: they were not. It is not known until there were two edges.
func (f *family) interval() (interval time.Duration, known bool) {
	all := f.seen()
	if all.odd*10 > all.whole {
		return 0, true
	}
	interval = time.Duration(all.edges) * time.Millisecond
	return interval, interval <= longestInterval
}

// mostEdges bounds what is kept of a metric whose points bear whole seconds.
const mostEdges = 100_000

// longestInterval is the longest interval of outputs that is recognised.
const longestInterval = 10 * time.Minute

// lag is in milliseconds; seen is false if there was no point.
type lag struct {
	seen        bool
	least, most int64
}

func (l lag) join(o lag) lag {
	switch {
	case !o.seen:
		return l
	case !l.seen:
		return o
	}
	return lag{true, min(l.least, o.least), max(l.most, o.most)}
}

func (f *family) observe(p point) {
	o := observed{odd: 1, late: lag{true, p.at - p.t, p.at - p.t}}
	if p.t%time.Second.Milliseconds() == 0 {
		o.whole, o.odd, o.edges = 1, 0, p.t
		if _, ok := f.edges[p.t]; !ok && len(f.edges) < mostEdges {
			f.edges[p.t] = struct{}{}
		}
	}
	f.recent[0] = f.recent[0].join(o)
}

// sample waits for its time.
type sample struct {
	series *series
	t      int64
	value
}

// newArm opens a head without log, so that it is in memory; what it has in its
// directory are empty files.
func newArm(name, parent string, maxSeries, maxMemoryMiB int) (a *arm, err error) {
	dir, err := os.MkdirTemp(parent, "phoenix-fidelity-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the head of the %s: %w", name, err)
	}
	opts := tsdb.DefaultHeadOptions()
	opts.ChunkDirRoot = dir
	opts.ChunkRange = (24 * time.Hour).Milliseconds() // half of it may be appended out of order between series
	opts.ChunkWriteBufferSize = chunks.MinWriteBufferSize
	opts.StripeSize = 256
	opts.IsolationDisabled = true
	opts.EnableExemplarStorage = false
	head, err := tsdb.NewHead(nil, slog.New(slog.DiscardHandler), nil, nil, opts, nil)
	if err == nil {
		err = head.Init(math.MinInt64)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the head of the %s: %w", name, err), os.RemoveAll(dir))
	}
	return &arm{
		name: name, dir: dir, head: head, maxSeries: maxSeries, maxBytes: int64(maxMemoryMiB) << 20,
		series: map[uint64][]*series{}, families: map[string]*family{}, from: math.MaxInt64, began: math.MaxInt64,
	}, nil
}

func (a *arm) close() error {
	return errors.Join(a.head.Close(), os.RemoveAll(a.dir))
}

// add lets a sample wait. outside says that it is not the experiment's.
func (a *arm) add(p point, outside bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.find(p.labels)
	if s == nil && a.count >= a.maxSeries || a.bytes() >= a.maxBytes {
		a.refuse(p.family)
		return
	}
	f := a.familyOf(p.family)
	if s == nil {
		s = &series{labels: p.labels, family: f, outside: outside, last: math.MinInt64, counter: p.counter, base: p.v, first: p.t}
		if p.start >= a.began && p.start < p.t {
			s.born = p.start
		}
		hash := p.labels.Hash()
		a.series[hash] = append(a.series[hash], s)
		a.count++
	}
	f.first = min(f.first, p.t)
	if !outside {
		f.observe(p)
		a.began = min(a.began, p.t)
	}
	a.taken++
	a.waiting = append(a.waiting, sample{series: s, t: p.t, value: p.value})
}

// refuse notes that a sample found no room. Names that nobody knows are not kept:
// there is no end of them.
func (a *arm) refuse(name string) {
	a.refused++
	if f := a.families[name]; f != nil {
		f.refused = true
	} else {
		a.unknown = true
	}
}

// divisor is the greatest common one of times.
func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}

func (a *arm) familyOf(name string) *family {
	f := a.families[name]
	if f == nil {
		f = &family{name: name, first: math.MaxInt64, edges: map[int64]struct{}{}}
		a.families[name] = f
	}
	return f
}

func (a *arm) find(ls labels.Labels) *series {
	for _, s := range a.series[ls.Hash()] {
		if labels.Equal(s.labels, ls) {
			return s
		}
	}
	return nil
}

// settle puts what is due into the head, by its time.
func (a *arm) settle(ctx context.Context, until time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.SortStableFunc(a.waiting, func(x, y sample) int { return cmp.Compare(x.t, y.t) })
	due, _ := slices.BinarySearchFunc(a.waiting, until.UnixMilli()+1, func(s sample, t int64) int { return cmp.Compare(s.t, t) })
	if until.Sub(a.rotated) >= observation {
		a.rotated = until
		for _, f := range a.families {
			copy(f.recent[1:], f.recent[:])
			f.recent[0] = observed{}
		}
	}
	app := a.head.AppenderV2(ctx)
	for i := range a.waiting[:due] {
		a.append(app, a.waiting[i])
	}
	left := copy(a.waiting, a.waiting[due:])
	clear(a.waiting[left:])
	a.waiting = a.waiting[:left]
	return app.Commit()
}

// append does with a sample what the server would: the first of several of one
// time counts, and none that is older than the last.
func (a *arm) append(app storage.AppenderV2, s sample) {
	ref, err := app.Append(s.series.ref, s.series.labels, 0, s.t, s.v, s.h, s.fh, storage.AOptions{})
	switch {
	case err == nil:
		s.series.ref, s.series.last = ref, s.t
		a.from, a.to = min(a.from, s.t), max(a.to, s.t)
		if s.h != nil || s.fh != nil {
			a.natives++
		} else {
			a.samples++
		}
	case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
		a.again++
	default:
		a.late++
	}
}

// forget drops what is older than the queries read.
func (a *arm) forget(before time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := before.UnixMilli()
	if a.count == 0 || t-a.from < (a.to-t)/8 {
		return nil
	}
	if err := a.head.Truncate(t); err != nil {
		return fmt.Errorf("truncate the head of the %s: %w", a.name, err)
	}
	left := 1 - float64(t-a.from)/float64(max(a.to-a.from, t-a.from, 1))
	a.samples, a.natives, a.from = int64(float64(a.samples)*left), int64(float64(a.natives)*left), t
	waits, has := make(map[*series]bool, len(a.waiting)), make(map[*family]bool, len(a.families))
	for _, s := range a.waiting {
		waits[s.series] = true
	}
	for hash, list := range a.series {
		list = slices.DeleteFunc(list, func(s *series) bool { return s.last < t && !waits[s] })
		if a.count += len(list) - len(a.series[hash]); len(list) == 0 {
			delete(a.series, hash)
		} else {
			a.series[hash] = list
		}
		for _, s := range list {
			has[s.family] = true
		}
	}
	for _, f := range a.families {
		maps.DeleteFunc(f.edges, func(edge int64, _ struct{}) bool { return edge < t })
	}
	maps.DeleteFunc(a.families, func(_ string, f *family) bool { return !has[f] && !f.refused })
	return nil
}

// bytes estimates what is kept.
func (a *arm) bytes() int64 {
	return int64(a.count)*seriesBytes + a.samples*sampleBytes + a.natives*nativeBytes + int64(len(a.waiting))*waitingBytes
}

// memoryBytes is bytes, for others.
func (a *arm) memoryBytes() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bytes()
}
