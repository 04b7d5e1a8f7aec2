// Package metricsource asks a Prometheus server, or whatever answers its query
// API, what a guardrail's query says of each arm of an experiment. Nothing is
// judged here.
package metricsource
