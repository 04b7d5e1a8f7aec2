// Package routing finds the experiment that takes part of a stream, and says
// which of its units are the candidate's.
//
// A Table is compiled from all experiments that are routed. A resource looks up
// the experiments whose conditions on it hold, which costs the same for ten and
// for ten thousand; a metric's name and a point's attributes narrow them down:
//
//	match := table.Resource(resource.Attributes())
//	points := match.Metric(metric.Name())
//	e := points.Point(point.Attributes()) // nil: no experiment's
//
// If several experiments hold, the one of the lowest Rank wins, then the first by
// id; control refuses to run two that overlap.
//
// # Units
//
// A unit is what is assigned to an arm as a whole: a resource, a series, the value
// of an attribute, a trace. Its hash depends on the content of the unit and the
// experiment's id, and on nothing else: it is the same in every process, replica
// and version, and no secret enters it. Experiments assign units independently
// of one another.
//
//	Candidate(e.ResourceUnit(routing.ResourceHash(attributes)), weight)
//
// The hash divides its range into hundred parts, of which the candidate has the
// first ones. This is rendezvous hashing for two arms whose weights sum to 100:
// the arm with the larger weighted score of a unit wins, and as one hash decides
// both scores, that is a threshold. So who is the candidate's at a weight is the
// candidate's at every higher one, and a change moves only the units in between.
package routing
