// Package postgrestest starts real PostgreSQL servers for tests. It uses what is
// installed, as an unprivileged user, in a directory of its own, and listens on
// no port: only this user and root reach the socket.
package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Install is the command that Debian and Ubuntu need.
const Install = "apt-get install -y --no-install-recommends postgresql"

const (
	superuser = "phoenix"
	// patience is how long a server may take to start or stop on a busy machine.
	patience = time.Minute
)

// Server is a PostgreSQL server.
type Server struct {
	bin, dir string
	options  []string
	account  account
	process  *exec.Cmd
	leash    io.WriteCloser
	exited   chan struct{}
}

// guardian runs the server and ends it when its standard input ends, which also
// happens when the test process is killed. The directory goes with it. Told to
// keep it, it waits for the server, which is about to end.
const guardian = `
"$0" "$@" > log 2>&1 < /dev/null &
server=$!
read -r wish
[ "$wish" = keep ] || kill -QUIT "$server" 2> /dev/null
wait "$server"
[ "$wish" = keep ] || rm -rf "$PWD"
`

// Start starts a server that ends with the test, with options such as
// "fsync=on". Without PostgreSQL the test is skipped; in CI, where nothing may be
// skipped (NOSKIP), it fails.
//
// A server does not wait for the disk unless it is told to: what processes wrote
// outlives them, and a crash of the machine is no test.
func Start(tb testing.TB, options ...string) *Server {
	tb.Helper()
	bin, err := find()
	if err != nil {
		missing(tb, err)
	}
	s, err := start(bin, options)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

func missing(tb testing.TB, err error) {
	tb.Helper()
	if os.Getenv("NOSKIP") != "" {
		require.NoError(tb, err)
	}
	tb.Skip(err)
}

// find returns the directory of the newest server that is installed.
func find() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian keeps them off the path
	if err != nil {
		return "", err
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path) // the other programs are beside it
		return filepath.Dir(path), err
	}
	if len(found) == 0 {
		return "", errors.New("there is no PostgreSQL server; install one: " + Install)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // else it is the oldest
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

func start(bin string, options []string) (_ *Server, err error) {
	s := &Server{bin: bin}
	for _, option := range append([]string{
		"fsync=off", "listen_addresses=", "unix_socket_directories=..", "shared_buffers=32MB", "max_connections=60",
	}, options...) {
		s.options = append(s.options, "-c", option)
	}
	if s.account, err = unprivileged(); err != nil {
		return nil, err
	}
	// Not in the directory of the test: its path may be too long for a socket.
	if s.dir, err = os.MkdirTemp("", "pg"); err != nil {
		return nil, err
	}
	if err := s.account.own(s.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	// A locale that sorts otherwise than by bytes shows what relies on it.
	err = s.run("initdb", "-D", "data", "-U", superuser, "-A", "trust", "-E", "UTF8", "--no-sync",
		"--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
	if err == nil {
		err = s.launch()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// run runs a program of PostgreSQL to its end.
func (s *Server) run(program string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.bin, program), args...) //nolint:gosec // what find found
	cmd.Dir = s.dir
	s.account.as(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return nil
}

// launch starts the server in its directory and waits until it answers.
func (s *Server) launch() error {
	args := append([]string{"-c", guardian, filepath.Join(s.bin, "postgres"), "-D", "data"}, s.options...)
	cmd := exec.Command("sh", args...) //nolint:gosec // what find found
	cmd.Dir = s.dir
	s.account.as(cmd)
	leash, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	s.process, s.leash, s.exited = cmd, leash, make(chan struct{})
	go func(exited chan struct{}) {
		defer close(exited)
		_ = cmd.Wait()
	}(s.exited)
	if err := s.await(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return errors.Join(fmt.Errorf("wait for postgres: %w: %s", err, bytes.TrimSpace(log)), s.Close())
	}
	return nil
}

func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.exited:
			return errors.New("it exited")
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// DSN returns the connection string of a database.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("host=%s user=%s dbname=%s", s.dir, superuser, database)
}

var databases atomic.Int64

// NewDatabase makes an empty database for a test and returns its connection
// string.
func (s *Server) NewDatabase(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test%d", databases.Add(1))
	s.admin(tb, "CREATE DATABASE "+name)
	tb.Cleanup(func() { s.admin(tb, "DROP DATABASE "+name+" WITH (FORCE)") })
	return s.DSN(name)
}

// NewSchema makes an empty schema for a test and returns a connection string
// that has it as its search path. It takes a tenth of the time of NewDatabase.
func (s *Server) NewSchema(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test%d", databases.Add(1))
	s.admin(tb, "CREATE SCHEMA "+name)
	tb.Cleanup(func() { s.admin(tb, "DROP SCHEMA "+name+" CASCADE") })
	return s.DSN("postgres") + " search_path=" + name
}

func (s *Server) admin(tb testing.TB, statement string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	require.NoError(tb, err)
	_, err = conn.Exec(ctx, statement)
	require.NoError(tb, errors.Join(err, conn.Close(ctx)))
}

// Crash stops the server as a crash of the machine would stop it, as far as
// processes go: nothing is flushed or said good-bye to.
func (s *Server) Crash() error {
	return s.run("pg_ctl", "-D", "data", "stop", "-m", "immediate")
}

// Restart starts the server again after Crash: it recovers.
func (s *Server) Restart() error {
	_, err := io.WriteString(s.leash, "keep\n")
	if err := errors.Join(err, s.end()); err != nil {
		return err
	}
	return s.launch()
}

// Close ends the server and removes its directory. It may be called twice.
func (s *Server) Close() error {
	if s.process == nil {
		return nil
	}
	return errors.Join(s.end(), os.RemoveAll(s.dir))
}

// end lets the guardian go and waits for it.
func (s *Server) end() error {
	err := s.leash.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	select {
	case <-s.exited:
	case <-time.After(patience):
		err = errors.Join(err, s.process.Process.Kill(), fmt.Errorf("the server did not end within %s", patience))
	}
	s.process = nil
	return err
}
