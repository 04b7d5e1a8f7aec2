package consolidation

import "github.com/phoenix-platform/phoenix/internal/spatial"

// floor is what a histogram showed before a restart. Until its inputs have
// caught up it shows the larger of both, bucket by bucket, so that nothing
// falls. The floor goes when it is reached everywhere.
type floor struct {
	histogram   *spatial.Histogram
	exponential *spatial.Exponential
}

func (f *floor) raise(o *output, p spatial.HistogramPoint, r *Report) spatial.HistogramPoint {
	common, err := spatial.Common(f.histogram.Point().Bounds, p.Bounds)
	if err != nil { // an input without bounds cannot be compared
		o.floor = nil
		return p
	}
	was, is := spatial.NewHistogram(common), spatial.NewHistogram(common)
	was.Merge(f.histogram)
	is.Add(&p)
	then, now := was.Point(), is.Point()
	if behind := raiseTo(now.Counts, then.Counts); !behind && !sumBehind(then.Moments, p.Moments) {
		o.floor = nil
		return p
	}
	r.Behind++
	now.Count = count(now.Counts)
	now.Moments = larger(then.Moments, p.Moments)
	// What is shown is the floor from now on: the larger of each bucket is more
	// than the larger of both, which matters when buckets are joined.
	f.histogram = new(spatial.Histogram)
	f.histogram.Add(&now)
	return now
}

func (f *floor) raiseExponential(o *output, p spatial.ExponentialPoint, r *Report) spatial.ExponentialPoint {
	both := spatial.NewExponential(spatial.MaxListed)
	both.Merge(f.exponential)
	both.Add(&p)
	frame, then := both.Point(), f.exponential.Point()
	now, was := framed(&frame, &p), framed(&frame, &then)
	behind := raiseTo(now.Positive.Counts, was.Positive.Counts)
	behind = raiseTo(now.Negative.Counts, was.Negative.Counts) || behind
	if now.ZeroCount < was.ZeroCount {
		now.ZeroCount, behind = was.ZeroCount, true
	}
	falls := len(p.Negative.Counts) > 0 // the sum of measurements below zero may
	if !behind && (falls || !sumBehind(was.Moments, now.Moments)) {
		o.floor = nil
		return p
	}
	r.Behind++
	now.Count = now.ZeroCount + count(now.Positive.Counts) + count(now.Negative.Counts)
	now.Moments = larger(then.Moments, now.Moments)
	f.exponential = spatial.NewExponential(spatial.MaxListed)
	f.exponential.Add(&now) // see raise
	return now
}

// framed brings a point to the scale, the offsets and the lengths of a frame
// that holds it. What lies below the frame is in its zero bucket.
func framed(frame, p *spatial.ExponentialPoint) spatial.ExponentialPoint {
	out := *frame
	out.Moments, out.ZeroCount = p.Moments, p.ZeroCount
	side := func(to *spatial.Buckets, from spatial.Buckets) {
		counts := make([]uint64, len(to.Counts))
		for i, c := range from.Counts {
			if c == 0 {
				continue
			}
			at := (int64(from.Offset)+int64(i))>>(p.Scale-frame.Scale) - int64(to.Offset)
			if at < 0 || len(counts) == 0 { // a side that is empty is all in the zero bucket
				out.ZeroCount += c
			} else {
				counts[at] += c
			}
		}
		to.Counts = counts
	}
	side(&out.Positive, p.Positive)
	side(&out.Negative, p.Negative)
	return out
}

// raiseTo makes each count at least what it was, and reports whether one was less.
func raiseTo(counts, were []uint64) (behind bool) {
	for i, was := range were {
		if counts[i] < was {
			counts[i], behind = was, true
		}
	}
	return behind
}

func count(counts []uint64) (sum uint64) {
	for _, c := range counts {
		sum += c
	}
	return sum
}

// sumBehind reports whether the sum is less than it was: other inputs, of smaller
// measurements, may bring the counts up first.
func sumBehind(then, now spatial.Moments) bool {
	return then.Known&now.Known&spatial.HasSum != 0 && now.Sum < then.Sum
}

// larger returns the larger sum, if both are known.
func larger(a, b spatial.Moments) spatial.Moments {
	return spatial.Moments{Sum: max(a.Sum, b.Sum), Known: a.Known & b.Known & spatial.HasSum}
}
