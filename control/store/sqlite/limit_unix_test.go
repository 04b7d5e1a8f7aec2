//go:build unix

package sqlite_test

import (
	"os/signal"
	"syscall"
)

// limitFileSize makes writes fail beyond so many bytes of a file.
func limitFileSize(limit uint64) error {
	signal.Ignore(syscall.SIGXFSZ)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit})
}
