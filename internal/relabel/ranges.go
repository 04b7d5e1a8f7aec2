package relabel

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Range replaces the numbers from From, inclusive, to To, exclusive. Use an
// infinity for no bound; +Inf itself lies in a range without an upper bound.
type Range struct {
	From, To float64
	// As is the new value.
	As string
}

var (
	errRangeBounds = errors.New("from must be less than to")
	errRangeAs     = errors.New("as must not be empty")
)

func checkRanges(list []Range) error {
	var errs error
	for i, r := range list {
		if !(r.From < r.To) { // also for NaN
			errs = errors.Join(errs, fmt.Errorf("ranges[%d]: %w, got %v and %v", i, errRangeBounds, r.From, r.To))
		}
		if r.As == "" {
			errs = errors.Join(errs, fmt.Errorf("ranges[%d]: %w", i, errRangeAs))
		}
	}
	return errs
}

// number is an integer, compared exactly, or a double.
type number struct {
	i     int64
	f     float64
	isInt bool
}

// numeric reads a number, also one that is written as text: decimal, with a
// fraction and an exponent if need be, or +Inf and -Inf as Prometheus writes
// them. What strconv reads beside those (infinity, hexadecimals) is a word.
func (v Value) numeric() (number, bool) {
	switch v.kind {
	case kindInt:
		return number{i: v.int(), isInt: true}, true
	case kindDouble:
		return number{f: v.double()}, !math.IsNaN(v.double())
	case kindOther:
		return number{}, false
	case kindString:
	}
	switch v.text {
	case "+Inf":
		return number{f: math.Inf(1)}, true
	case "-Inf":
		return number{f: math.Inf(-1)}, true
	}
	if len(v.text) > MaxValueBytes || strings.Trim(v.text, "0123456789+-.eE") != "" || !strings.ContainsAny(v.text, "0123456789") {
		return number{}, false
	}
	if i, err := strconv.ParseInt(v.text, 10, 64); err == nil {
		return number{i: i, isInt: true}, true
	}
	f, err := strconv.ParseFloat(v.text, 64)
	return number{f: f}, err == nil || errors.Is(err, strconv.ErrRange) // 1e999 is great, not unknown
}

// in says whether the number lies in the range.
func (n number) in(r *Range) bool {
	if n.isInt {
		return n.reaches(r.From) && !n.reaches(r.To)
	}
	return n.f >= r.From && (n.f < r.To || math.IsInf(r.To, 1))
}

// reaches says whether an integer is at least f, without rounding it.
func (n number) reaches(f float64) bool {
	const limit = 1 << 63
	switch {
	case f >= limit:
		return false
	case f <= -limit:
		return true
	}
	return n.i >= int64(math.Ceil(f))
}
