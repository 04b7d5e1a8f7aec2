// Package stream holds the identity of outgoing metric streams in clear: the
// resource, scope, metric and attributes under which the value of an output is
// sent. The engine (package consolidation) knows outputs by keys of 128 bits
// and hands their Stream back with each value.
//
// Outputs share what they have in common: 100,000 of them may belong to 50
// resources and 4 metrics each. A Table makes sure that each of those exists
// once, and forgets it when the last output is gone.
//
// Batch puts values under their streams into pdata, grouped as OTLP groups them.
package stream
