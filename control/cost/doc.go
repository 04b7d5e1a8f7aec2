// Package cost says what a stream of metrics costs, who causes it, and what a
// policy saves. It is pure: reports, rates, prices and times come in as values.
//
//	report.Cardinality ─▶ NewUsage ─▶ Model.Price      the bill: a month, a day, now
//	                                  Model.ByMetric   whose share of it is it?
//	                                  Model.ByGroup
//	                                  Model.ByLabel    what would go without the label?
//	policy.Rule ─▶ RuleEffects ─────▶ Model.Saving     the bill with and without, as an interval
//	history ─▶ Extrapolate ─────────▶ Model.Forecast
//	           Compare                                 is this hour unusual?
//
// A Model is a price list, written in YAML or JSON, one for each vendor and
// contract. Components add up: a price for active series and one for samples,
// say. Money is an integer number of millionths, so nothing is lost in sums.
//
// A saving is never a number of points times a price. It is the difference of
// two bills: of the usage as it is, and of the usage with the series that stay.
// What stays is in the report, counted exactly or by sketches with a known error,
// which becomes an interval of money. README.md has a worked example that a test
// checks.
package cost
