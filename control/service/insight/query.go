package insight

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/phoenix-platform/phoenix/control/api/fault"
	"github.com/phoenix-platform/phoenix/control/report"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/service/filter"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Bounds on what may be asked.
const (
	// DefaultLimit is how many metrics a list has if no limit is given.
	DefaultLimit = 50
	// MaxLimit is the largest limit that may be asked for.
	MaxLimit = 10_000
	// maxTextBytes bounds names and patterns, so that matching stays cheap.
	maxTextBytes = 1024
	// maxTokenBytes bounds page tokens: three names of any length in base64.
	maxTokenBytes = 64 << 10
)

// violations collects what is wrong with a request.
type violations []fault.Violation

func (v *violations) add(field, format string, args ...any) {
	*v = append(*v, fault.Violation{Field: field, Description: fmt.Sprintf(format, args...)})
}

// also takes over the violations of a fault; another error is returned.
func (v *violations) also(err error) error {
	var f *fault.Fault
	if !errors.As(err, &f) || f.Reason != fault.Invalid {
		return err
	}
	*v = append(*v, f.Violations...)
	return nil
}

func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	f := fault.New(fault.Invalid, fmt.Sprintf("%d parameters are not accepted", len(v)))
	if len(v) == 1 {
		f.Detail = notAccepted(v[0].Field)
	}
	f.Violations = v
	return f
}

func notAccepted(field string) string { return fmt.Sprintf("the parameter %q is not accepted", field) }

func (v *violations) text(field, s string) string {
	if len(s) > maxTextBytes {
		v.add(field, "may have %d bytes at most, has %d", maxTextBytes, len(s))
		return ""
	}
	return s
}

func (v *violations) limit(n uint32) int {
	switch {
	case n == 0:
		return DefaultLimit
	case n > MaxLimit:
		v.add("limit", "must be a whole number from 1 to %d, got %d", MaxLimit, n)
		return DefaultLimit
	}
	return int(n)
}

func (v *violations) pageSize(n uint32) int {
	switch {
	case n == 0:
		return store.DefaultPageSize
	case n > store.MaxPageSize:
		v.add("page_size", "must be a whole number from 1 to %d, got %d", store.MaxPageSize, n)
		return store.DefaultPageSize
	}
	return int(n)
}

func (v *violations) order(s string) Order {
	if s == "" {
		return Orders[0]
	}
	if !slices.Contains(Orders, Order(s)) {
		v.add("sort", "must be one of %s, got %q", joinWords(Orders), abbreviate(s))
		return Orders[0]
	}
	return Order(s)
}

func (v *violations) duration(field, s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		v.add(field, "must be a positive duration such as 5m, got %q", abbreviate(s))
		return 0
	}
	return d
}

// page reads a page token; nil is the first page.
func (v *violations) page(token string, query [8]byte) *cursor {
	if token == "" {
		return nil
	}
	err := errToken
	if len(token) <= maxTokenBytes {
		var c cursor
		if c, err = readCursor(token, query); err == nil {
			return &c
		}
	}
	v.add("page_token", "%s", err)
	return nil
}

// filter reads a filter. An error that is no violation cannot be.
func (v *violations) filter(text string, fields map[string]filter.Kind) []filter.Condition {
	conditions, err := filter.Parse(text, fields)
	if err = v.also(err); err != nil {
		v.add("filter", "%s", err)
	}
	return conditions
}

func joinWords[T ~string](words []T) string {
	names := make([]string, 0, len(words))
	for _, w := range words {
		names = append(names, string(w))
	}
	return strings.Join(names, ", ")
}

// matches is matchGlob in which no pattern is every name.
func matches(pattern, name string) bool {
	return pattern == "" || matchGlob(pattern, name)
}

// abbreviate bounds what an answer repeats of a request.
func abbreviate(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

func quote(s string) string { return strconv.Quote(abbreviate(s)) }

// asFault gives an error of a source or of the store its fault.
func asFault(err error) error {
	if errors.Is(err, ErrUnknownPoint) {
		f := fault.New(fault.NotFound, err.Error())
		f.Cause = err
		return f
	}
	if errors.Is(err, report.ErrSinceTooLong) { // the window became shorter meanwhile
		v := violations{}
		v.add("since", "%s", err)
		return v.err()
	}
	return service.Fault(err)
}
