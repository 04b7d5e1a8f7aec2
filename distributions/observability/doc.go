// Package observability holds what shows whether Phoenix works: a Grafana
// dashboard, and Prometheus alerts with their tests. It has no code; its tests
// compare the files with the metrics that the components document. The tests of
// distributions/e2e evaluate the alerts and run the queries of the dashboard
// against a real collector.
package observability
