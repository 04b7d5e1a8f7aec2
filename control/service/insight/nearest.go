package insight

import (
	"cmp"
	"slices"
	"strings"
)

const (
	maxSuggestions = 5
	// maxEdits is how many letters a mistyped name may differ by.
	maxEdits = 2
)

// metricName is what a metric is called before and in the backend.
type metricName struct{ otlp, backend string }

// The ways in which a name is near, the nearest first.
const (
	nearBackend  = iota // the name that the backend uses
	nearTypo            // differs in case, or by a few letters
	nearSibling         // shares the name up to the last separator
	nearExtended        // one name begins with the other
	notNear
)

// nearest suggests names for an unknown metric: people copy the backend's name
// from a dashboard, mistype a letter, or know how the name begins.
func nearest(metric string, known []metricName) []string {
	type candidate struct {
		name string
		near int
	}
	var found []candidate
	for _, k := range known {
		if near := nearness(metric, k); near != notNear {
			found = append(found, candidate{name: k.otlp, near: near})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.near, b.near), strings.Compare(a.name, b.name))
	})
	var names []string
	for _, c := range found {
		if len(names) < maxSuggestions && !slices.Contains(names, c.name) {
			names = append(names, c.name)
		}
	}
	return names
}

func nearness(metric string, k metricName) int {
	if k.backend != "" {
		for _, suffix := range []string{"", "_bucket", "_count", "_sum"} {
			if metric == k.backend+suffix {
				return nearBackend
			}
		}
	}
	prefix := metric[:strings.LastIndexAny(metric, "./_-")+1]
	switch {
	case strings.EqualFold(metric, k.otlp), editsWithin(metric, k.otlp, maxEdits):
		return nearTypo
	case prefix != "" && strings.HasPrefix(k.otlp, prefix):
		return nearSibling
	case k.otlp != "" && (strings.HasPrefix(k.otlp, metric) || strings.HasPrefix(metric, k.otlp)):
		return nearExtended
	default:
		return notNear
	}
}

// editsWithin says whether a becomes b by at most most insertions, deletions or
// replacements of a byte. Names of a few letters are never near by this rule,
// for nearly every other short name would be.
func editsWithin(a, b string, most int) bool {
	if min(len(a), len(b)) <= 2*most || max(len(a)-len(b), len(b)-len(a)) > most {
		return false
	}
	row := make([]int, len(b)+1) // the row of the distance table for a[:i]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal, least := row[0], i+1
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
			least = min(least, cost)
		}
		if least > most {
			return false
		}
	}
	return row[len(b)] <= most
}
