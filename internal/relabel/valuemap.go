package relabel

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// MaxValueBytes is the length up to which values are looked at, and how long
// what they become may be. To a map, a longer one is unknown.
const MaxValueBytes = 4096

// ValueMap replaces the values of one attribute. Exactly one of Regex, Ranges
// and Paths is given.
type ValueMap struct {
	// Attribute names the attribute; no globs.
	Attribute Ref
	// Regex is an RE2 expression for the whole value. The larger it is, the
	// shorter are the longest values that it may know, so that its time is bounded.
	Regex string
	// Template is what a value that Regex matches becomes. $1 and ${name} stand
	// for groups of the expression, $$ for a dollar sign.
	Template string
	// Ranges replace numbers, also those written as text.
	Ranges []Range
	// Paths are templates of URL paths: a value of that shape becomes the
	// template. The first that fits applies; what follows a ? or # is ignored.
	Paths []string
	// Other is what values become that no map of the attribute knows; of several
	// maps, the first that has it. Empty: they stay.
	Other string
}

// mapper is a ValueMap, compiled.
type mapper struct {
	rewrite *rewrite
	ranges  []Range
	paths   []pathTemplate
}

var errOneOf = errors.New("exactly one of regex, ranges and paths must be given")

func newMapper(m ValueMap) (mapper, error) {
	kinds := 0
	for _, given := range []bool{m.Regex != "", len(m.Ranges) > 0, len(m.Paths) > 0} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return mapper{}, fmt.Errorf("%w, got %d", errOneOf, kinds)
	}
	if m.Regex != "" {
		r, err := newRewrite(m.Regex, m.Template)
		return mapper{rewrite: r}, err
	}
	if len(m.Ranges) > 0 {
		return mapper{ranges: append([]Range(nil), m.Ranges...)}, checkRanges(m.Ranges)
	}
	var compiled mapper
	var errs error
	for i, text := range m.Paths {
		p, err := newPath(text)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("paths[%d]: %w", i, err))
		}
		compiled.paths = append(compiled.paths, p)
	}
	return compiled, errs
}

// apply returns what a value becomes, and false if the map does not know it.
// The text is that of the value.
func (m *mapper) apply(v Value, text string) (string, bool) {
	if m.ranges != nil {
		n, ok := v.numeric()
		if !ok {
			return "", false
		}
		for i := range m.ranges {
			if n.in(&m.ranges[i]) {
				return m.ranges[i].As, true
			}
		}
		return "", false
	}
	if m.paths != nil {
		path := pathOf(text)
		if len(path) > MaxValueBytes {
			return "", false
		}
		for i := range m.paths {
			if m.paths[i].fits(path) {
				return m.paths[i].text, true
			}
		}
		return "", false
	}
	return m.rewrite.apply(text)
}

// Bucket is the bucket of a value among n, as hash_buckets writes it: the XXH64
// of the value's text, seed 0, modulo n, in decimal. It is the same in every
// collector and version, so that the outputs of a fleet merge and stored series
// go on. It is not keyed: who chooses values can choose their buckets.
func Bucket(text string, n int) string {
	return strconv.FormatUint(xxhash.Sum64String(text)%uint64(n), 10) //nolint:gosec // checked to be positive
}
