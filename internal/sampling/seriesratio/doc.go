// Package seriesratio keeps a share of the series of a metric, the same ones
// everywhere and always, and estimates what all of them come to.
//
// A series has 56 bits of randomness: a keyed mix of its identity. A ratio is a
// threshold, and a series is kept if its randomness is at or above it, as the
// OpenTelemetry specification has it for traces ("Probability sampling with
// consistent thresholds"); the arithmetic is that of contrib's pkg/sampling. So
//
//   - a series kept at 10 % is kept at 25 %: samples nest, and two stages keep
//     what the stricter one alone keeps;
//   - collectors that share secret and seed keep the same series;
//   - each kept series stands for 1/ratio of them: its adjusted count.
//
// The adjusted count is either multiplied into the points (delta sums, for which
// adding up series is what readers do) or put on them as an attribute. Which one
// is the caller's: a gauge or a cumulative sum is not multiplied, for then one
// series would show what it never was.
//
// Estimate adds up kept series by Horvitz and Thompson and says how far off the
// total may be.
package seriesratio
