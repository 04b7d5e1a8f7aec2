//go:generate mdatagen metadata.yaml

// Package phoenixcontrolextension hosts the control plane in the Collector: it
// opens the port, serves the API, and is what other components find when they
// look for report.CardinalityRegistry among the host's extensions.
package phoenixcontrolextension
