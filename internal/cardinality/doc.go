// Package cardinality counts the series of every metric over a moving window,
// and for every attribute the series that would be left without it.
//
// It knows neither the Collector's host nor pdata: it is fed with hashes (see
// package series) and asks its Source for the attributes of a point only when
// the point's series is seen for the first time in a sub-window.
//
//	Tracker            all metrics; bounds on state; overflow
//	└─ Metric          one metric in one budget group
//	   ├─ sketch.Table which series were seen in which sub-window: streams, growth
//	   ├─ rows         up to ExactSeries series with all their attributes: exact answers
//	   └─ large        beyond that: one HyperLogLog sketch for N and for each N∖a
//
// N∖a, the number of series left without attribute a, is the number of distinct
// hash - contribution(a). A series that lacks a counts there too, unchanged.
package cardinality
