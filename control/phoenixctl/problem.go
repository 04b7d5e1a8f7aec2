package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/phoenix-platform/phoenix/control/api/client"
	"github.com/phoenix-platform/phoenix/control/phoenixctl/internal/manifest"
)

// Exit codes.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitForbidden   = 4
	exitConflict    = 5
	exitUnavailable = 6
)

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// advised is an error with what to do about it.
type advised struct {
	error
	advice string
}

func (e advised) Unwrap() error { return e.error }

// failures are those of several things that were tried one after the other.
type failures []error

func (f failures) Error() string { return errors.Join(f...).Error() }

func (f failures) Unwrap() []error { return f }

// errDifferent says that policies diff found differences. It has printed them.
var errDifferent = errors.New("the policies differ")

// exitCode tells the kinds of failure apart. Of several the first counts.
func exitCode(err error) int {
	var (
		many        failures
		wrongUse    usageError
		mistakes    manifest.Mistakes
		problem     *client.Problem
		unreachable *client.UnreachableError
		ended       endedError
		watching    watchError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &many):
		return exitCode(many[0])
	case errors.As(err, &ended):
		return ended.code()
	case errors.As(err, &watching):
		return watching.code()
	case errors.As(err, &problem):
		return problemCode(problem)
	case errors.As(err, &wrongUse), errors.As(err, &mistakes):
		return exitUsage
	case errors.As(err, &unreachable):
		return exitUnavailable
	case errors.Is(err, errNoRevision), errors.Is(err, errWouldEnforce), errors.Is(err, errStillEngaged):
		return exitConflict
	default:
		return exitError
	}
}

func problemCode(p *client.Problem) int {
	switch p.Status {
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitForbidden
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return exitUnavailable
	}
	if p.Status >= http.StatusInternalServerError {
		return exitError
	}
	return exitUsage
}

// printError says what went wrong, on what, and what to do about it.
func printError(w io.Writer, err error) {
	if many, ok := errors.AsType[failures](err); ok {
		for _, one := range many {
			printError(w, one)
		}
		return
	}
	var (
		problem     *client.Problem
		unreachable *client.UnreachableError
		mistakes    manifest.Mistakes
		wrongUse    usageError
		advice      advised
	)
	switch {
	case err == nil, errors.Is(err, errDifferent):
		return
	case errors.As(err, &problem):
		printProblem(w, before(err, problem), problem)
	case errors.As(err, &unreachable):
		_, _ = fmt.Fprintf(w, "Error: %s\n"+
			"Start a collector with the phoenix_control extension, for example `make run`, or give --address.\n", printable(err.Error()))
	case errors.As(err, &mistakes):
		for _, m := range mistakes {
			_, _ = fmt.Fprintf(w, "Error: %s\n", printable(m.Error()))
		}
	case errors.As(err, &wrongUse):
		_, _ = fmt.Fprintf(w, "Error: %s\nSee phoenixctl --help.\n", printable(err.Error()))
	default:
		_, _ = fmt.Fprintf(w, "Error: %s\n", printable(err.Error()))
	}
	if errors.As(err, &advice) {
		_, _ = fmt.Fprintln(w, printable(advice.advice))
	}
}

// before is what an error says before the text of the one that it wraps.
func before(err error, wrapped error) string {
	prefix, found := strings.CutSuffix(err.Error(), wrapped.Error())
	if !found {
		return ""
	}
	return prefix
}

func printProblem(w io.Writer, prefix string, p *client.Problem) {
	detail := p.Detail
	if detail == "" {
		detail = fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	_, _ = fmt.Fprintf(w, "Error: %s%s\n", printable(prefix), printable(detail))
	for _, f := range p.Errors {
		_, _ = fmt.Fprintf(w, "  %s: %s\n", printable(f.Field), printable(f.Detail))
	}
	if len(p.Suggestions) > 0 {
		_, _ = fmt.Fprintln(w, "Did you mean:")
		for _, s := range p.Suggestions {
			_, _ = fmt.Fprintf(w, "  %s\n", printable(s))
		}
	}
	switch {
	case p.Status == http.StatusUnauthorized:
		_, _ = fmt.Fprintln(w, "Log in with phoenixctl login, or give a key by PHOENIX_API_KEY or --token-file.")
	case p.Status == http.StatusForbidden:
		_, _ = fmt.Fprintln(w, "phoenixctl whoami shows who you are and what you may do.")
	case p.Status == http.StatusPreconditionFailed:
		_, _ = fmt.Fprintln(w, "Somebody else changed it meanwhile: look at it, then repeat the command.")
	case p.Status >= http.StatusInternalServerError && p.RequestID != "":
		_, _ = fmt.Fprintf(w, "The log of the collector has more about request %s.\n", printable(p.RequestID))
	}
}
