package cost

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what a model may hold.
const (
	maxComponents = 100
	maxTiers      = 100
	maxName       = 128
	maxNote       = 4096
	maxPrice      = 1_000_000 * Unit
	maxQuantity   = 1_000_000_000_000_000_000 // 10¹⁸, as a bound of tiers, an inclusion or a per
	maxFactor     = 1_000_000                 // DPM, bytes, aggregations
)

// FieldError is one mistake in a model.
type FieldError struct {
	// Path is the key of what is wrong, such as components[0].tiers[1].up_to.
	Path string
	// Problem says what is wrong with it.
	Problem string
}

// Error returns the path and the problem.
func (e FieldError) Error() string { return e.Path + ": " + e.Problem }

// Errors are all mistakes in a model.
type Errors []FieldError

// Error returns one line for each mistake.
func (e Errors) Error() string {
	lines := make([]string, 0, len(e))
	for _, one := range e {
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "\n")
}

// faults collects mistakes below a path.
type faults struct {
	list *Errors
	path string
}

func (f faults) at(format string, args ...any) faults {
	key := fmt.Sprintf(format, args...)
	if f.path != "" && !strings.HasPrefix(key, "[") {
		key = "." + key
	}
	return faults{list: f.list, path: f.path + key}
}

func (f faults) add(format string, args ...any) {
	*f.list = append(*f.list, FieldError{Path: f.path, Problem: fmt.Sprintf(format, args...)})
}

func (f faults) within(value, limit uint64) {
	if value > limit {
		f.add("must not be more than %d, got %d", limit, value)
	}
}

var (
	currencyPattern = regexp.MustCompile(`\A[A-Z]{3}\z`)
	addressPattern  = regexp.MustCompile(`\Ahttps?://[^/\s]\S*\z`)
)

// Validate reports all mistakes in the model at once, each with its key first.
// The error, if any, is an Errors.
func (m Model) Validate() error {
	var list Errors
	f := faults{list: &list}
	checkText(f.at("name"), m.Name, maxName, true)
	if !currencyPattern.MatchString(m.Currency) {
		f.at("currency").add("must be a code of three capital letters such as USD, got %q", m.Currency)
	}
	if _, err := time.Parse(time.DateOnly, m.Effective); m.Effective != "" && err != nil {
		f.at("effective").add("must be a day such as 2026-03-11, got %q", m.Effective)
	}
	checkText(f.at("note"), m.Note, maxNote, false)
	checkText(f.at("source.name"), m.Source.Name, maxName, false)
	checkText(f.at("source.url"), m.Source.URL, maxNote, false)
	if m.Source.URL != "" && !addressPattern.MatchString(m.Source.URL) {
		f.at("source.url").add("must be an address that begins with https:// or http://, got %q", m.Source.URL)
	}
	if m.Backend != "" && m.Backend != backendPrometheus && m.Backend != backendOTLP {
		f.at("backend").add("must be %s or %s, got %q", backendPrometheus, backendOTLP, m.Backend)
	}
	if h := m.HoursAMonth; h != 0 && (h < 28*24 || h > 31*24) {
		f.at("hours_a_month").add("must be between 672 and 744, got %d", h)
	}
	m.checkComponents(f)
	if len(list) == 0 {
		return nil
	}
	return list
}

func (m Model) checkComponents(f faults) {
	if n := len(m.Components); n == 0 || n > maxComponents {
		f.at("components").add("must have between 1 and %d entries, got %d", maxComponents, n)
		return
	}
	first := map[string]int{}
	for i, c := range m.Components {
		at := f.at("components[%d]", i)
		c.check(at)
		if earlier, twice := first[c.Name]; twice && c.Name != "" {
			at.at("name").add("%q is the name of components[%d] already", c.Name, earlier)
		} else {
			first[c.Name] = i
		}
	}
}

