package consolidation

// Kind is the type, temporality and monotonicity of a stream.
type Kind uint8

// The kinds of streams.
const (
	// DeltaSum is a monotonic sum of delta temporality.
	DeltaSum Kind = iota
	// DeltaUpDown is a delta sum that may fall.
	DeltaUpDown
	// CumulativeSum is a monotonic sum of cumulative temporality.
	CumulativeSum
	// CumulativeUpDown is a cumulative sum that may fall.
	CumulativeUpDown
	// Gauge is a gauge under one of the policies of package spatial.
	Gauge
	// DeltaHistogram is a classic histogram of delta temporality.
	DeltaHistogram
	// CumulativeHistogram is a classic histogram of cumulative temporality.
	CumulativeHistogram
	// DeltaExponential is an exponential histogram of delta temporality.
	DeltaExponential
	// CumulativeExponential is an exponential histogram of cumulative temporality.
	CumulativeExponential
	// Summary is the count and the sum of a summary, which are cumulative: see
	// spatial.SummaryPoint.
	Summary

	kinds
)

var kindNames = [kinds]string{
	"delta_sum", "delta_up_down", "cumulative_sum", "cumulative_up_down", "gauge", "delta_histogram",
	"cumulative_histogram", "delta_exponential", "cumulative_exponential", "summary",
}

// String returns the kind as lower_snake_case.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// class is what has to be remembered of an input.
type class uint8

const (
	deltas       class = iota // the times of the last point
	sums                      // the last point
	levels                    // the last value
	histograms                // the last buckets
	exponentials              // the last buckets

	classes
)

func (k Kind) class() class {
	switch k {
	case CumulativeSum:
		return sums
	case CumulativeUpDown, Gauge:
		return levels
	case CumulativeHistogram, Summary:
		return histograms
	case CumulativeExponential:
		return exponentials
	default:
		return deltas
	}
}

// Delta reports whether an output says only what came in its interval.
func (k Kind) Delta() bool { return k.class() == deltas }

// form is what an output adds up.
type form uint8

const (
	number form = iota
	level
	histogram
	exponential
)

func (k Kind) form() form {
	switch k {
	case CumulativeUpDown, Gauge:
		return level
	case DeltaHistogram, CumulativeHistogram, Summary:
		return histogram
	case DeltaExponential, CumulativeExponential:
		return exponential
	default:
		return number
	}
}
