// Package capture reads recorded scrapes and says what is in them: the folder
// of rounds, an exact count of series and labels straight from the text, and
// the same data as OpenTelemetry metrics.
//
// The count is the oracle of the cardinality tests, so it shares no code with
// what it judges: it has its own scanner of the exposition format and imports
// neither expfmt nor a component. Only [Metrics], which is input and not
// judgement, goes through expfmt.
package capture
