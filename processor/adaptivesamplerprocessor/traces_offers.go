package adaptivesamplerprocessor

import (
	"sync"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"

	"github.com/phoenix-platform/phoenix/internal/sampling/keyrate"
)

// offers are what targets left a budget in an interval, by key. Targets and
// budgets are adjusted at once: if both answered to what went on in the same
// interval, a step would be answered twice. So a budget looks at what would have
// gone on at the rates that targets have set since.
type offers struct {
	mu   sync.Mutex
	keys map[*keyrate.Key]int // spans that came
	came int
	left float64 // of them by the rates that they had
}

// add counts spans of a key.
func (o *offers) add(key *keyrate.Key, ours sampling.Threshold, came int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys == nil {
		o.keys = map[*keyrate.Key]int{}
	}
	o.keys[key] += came
	o.came += came
	o.left += float64(came) * ours.Probability()
}

// end ends an interval. It returns what targets would leave now as a share of what
// came, and as a share of what they left.
func (o *offers) end() (offered, ratio float64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.came == 0 {
		return 1, 1
	}
	now := 0.0
	for key, came := range o.keys {
		now += float64(came) * key.Threshold().Probability()
	}
	offered, ratio = now/float64(o.came), now/o.left
	clear(o.keys)
	o.came, o.left = 0, 0
	return offered, ratio
}
