// Package e2e tests the shipped binaries as a user runs them: child processes,
// real files, real ports. The tests stand behind the build tag e2e and want
// PHOENIX_COLLECTOR and PHOENIXCTL, the paths of the two binaries (absolute or
// relative to the repository's root); `make test-e2e` builds and names them.
// Without them the tests fail, so that nobody takes a skipped test for a
// passed one.
package e2e
