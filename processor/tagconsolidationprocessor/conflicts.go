package tagconsolidationprocessor

import (
	"strings"
	"sync"

	"github.com/phoenix-platform/phoenix/internal/consolidation"
)

// metricKinds remembers of which kind the outputs of a metric name were first.
// A name with two types or temporalities becomes two metrics, which databases
// mix up; it is rightly added up and counted, so that somebody looks.
type metricKinds struct {
	mu     sync.Mutex
	byName map[string]consolidation.Kind
}

// maxMetricKinds bounds the names that are remembered; no conflict is seen in
// others.
const maxMetricKinds = 1 << 16

// conflicts says whether a name was of another kind first.
func (k *metricKinds) conflicts(name string, kind consolidation.Kind) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	first, known := k.byName[name]
	if !known && len(k.byName) < maxMetricKinds {
		if k.byName == nil {
			k.byName = map[string]consolidation.Kind{}
		}
		k.byName[strings.Clone(name)] = kind
	}
	return known && first != kind
}
