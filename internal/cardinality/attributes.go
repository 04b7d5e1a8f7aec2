package cardinality

import "github.com/phoenix-platform/phoenix/internal/series"

// attribute is one attribute key of a metric.
type attribute struct {
	domain series.Domain
	key    string
	label  Label // the zero Label: not a label in the backend
	plain  bool  // the contribution of a string value is the label's too
	rest   bool  // stands for all keys beyond the bound
	values *values
}

func (a *attribute) isLabel() bool { return a.label.Name != "" || a.rest }

type attributeKey struct {
	domain series.Domain
	key    string
}

// attributes resolves the keys of a metric to small indexes.
type attributes struct {
	list  []attribute
	index map[attributeKey]int
	// guess is, by position in the last description, the index that was found
	// there: exporters send keys in a steady order, and one string comparison
	// is cheaper than a map (BenchmarkRefreshLarge: 12 keys, 0.2 µs less).
	guess []int
	rest  int // index of the entry for the rest, -1 if there is none
}

func newAttributes() attributes {
	return attributes{index: map[attributeKey]int{}, rest: -1}
}

// find returns the index of a key, or -1.
func (as *attributes) find(position int, d series.Domain, key string) int {
	if position < len(as.guess) {
		if g := as.guess[position]; g < len(as.list) && as.list[g].key == key && as.list[g].domain == d {
			return g
		}
	}
	i, ok := as.index[attributeKey{d, key}]
	if !ok {
		return -1
	}
	for len(as.guess) <= position && position < len(as.list) {
		as.guess = append(as.guess, i)
	}
	if position < len(as.guess) {
		as.guess[position] = i
	}
	return i
}

// add appends a key and returns its index.
func (as *attributes) add(a attribute) int {
	as.list = append(as.list, a)
	i := len(as.list) - 1
	if a.rest {
		as.rest = i
	} else {
		as.index[attributeKey{a.domain, a.key}] = i
	}
	return i
}

// attributeBytes is what one key takes beside its sketches.
const attributeBytes = 192
