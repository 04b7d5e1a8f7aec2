// Peers measures whole processes: how much processor time a million points
// costs when they go through a collector that consolidates them, through one
// that only receives them, and through other programs that do a like thing.
//
//	make bench-peers BENCH_PEERS='-repetitions 5'
//
// It starts each candidate as a child process, sends it the fleet of package
// workload over OTLP/HTTP in a closed loop, one round an interval, reads the
// processor time of the child from /proc, and takes what comes out in a server
// of its own, which looks at it only after the child has ended: nothing of
// sending and receiving counts, and little of it disturbs. The candidates take
// turns, and ratios are those within one repetition, so that a machine that
// gets slower does not decide.
//
// What arrives is added up and compared with what was sent. A candidate that
// promises exact sums and does not keep them fails the run.
package main
