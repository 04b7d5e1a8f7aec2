// Command api measures the control plane's API in a running collector: how long
// requests take at a fixed rate, and what memory the control plane takes.
//
// It starts the collector twice. The first one has no phoenix_control: its
// resident memory, with all metrics reported, is the limit to compare with. The
// second has it, with SQLite and synchronous=FULL; it gets the same metrics and
// the policies, and then requests at a fixed rate: 70 % lists and gets of
// policies with filters, 20 % cardinality and costs, 10 % writes. Requests start
// when their time has come, whether or not earlier ones were answered, and their
// latency counts from that time, so that a server that stalls is not asked more
// gently (coordinated omission). Then the same again while data flows at half of
// what the collector takes.
package main
