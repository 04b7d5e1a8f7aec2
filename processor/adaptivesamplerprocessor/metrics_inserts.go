package adaptivesamplerprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/phoenix-platform/phoenix/internal/sampling/deadband"
	"github.com/phoenix-platform/phoenix/internal/spatial"
)

// inserts are points of one metric that had been left out and are sent after all,
// each ahead of another. Lists of points grow at their end only, so those that
// stay are moved to a new one, with the others between them; that happens only
// where there is something to insert.
type inserts struct {
	// places says, for each point, how many points stay before it.
	places       []int
	numbers      pmetric.NumberDataPointSlice
	histograms   pmetric.HistogramDataPointSlice
	exponentials pmetric.ExponentialHistogramDataPointSlice
}

// number takes the point that is sent ahead of p, of whose series it is.
func (s *inserts) number(place int, p pmetric.NumberDataPoint, before *deadband.Before) {
	if len(s.places) == 0 {
		s.numbers = pmetric.NewNumberDataPointSlice()
	}
	s.places = append(s.places, s.place(place))
	to := s.numbers.AppendEmpty()
	p.Attributes().CopyTo(to.Attributes())
	to.SetStartTimestamp(pcommon.Timestamp(before.Sum.Start))
	to.SetTimestamp(pcommon.Timestamp(before.Sum.Time))
	if v := before.Sum.Value; v.IsDouble() {
		to.SetDoubleValue(v.Float())
	} else {
		to.SetIntValue(v.Int())
	}
}

// place counts the points that stay, among out which go on.
func (s *inserts) place(out int) int { return out - len(s.places) }

func (s *inserts) histogram(place int, p pmetric.HistogramDataPoint, before *deadband.Before) {
	if len(s.places) == 0 {
		s.histograms = pmetric.NewHistogramDataPointSlice()
	}
	s.places = append(s.places, s.place(place))
	to, h := s.histograms.AppendEmpty(), &before.Histogram
	p.Attributes().CopyTo(to.Attributes())
	to.SetStartTimestamp(pcommon.Timestamp(h.Start))
	to.SetTimestamp(pcommon.Timestamp(h.Time))
	to.SetCount(h.Count)
	to.BucketCounts().FromRaw(h.Counts)
	if h.Bounds != nil {
		to.ExplicitBounds().FromRaw(h.Bounds.Edges())
	}
	if h.Known&spatial.HasSum != 0 {
		to.SetSum(h.Sum)
	}
	if h.Known&spatial.HasMin != 0 {
		to.SetMin(h.Min)
	}
	if h.Known&spatial.HasMax != 0 {
		to.SetMax(h.Max)
	}
}

func (s *inserts) exponential(place int, p pmetric.ExponentialHistogramDataPoint, before *deadband.Before) {
	if len(s.places) == 0 {
		s.exponentials = pmetric.NewExponentialHistogramDataPointSlice()
	}
	s.places = append(s.places, s.place(place))
	to, e := s.exponentials.AppendEmpty(), &before.Exponential
	p.Attributes().CopyTo(to.Attributes())
	to.SetStartTimestamp(pcommon.Timestamp(e.Start))
	to.SetTimestamp(pcommon.Timestamp(e.Time))
	to.SetScale(e.Scale)
	to.SetZeroThreshold(e.ZeroThreshold)
	to.SetZeroCount(e.ZeroCount)
	to.SetCount(e.Count)
	to.Positive().SetOffset(e.Positive.Offset)
	to.Positive().BucketCounts().FromRaw(e.Positive.Counts)
	to.Negative().SetOffset(e.Negative.Offset)
	to.Negative().BucketCounts().FromRaw(e.Negative.Counts)
	if e.Known&spatial.HasSum != 0 {
		to.SetSum(e.Sum)
	}
	if e.Known&spatial.HasMin != 0 {
		to.SetMin(e.Min)
	}
	if e.Known&spatial.HasMax != 0 {
		to.SetMax(e.Max)
	}
}

// pointList is what the lists of the three kinds of points have in common.
type pointList[P any, S any] interface {
	Len() int
	At(i int) P
	AppendEmpty() P
	EnsureCapacity(n int)
	RemoveIf(f func(P) bool)
	MoveAndAppendTo(dest S)
}

// merge moves what stayed and what is inserted into one list, in order.
func merge[P interface{ MoveTo(dest P) }, S pointList[P, S]](places []int, stayed, inserted, into S) {
	into.EnsureCapacity(stayed.Len() + inserted.Len())
	next := 0
	for i := 0; i <= stayed.Len(); i++ {
		for ; next < len(places) && places[next] == i; next++ {
			inserted.At(next).MoveTo(into.AppendEmpty())
		}
		if i < stayed.Len() {
			stayed.At(i).MoveTo(into.AppendEmpty())
		}
	}
	stayed.RemoveIf(func(P) bool { return true })
	into.MoveAndAppendTo(stayed)
}

func (s *inserts) intoNumbers(stayed pmetric.NumberDataPointSlice) {
	if len(s.places) > 0 {
		merge(s.places, stayed, s.numbers, pmetric.NewNumberDataPointSlice())
		s.places, s.numbers = s.places[:0], pmetric.NumberDataPointSlice{}
	}
}

func (s *inserts) intoHistograms(stayed pmetric.HistogramDataPointSlice) {
	if len(s.places) > 0 {
		merge(s.places, stayed, s.histograms, pmetric.NewHistogramDataPointSlice())
		s.places, s.histograms = s.places[:0], pmetric.HistogramDataPointSlice{}
	}
}

func (s *inserts) intoExponentials(stayed pmetric.ExponentialHistogramDataPointSlice) {
	if len(s.places) > 0 {
		merge(s.places, stayed, s.exponentials, pmetric.NewExponentialHistogramDataPointSlice())
		s.places, s.exponentials = s.places[:0], pmetric.ExponentialHistogramDataPointSlice{}
	}
}