func (c Component) check(f faults) {
	checkText(f.at("name"), c.Name, maxName, true)
	if !slices.Contains(kinds, c.Kind) {
		f.at("kind").add("must be one of %s, got %q", join(kinds), c.Kind)
		return
	}
	c.checkPrice(f)
	f.at("per").within(c.Per, maxQuantity)
	f.at("included").within(c.Included, maxQuantity)
	f.at("included_per_host").within(c.IncludedPerHost, maxFactor)
	f.at("included_dpm").within(c.IncludedDPM, maxFactor)
	f.at("bytes_per_sample").within(c.BytesPerSample, maxFactor)
	if c.Kind == KindIngestedBytes && c.BytesPerSample == 0 {
		f.at("bytes_per_sample").add("must be given: the size of a sample as the vendor counts it")
	}
	for _, option := range c.options() {
		if option.given && !slices.Contains(option.of, c.Kind) {
			f.at("%s", option.key).add("has no effect: only for %s", join(option.of))
		}
	}
	checkAggregations(f.at("aggregations"), c.Aggregations)
	checkAggregations(f.at("aggregations_after_drop"), c.AggregationsAfterDrop)
}

type option struct {
	key   string
	given bool
	of    []Kind
}

// options lists those options that only some kinds have.
func (c Component) options() []option {
	counted := kinds[:len(kinds)-1]
	perHost := kinds[:len(kinds)-2]
	return []option{
		{"per", c.Per != 0, counted},
		{"tiers", c.Tiers != nil, counted},
		{"included", c.Included != 0, counted},
		{"included_per_host", c.IncludedPerHost != 0, perHost},
		{"included_dpm", c.IncludedDPM != 0, []Kind{KindActiveSeries}},
		{"bytes_per_sample", c.BytesPerSample != 0, []Kind{KindIngestedBytes}},
		{"aggregations", c.Aggregations != nil, []Kind{KindCustomMetrics}},
		{"aggregations_after_drop", c.AggregationsAfterDrop != nil, []Kind{KindCustomMetrics}},
	}
}

func (c Component) checkPrice(f faults) {
	switch {
	case c.Price == nil && len(c.Tiers) == 0:
		f.add("price or tiers must be given")
	case c.Price != nil && len(c.Tiers) > 0:
		f.add("price and tiers must not be given together")
	case c.Price != nil:
		checkAmount(f.at("price"), *c.Price)
	}
	if c.TierMode != "" && !slices.Contains(tierModes, c.TierMode) {
		f.at("tier_mode").add("must be %s, got %q", join(tierModes), c.TierMode)
	}
	if c.TierMode != "" && len(c.Tiers) == 0 {
		f.at("tier_mode").add("has no effect without tiers")
	}
	if len(c.Tiers) > maxTiers {
		f.at("tiers").add("must not have more than %d entries, got %d", maxTiers, len(c.Tiers))
		return
	}
	for i, t := range c.Tiers {
		at := f.at("tiers[%d]", i)
		checkAmount(at.at("price"), t.Price)
		at.at("up_to").within(t.UpTo, maxQuantity)
		last := i == len(c.Tiers)-1
		switch {
		case last && t.UpTo != 0:
			at.at("up_to").add("must not be given in the last tier: it has no end")
		case !last && t.UpTo == 0:
			at.at("up_to").add("must be given: only the last tier has no end")
		case !last && i > 0 && t.UpTo <= c.Tiers[i-1].UpTo:
			at.at("up_to").add("must be more than that of the tier before, %d, got %d", c.Tiers[i-1].UpTo, t.UpTo)
		}
	}
}

func checkAmount(f faults, m Money) {
	if m < 0 || m > maxPrice {
		f.add("must be between 0 and %s, got %s", maxPrice, m)
	}
}

func checkAggregations(f faults, counts map[string]uint64) {
	for _, metricType := range slices.Sorted(maps.Keys(counts)) {
		at := f.at("%s", metricType)
		if !slices.Contains(metricTypes, metricType) {
			f.add("must be keyed by %s, got %q", join(metricTypes), metricType)
		} else if counts[metricType] == 0 {
			at.add("must be positive")
		}
		at.within(counts[metricType], maxFactor)
	}
}

func checkText(f faults, text string, limit int, needed bool) {
	switch {
	case text == "" && needed:
		f.add("must not be empty")
	case len(text) > limit:
		f.add("must not be longer than %d bytes, got %d", limit, len(text))
	case !utf8.ValidString(text):
		f.add("must be valid UTF-8")
	}
}

// join writes a, b or c.
func join[T ~string](words []T) string {
	var text strings.Builder
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			text.WriteString(" or ")
		case i > 0:
			text.WriteString(", ")
		}
		text.WriteString(string(w))
	}
	return text.String()
}
