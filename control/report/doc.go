// Package report is the upward half of the contract between the data path and
// the control path: what the collector saw. It holds value types and small
// interfaces and imports only the standard library, so that a component that
// uses it carries no weight of the control plane.
//
// A component finds the control plane as it would find a storage extension:
// it looks up the extension that its configuration names in
// host.GetExtensions() and asserts the interface that it needs, for example
// CardinalityRegistry.
package report
