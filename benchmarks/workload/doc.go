// Package workload makes what the whole-process benchmarks send: OTLP/HTTP
// requests, encoded before the clock runs, of a fleet of HTTP services whose
// pods all count the same things.
//
// Every pod is a resource. A point carries six attributes of its resource and
// six of its own; two of the twelve name the pod, and without these two the
// pods of a service add up to one series. All metrics are cumulative monotonic
// sums, three of integers and one of seconds in floating point, which is what
// counters of Prometheus clients and of OpenTelemetry SDKs are. Values and
// times advance with every round; nothing is random, so that two rounds of the
// same number are equal but for their time.
package workload
