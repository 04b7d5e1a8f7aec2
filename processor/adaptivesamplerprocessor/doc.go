//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package adaptivesamplerprocessor leaves out spans, log records and points of
// metrics, as much as its targets and budgets ask for, so that what is counted
// from the rest stays unbiased and what is read of metrics stays within a
// tolerance.
package adaptivesamplerprocessor
