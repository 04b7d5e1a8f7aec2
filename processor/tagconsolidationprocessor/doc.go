//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package tagconsolidationprocessor removes labels from metrics and emits what a
// database would have computed from the raw points without them.
package tagconsolidationprocessor
