// Command phoenix-collector is the Phoenix distribution of the OpenTelemetry Collector. All else in this package is generated
// from builder-config.yaml by `make generate`.
package main

// version is the version of this distribution, as in builder-config.yaml. The Makefile puts the commit behind it by
// -ldflags "-X main.version=…".
var version = "0.1.0-dev"
