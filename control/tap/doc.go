// Package tap brings data from the data path to those parts of the control
// plane that have to look at it, say to run a dashboard's queries on both arms
// of an experiment.
//
//	cardinality processor ── Wants, Offer ──▶ Hub ── a queue each ──▶ Subscription
//
// A Subscription says which metrics of which measuring point it wants. While
// nobody wants anything the data path pays an atomic load a batch; otherwise it
// copies what is wanted and goes on. It never waits: a queue is bounded by bytes,
// and what does not fit is lost. Both sides know: Offer returns false there,
// and here Lost says which metrics it touched, so that no conclusion is drawn
// from a part of the data.
package tap
