// Package ruleimport turns the aggregation rules of other systems into rules of
// Phoenix, and reads and writes files of our own.
//
// Nothing is lost in silence: each part of the source that has no equal, or an
// equal that differs, becomes a Message with its place and what to do about it. A
// rule that would compute something else than its original is left out, and an
// error says so.
//
// The formats are those that their systems document. VictoriaMetrics and Grafana
// name metrics and labels as Prometheus does; the imported rules expect what the
// prometheus receiver makes of them.
package ruleimport
