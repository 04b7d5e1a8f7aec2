// Package prometheus runs a real Prometheus server for tests: metrics are
// written to it over OTLP, and PromQL is asked of it as a dashboard asks.
//
// The server is built from server/go.mod, a module of its own, so that neither
// its version nor its dependencies are those of Phoenix. It has no service
// discovery and no web pages. The first build takes minutes; the binary is kept
// outside of the checkout, in $XDG_CACHE_HOME/phoenix/tools (default
// ~/.cache/phoenix/tools), in a directory named by what decides its content.
// `make prometheus` builds it beforehand; [BinaryVariable] names another one.
package prometheus
