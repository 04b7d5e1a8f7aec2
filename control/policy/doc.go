// Package policy is the downward half of the contract between the control path
// and the data path: what the collector shall do. It holds value types, their
// validation and one small interface, and imports only the standard library, so
// that a component that uses it carries no weight of the control plane.
//
// The same Rule is written by hand in the configuration of a tag_consolidation
// processor (mapstructure tags), sent by the control plane as part of a
// Snapshot, and read and written as JSON by the API. What a rule computes is the
// business of the data path; here it is only described and checked.
//
// A component finds the control plane as it would find a storage extension: it
// looks up the extension that its configuration names in host.GetExtensions()
// and asserts Source.
package policy
