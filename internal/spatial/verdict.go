package spatial

// Verdict says what became of a point. Its text is meant for the attribute of
// a counter.
type Verdict uint8

// The point counts. What was added is in the increment.
const (
	// Accepted is a sound point without history: a delta, a latest value.
	Accepted Verdict = iota
	// Increased is the next point of a known cumulative stream.
	Increased
	// StartShift is the same with another start time that does not mean a
	// reset: SDKs and receivers let it jitter.
	StartShift
	// First is the first point of an input, known to have begun under our eyes:
	// it counts in full.
	First
	// ResetByValue means that the value fell: the new value is the increment.
	ResetByValue
	// ResetByStart means that the input began again after its last point.
	ResetByStart
)

// The point is remembered and nothing counts: it is where counting begins.
const (
	// BaselineUnknownStart is a first point with start 0 or start = time.
	BaselineUnknownStart Verdict = iota + 16
	// BaselineOldStart is a first point of an input that began before we watched.
	BaselineOldStart
	// BaselineMaybeEvicted is a first point of an input so old that it may have
	// been counted before, and forgotten.
	BaselineMaybeEvicted
	// BaselineBoundsChanged is a histogram of a known stream whose new bounds
	// share none with the old ones.
	BaselineBoundsChanged
)

// The point is sound and says nothing new.
const (
	// Late is a cumulative point older than the last one.
	Late Verdict = iota + 32
	// Duplicate is a point of the same time as the last one.
	Duplicate
)

// The point is refused; nothing changed.
const (
	// NoTime is a point without a time.
	NoTime Verdict = iota + 48
	// TimeOutOfRange is a time past the year 2262.
	TimeOutOfRange
	// StartAfterTime is a point that ends before it starts.
	StartAfterTime
	// NotANumber is a NaN in a sum.
	NotANumber
	// Infinite is an infinity in a sum.
	Infinite
	// Negative is a value below zero in a monotonic sum.
	Negative
	// CountMismatch means that the count is not the sum of the buckets.
	CountMismatch
	// CountOverflow means that the counts do not fit in 64 bits.
	CountOverflow
	// BucketsMismatch means that there is not one bucket more than bounds.
	BucketsMismatch
	// BoundsNotIncreasing means that the bounds are not strictly increasing, or NaN.
	BoundsNotIncreasing
	// TooManyBuckets is a list longer than MaxListed.
	TooManyBuckets
	// SumWithoutCount is a sum of no measurements that is not zero.
	SumWithoutCount
	// MinAboveMax is a smallest value above the largest.
	MinAboveMax
	// ScaleOutOfRange is an exponential scale outside MinScale and MaxScale.
	ScaleOutOfRange
	// OffsetOutOfRange is a bucket that no double falls into.
	OffsetOutOfRange
	// BadZeroThreshold is a zero threshold that is negative, infinite or NaN.
	BadZeroThreshold
	// NoCommonBounds means that two histograms share no bounds: see ErrNoCommonBounds.
	NoCommonBounds
)

var verdictNames = [...]string{
	Accepted: "accepted", Increased: "increased", StartShift: "start_shift", First: "first",
	ResetByValue: "reset_by_value", ResetByStart: "reset_by_start",

	BaselineUnknownStart: "baseline_unknown_start", BaselineOldStart: "baseline_old_start",
	BaselineMaybeEvicted: "baseline_maybe_evicted", BaselineBoundsChanged: "baseline_bounds_changed",

	Late: "late", Duplicate: "duplicate",

	NoTime: "no_time", TimeOutOfRange: "time_out_of_range", StartAfterTime: "start_after_time",
	NotANumber: "nan", Infinite: "infinite", Negative: "negative",
	CountMismatch: "count_mismatch", CountOverflow: "count_overflow", BucketsMismatch: "buckets_mismatch",
	BoundsNotIncreasing: "bounds_not_increasing", TooManyBuckets: "too_many_buckets",
	SumWithoutCount: "sum_without_count", MinAboveMax: "min_above_max",
	ScaleOutOfRange: "scale_out_of_range", OffsetOutOfRange: "offset_out_of_range",
	BadZeroThreshold: "bad_zero_threshold", NoCommonBounds: "no_common_bounds",
}

// String returns the verdict as lower_snake_case.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) && verdictNames[v] != "" {
		return verdictNames[v]
	}
	return "unknown"
}

// Counted reports whether the point contributes.
func (v Verdict) Counted() bool { return v <= ResetByStart }

// Reset reports whether the stream began again.
func (v Verdict) Reset() bool { return v == ResetByValue || v == ResetByStart }

// Baseline reports whether the point is remembered without being counted.
func (v Verdict) Baseline() bool { return v >= BaselineUnknownStart && v <= BaselineBoundsChanged }

// Ignored reports whether the point is sound but old.
func (v Verdict) Ignored() bool { return v == Late || v == Duplicate }

// Refused reports whether the point is malformed, or cannot be added.
func (v Verdict) Refused() bool { return v >= NoTime }

// Verdicts returns all verdicts, so that telemetry can prepare one option each.
func Verdicts() []Verdict {
	var all []Verdict
	for i, name := range &verdictNames {
		if name != "" {
			all = append(all, Verdict(i))
		}
	}
	return all
}
