// Command verify judges the example. It adds up the text of the rounds that
// were played by itself, in exact rational numbers and plain maps, applies the
// rules of the configuration by its own reading of them, and compares every
// number with what the collector exported. It shares no code with what it
// judges: the text is read by expfmt, the rules are read here.
//
// The increase of a raw series is what Prometheus's increase() would see
// without extrapolation: the first point is the base line, a value that falls
// is a reset and counts in full. With start times (--starts) the first point
// of each pass counts in full. All lines of a histogram are one point: they are
// reset together.
package main
