// Package spatial is the arithmetic of merging metric streams once labels are
// gone. It is pure: values in, values out, no clock, no pdata, no goroutine.
//
// There are two halves. An input (SumInput, HistogramInput,
// ExponentialInput, Latest) is what is remembered of one incoming stream; it
// turns the next cumulative point into the increment since the last one and
// says what the point was (Verdict). An accumulator (Total, Histogram,
// Exponential, Level) adds up increments, deltas or latest values of many
// inputs; its merge is commutative and associative, so neither the order of
// points nor the way in which work is split between shards shows in a result.
//
// The rules come from the OpenTelemetry metrics data model,
// https://opentelemetry.io/docs/specs/otel/metrics/data-model/, and each names
// its section. Where the specification leaves a choice the comment gives the
// reason for ours.
//
// # What holds
//
//   - Integers are exact, also beyond int64 on the way: a Total holds 128 bits.
//   - Doubles are added with a running error term (Knuth's TwoSum, The Art of
//     Computer Programming, vol. 2, 4.2.2; Ogita, Rump and Oishi, Accurate Sum
//     and Dot Product, SIAM J. Sci. Comput. 26, 2005): a sum of n doubles is off
//     by at most u·|sum| + n²·u²·Σ|x|, with u = 2^-53. For counters, where nothing
//     cancels, that is 1e-9 relative up to 10^11 additions, and far below it
//     in practice.
//   - Doubles that leave again (a gauge goes stale) are never subtracted: a
//     Level is recomputed from the live inputs, so nothing drifts.
//   - A malformed point changes nothing and is refused with a reason.
//   - No point, however hostile, makes an input or an accumulator larger than
//     its bounds, or makes it panic.
//
// Nothing allocates once buffers have grown to the size of the data. Slices in
// a point belong to the caller and are not retained.
package spatial
