//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package cardinalityprocessor counts, while metrics stream by unchanged, how
// many series every metric has and how many it would have without each of its
// attributes.
package cardinalityprocessor
