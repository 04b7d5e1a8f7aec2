// Package insight answers what the measuring points saw: where the series come
// from (Cardinality), what the stream costs (Costs), what policies save
// (Savings), and by which prices (PriceModels).
//
//	report.Cardinality ─▶ reports (at most one a second) ─▶ view ─▶ restricted to the caller's namespaces
//	                                                          ├─▶ Cardinality
//	price model of the store ─────────────────────────────────┼─▶ Costs
//	report.Consolidation ─────────────────────────────────────┴─▶ Savings
//
// # Freshness
//
// A report of 10,000 metrics takes the data path's own state, and so is made at
// most once a second, and never for more than a twentieth of the time. While a
// new one is made the last is served; every answer says of when it is.
//
// # Savings
//
// What a policy saves is measured: the processors count the series that go into
// each of its rules and that come out. The amount is the difference of two bills,
// of the stream with and without those series; never a number of points or series
// times a price. While nothing is measured the sketches of the measuring point
// estimate it, or only bound it, and the answer says which.
//
// The point whose stream is billed normally counts before the rules. If it counts
// behind them, an enforced rule's series are gone from the report: the metric has
// fewer series there, by more than the error of the counts, than went into the
// rule. Then what was saved is added to the report, and that is the bill without
// the policy.
//
// Processors do not say to which budget groups the series belong. In a report
// that is grouped the saving of a metric is divided in proportion to the series of
// its groups, unless the groups are namespaces and the policy applies to one.
//
// # Namespaces
//
// If there is a namespace attribute, whoever does not see all namespaces sees
// only measuring points that are grouped by it, and of those only the groups of
// their namespaces. All else is left out before anything is computed: totals,
// shares, suggestions and money are those of their part of the stream alone, as
// if there were no other.
package insight
