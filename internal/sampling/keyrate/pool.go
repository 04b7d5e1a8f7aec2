package keyrate

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/honeycombio/dynsampler-go"

	"github.com/phoenix-platform/phoenix/internal/sampling/budget"
)

// scope says whose a target is: that of all keys, or of those of a group.
type scope struct {
	all   bool
	group string
}

func (s scope) String() string {
	if s.all {
		return "all"
	}
	return "group " + strconv.Quote(s.group)
}

// pool is a target and the keys that share it.
type pool struct {
	scope
	target  float64
	sampler *dynsampler.EMAThroughput

	level float64
	// besides is what went on beyond what probabilities let one expect, as a share
	// of what came: what was kept by conditions.
	besides float64
	// keepsWhole says that keys of rate 1 have no part in the level.
	keepsWhole bool
	// pressed says that conditions keep so much that the reserve is all that is left.
	pressed  bool
	exceeded bool
	idle     int

	// Of the last interval, a second.
	in, out, expected float64

	keys []*Key // within Adjust
}

const (
	// weight is the share of the last interval in an average.
	weight = 0.65
	// between is after what share of an interval dynsampler takes up what it was
	// told: before the next one, and never at the instant of Adjust, so that its
	// rates are always those of all counts before. It takes the counts for those of
	// so short a time, and gets its goal accordingly.
	between = 0.41
	// whole is the share of a target up to which keys of rate 1 are kept whole
	// whatever the level: they are the rare ones.
	whole = 0.5
	// reserve is the share of a target that is sampled whatever conditions keep: a
	// probability of next to nothing gives sums that are right on average and
	// useless each time.
	reserve = 0.25
	// minLevel and maxLevel bound what is looked for.
	minLevel, maxLevel = 1e-6, 1e6
	// forgotten is after how many intervals without items dynsampler has
	// forgotten a key, and a pool is closed.
	forgotten = 12
)

// newPool begins a pool whose keys have averages.
func newPool(of scope, target float64, interval time.Duration, keys []*Key) (*pool, error) {
	p := &pool{scope: of, target: target, level: 1, keys: keys}
	p.sampler = &dynsampler.EMAThroughput{
		AdjustmentInterval: max(time.Millisecond, time.Duration(between*float64(interval))), Weight: weight, InitialSampleRate: 1,
		GoalThroughputPerSec: int(max(1, min(math.Round(target/between), math.MaxInt32))),
		BurstMultiple:        -1, // see doc.go
	}
	if state := p.prime(interval); state != nil {
		if err := p.sampler.LoadState(state); err != nil {
			return nil, fmt.Errorf("prime the rates of %s: %w", of, err)
		}
	}
	if err := p.sampler.Start(); err != nil {
		return nil, fmt.Errorf("begin the rates of %s: %w", of, err)
	}
	return p, nil
}

// prime returns what dynsampler saves and loads, nil if nothing is known.
func (p *pool) prime(interval time.Duration) []byte {
	state := struct {
		Rates    map[string]int     `json:"saved_sample_rates"`
		Averages map[string]float64 `json:"moving_average"`
	}{map[string]int{}, map[string]float64{}}
	for _, k := range p.keys {
		if k.average.Represented > 0 {
			state.Rates[k.name] = int(max(1, min(*p.rate(k), math.MaxInt32)))
			state.Averages[k.name] = k.average.Represented * interval.Seconds()
		}
	}
	if len(state.Rates) == 0 {
		return nil
	}
	text, err := json.Marshal(state)
	if err != nil { // averages are finite
		return nil
	}
	return text
}

func (p *pool) close() {
	if p != nil {
		_ = p.sampler.Stop() // it never fails
	}
}

// rate is where a key has its rate by this pool.
func (p *pool) rate(k *Key) *float64 {
	if p.all {
		return &k.inRate
	}
	return &k.ownRate
}

// ask tells dynsampler what came, and reads the rates that it found before.
func (p *pool) ask() {
	for _, k := range p.keys {
		switch {
		case k.idle == 0:
			count := int(max(1, min(math.Round(k.now.represented), math.MaxInt32)))
			*p.rate(k) = float64(max(1, p.sampler.GetSampleRateMulti(k.name, count)))
		case k.idle >= forgotten:
			*p.rate(k) = 1
		}
	}
}

// measure compares what went on with what the probabilities let one expect.
func (p *pool) measure(seconds float64) {
	p.in, p.out, p.expected = 0, 0, 0
	p.idle++
	for _, k := range p.keys {
		if k.idle > 0 {
			continue
		}
		p.idle = 0
		p.in += k.now.came / seconds
		p.out += k.now.kept / seconds
		p.expected += passes(k.now.came, k.now.represented, k.probability) / seconds
	}
	if p.in > 0 {
		share := clamp((p.out-p.expected)/p.in, -1, 1)
		p.besides += (share - p.besides) / 2
	}
}

// passes is how many of so many items go on at a probability.
func passes(came, represented, p float64) float64 {
	return min(came, represented*p)
}

func clamp(v, low, high float64) float64 { return min(max(v, low), high) }

// solve finds the level at which as much goes on as the target allows, if as much
// comes as averages say. bound is what others leave of the probability of a key.
func (p *pool) solve(minimum float64, bound func(*Key) float64) {
	var smooth float64
	for _, k := range p.keys {
		smooth += k.average.Came
	}
	if smooth <= 0 {
		return
	}
	// A load above the average is followed at once.
	load := max(1, p.in/smooth)
	wanted := p.target - p.besides*smooth*load
	if p.pressed = wanted < p.target*reserve; p.pressed {
		wanted = p.target * reserve
	}
	out := func(level float64) (sum float64) {
		p.level = level
		for _, k := range p.keys {
			sum += load * passes(k.average.Came, k.average.Represented, max(minimum, min(p.probability(k), bound(k))))
		}
		return sum
	}
	p.keepsWhole = true
	p.keepsWhole = out(minLevel) <= wanted*whole
	low, high := math.Log(minLevel), math.Log(maxLevel)
	if out(maxLevel) <= wanted {
		// Everything fits.
		p.level = maxLevel
		return
	}
	const steps = 30 // to 10^-8 of the level
	for range steps {
		middle := (low + high) / 2
		if out(math.Exp(middle)) > wanted {
			high = middle
		} else {
			low = middle
		}
	}
	p.level = math.Exp(low)
}

// probability is what the pool leaves of a key.
func (p *pool) probability(k *Key) float64 {
	if p == nil {
		return 1
	}
	if p.keepsWhole && *p.rate(k) == 1 {
		return 1
	}
	return min(1, p.level / *p.rate(k))
}

// event says whether the target became exceeded at the lowest probability, or is
// kept again.
func (p *pool) event(atFloor bool) (Event, bool) {
	e := Event{All: p.all, Group: p.group, Target: p.target, Out: p.out}
	const much = 1.05 // noise does not make events
	switch {
	case !p.exceeded && (atFloor || p.pressed) && p.out > p.target*much:
		p.exceeded, e.Happened = true, budget.FloorReached
	case p.exceeded && p.out <= p.target:
		p.exceeded, e.Happened = false, budget.FloorLeft
	default:
		return e, false
	}
	return e, true
}
