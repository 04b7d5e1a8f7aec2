// Package deadband leaves out the points of a series that a reader can do
// without: what a reader makes of the points that were sent is never further
// from the truth than the tolerance, at any time at which a point came. It is
// pure: no pdata, no goroutine, no clock; time comes in as a value.
//
// # Who reads, and when a point is sent
//
// Hold is a reader that takes the last point, as an instant query does. A point
// passes as soon as it is further from the last one sent than the tolerance:
// nothing is late. Corners also sends the point before it, if it was left out.
//
// Linear is a reader that draws a line from point to point. From the point that
// was sent last, each point that is left out leaves a door open for lines that
// pass it within its tolerance (a swinging door; Bristol, US patent 4,669,097,
// 1987). A point through whose door the line to it does not go closes the door:
// the point before it, to which the line does go, is sent then. So
//
//   - the ends of lines are points that came, and the tolerance is kept once;
//     the original, which sends where the doors met, may be off by twice as much;
//   - a point may be sent one interval of the source late, right before the
//     point that came after it is decided about. Times stay in order: of the two
//     only the former is sent, or both, the former first;
//   - the newest value that a reader can have is up to a heartbeat old. Linear
//     is for readers of history, Hold for dashboards of now.
//
// The point that is sent before another is handed out in Before. It takes its
// attributes from the point at hand, since both are of one series.
//
// # What is compared
//
// The tolerance is the larger of an absolute bound and a share of the true
// value. Of a counter, Rule.Range makes it a share of the growth in the range
// over which it is read. A histogram is the series that it becomes: its count,
// sum, extremes, and what lies at or below each bucket bound (of an exponential
// one, in the order of the values); all of them keep within their tolerance,
// which bounds the shift of every bucket.
//
// # What always passes
//
// First points, resets, start changes, NaN and infinities and the point after
// them, another type, other buckets, another predictor, stale markers. What was
// left out before one of them is sent first, so nothing that a counter counted
// is lost. Reason says which it was.
//
// # Times that do not go forward
//
// A point of the time of the last one, or up to a heartbeat older, is left out:
// sent, it would stand before points that were left out because of what a reader
// saw at their time. A point that is older still means that the clock was set
// back, or that an old batch came: the series begins anew with it. So a wrong
// clock costs a gap of at most a heartbeat.
//
// # What is not promised
//
//   - Nothing is sent by the clock. A series that ends without a stale marker
//     loses what came after the last point sent: under Hold it is within the
//     tolerance, under Linear it may be up to a heartbeat of points.
//   - rate() of Prometheus takes the first and last sample within its range and
//     extrapolates. Samples a heartbeat apart cannot say when within it a
//     counter moved. Counters of a steady pace are within the tolerance; of
//     one that stands still and jumps, the increase that rate() sees is right
//     with Corners, but the extrapolation of it differs.
//
// # State
//
// A sum or a gauge is 80 bytes and at most 12.5 of index: TestMemory. Nobody
// live is evicted: past MaxSeries a new series takes the place of one that is
// idle, or its points pass. Save and Restore carry the state over a restart.
//
// # For the adapter
//
// A processor keeps one Band, fills one Point from pdata, and has one Before a
// batch:
//
//	o := band.Observe(&point, rule, &before)
//	if o.Before {
//		// append a copy of the data point with the value, start and time of before
//	}
//	counts[o.Reason]++
//	return o.Reason.Passes()
//
// Points of delta temporality and summaries are not for a Band: they pass. The
// points of one series have to come one after the other, so a series must not
// be in two batches that are under way at once. Expire is called once a minute.
// Budgets divide Rule.Absolute and Rule.Relative by the level of package budget.
package deadband
