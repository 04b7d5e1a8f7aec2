package consistent_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"

	c "github.com/phoenix-platform/phoenix/internal/sampling/consistent"
)

var long = os.Getenv("PHOENIX_LONG") != ""

// decider is a sampler: kept says that a condition keeps the span.
type decider func(in c.Incoming, kept bool, ours c.Threshold) c.Decision

func right(in c.Incoming, kept bool, ours c.Threshold) c.Decision {
	if kept {
		return c.Keep(in)
	}
	return c.Decide(in, ours)
}

// forgetful is wrong: it does not honour the threshold that came in.
func forgetful(in c.Incoming, kept bool, ours c.Threshold) c.Decision {
	if kept {
		return c.Keep(in)
	}
	return c.Decision{Threshold: ours, Keep: ours.ShouldSample(in.Randomness), Changed: true}
}

// zeroing is wrong: what a condition keeps gets th:0 though it had a threshold.
func zeroing(in c.Incoming, kept bool, ours c.Threshold) c.Decision {
	if kept {
		return c.Decision{Keep: true, Changed: true}
	}
	return c.Decide(in, ours)
}

// mixes are the thresholds that spans of one stream come with, in turn; "" is
// none.
var mixes = [][]string{
	{""}, {"0"}, {"8"}, {"c"}, {"e666"}, {"ffbe77"}, // 1, 1, 1/2, 1/4, 1/10, 1/1000
	{"aaaaaaaaaaaaac"}, {"54"}, {"00000000000001"}, {"fd70a4"}, // 1/3, 2/3, nearly 1, 1/100
	{"", "8"}, {"", "0", "e666"}, {"c", "54", "e666"}, {"", "0", "8", "c", "e666", "ffbe77", "54"},
}

// someMixes are all, or two where each step costs ten times as much.
func someMixes() [][]string {
	if raceDetector {
		return [][]string{mixes[3], mixes[12]}
	}
	return mixes
}

// stage is a setting of the simulation.
type stage struct {
	mix    []c.Threshold // of what comes
	known  []bool
	rv     int // of how many spans of 2 the randomness is rv
	ours   c.Threshold
	share  float64 // of spans that a condition keeps, those with the greatest values
	sample decider
}

// tally is what came out: truth, Horvitz-Thompson estimate and its variance by
// design, of the number of spans and of the sum of their values.
type tally struct{ truth, estimate, variance [2]float64 }

func (a *tally) add(b tally) {
	for i := range 2 {
		a.truth[i] += b.truth[i]
		a.estimate[i] += b.estimate[i]
		a.variance[i] += b.variance[i]
	}
}

// off is how many standard errors the estimate is off.
func (a *tally) off(i int) float64 {
	diff := math.Abs(a.estimate[i] - a.truth[i])
	if diff <= 1e-9*a.truth[i] {
		return 0
	}
	return diff / math.Sqrt(a.variance[i])
}

// run sends a stream through the first stage, which is what the thresholds that
// come say, and through the one under test, by way of real trace states.
func (s stage) run(t *testing.T, n int, rng *rand.Rand) (sum tally) {
	t.Helper()
	var r c.Reader
	counts := map[string]float64{}
	above := -math.Log(s.share) // of exponential values, the share is above
	// The variance that a span adds is (1-p)/p times its square.
	var factors [2][]float64
	for _, was := range s.mix {
		p := was.Probability()
		factors[0] = append(factors[0], (1-min(p, s.ours.Probability()))/min(p, s.ours.Probability()))
		factors[1] = append(factors[1], (1-p)/p)
	}
	for i := range n {
		value, which := rng.ExpFloat64(), i%len(s.mix)
		kept, group := value > above, 0
		if kept {
			group = 1
		}
		sum.truth[0]++
		sum.truth[1] += value
		sum.variance[0] += factors[group][which]
		sum.variance[1] += factors[group][which] * value * value
		rnd := c.FromHash(rng.Uint64())
		if !s.mix[which].ShouldSample(rnd) {
			continue
		}
		sp := spanWith(rnd, s.mix[which], s.known[which], rng.IntN(2) < s.rv, rng)
		d := s.sample(r.Read(sp.state, sp.id), kept, s.ours)
		if !d.Keep {
			continue
		}
		out := apply(&r, sp.state, d)
		count, ok := counts[out]
		if !ok {
			count = adjustedCount(t, out)
			if len(counts) < 1000 {
				counts[out] = count
			}
		}
		sum.estimate[0] += count
		sum.estimate[1] += count * value
	}
	return sum
}

func spanWith(rnd c.Randomness, was c.Threshold, known, rv bool, rng *rand.Rand) span {
	sp := span{id: randomID(rng)}
	var ot sampling.W3CTraceState
	if rv {
		ot.OTelValue().SetRValue(rnd)
	} else {
		for i := range 7 {
			sp.id[15-i] = byte(rnd.Unsigned() >> (8 * i))
		}
	}
	if known {
		_ = ot.OTelValue().UpdateTValueWithSampling(was)
	}
	if rv || known {
		sp.state = serialized(&ot)
	}
	return sp
}

// adjustedCount is what a reader of the output makes of it.
func adjustedCount(t *testing.T, state string) float64 {
	t.Helper()
	w3c, err := sampling.NewW3CTraceState(state)
	require.NoError(t, err)
	if th, ok := w3c.OTelValue().TValueThreshold(); ok {
		return th.AdjustedCount()
	}
	return 1
}

// stages are all settings of a mix: ours below, at and above what comes, with and
// without rv, with no, few and many spans kept by a condition.
func stages(t *testing.T, mix []string, sample decider) []stage {
	t.Helper()
	base := stage{sample: sample}
	var largest uint64
	for _, text := range mix {
		var th c.Threshold
		if text != "" {
			th = threshold(t, text)
		}
		base.mix, base.known = append(base.mix, th), append(base.known, text != "")
		largest = max(largest, th.Unsigned())
	}
	var all []stage
	left := sampling.MaxAdjustedCount - largest
	for _, unsigned := range []uint64{0, largest / 2, largest, largest + left/2, largest + left/10*9} {
		ours, err := sampling.UnsignedToThreshold(unsigned)
		require.NoError(t, err)
		for rv := range 3 {
			for _, share := range []float64{0, 0.05, 0.5} {
				s := base
				s.ours, s.rv, s.share = ours, rv, share
				all = append(all, s)
			}
		}
	}
	return all
}

// Of what goes on there are some hundreds of spans a stream if that does not take
// too many that come, so that the errors are nearly normal.
func (s stage) size() int {
	p := s.ours.Probability()
	for _, was := range s.mix {
		p = min(p, was.Probability())
	}
	return min(100_000, max(1000, int(300/p)))
}

func (s stage) String() string {
	return fmt.Sprintf("ours %.5g, rv %d of 2, %g kept", s.ours.Probability(), s.rv, s.share)
}

// seeds are fixed: a seed that fails is a fault until somebody shows that it is
// the one in 20,000.
func seeds() int {
	if long {
		return 40
	}
	return 2
}

// simulate returns the streams of a mix added up, and how far each setting is off.
func simulate(t *testing.T, mix []string, sample decider, seeds int) (total tally, offs []float64) {
	t.Helper()
	for i, s := range stages(t, mix, sample) {
		var sum tally
		for seed := range seeds {
			sum.add(s.run(t, s.size(), rand.New(rand.NewPCG(uint64(seed), uint64(i)+xxh3.HashString(fmt.Sprint(mix))))))
		}
		total.add(sum)
		for j := range 2 {
			off := sum.off(j)
			offs = append(offs, off)
			if sum.variance[j] == 0 {
				require.Zero(t, off, "%q, %s: nothing is sampled", mix, s)
			}
		}
	}
	return total, offs
}

// Sums of adjusted counts are unbiased, and their error is that of the design: all
// settings of a mix together are within 3 standard errors, each alone within 4.5
// (of some 1,000, one in 150 runs would be beyond), and the squares of all have
// the mean that they must have.
func TestUnbiased(t *testing.T) {
	var squares, n float64
	for _, mix := range someMixes() {
		total, offs := simulate(t, mix, right, seeds())
		for j, what := range []string{"spans", "sum of values"} {
			t.Logf("%-30s %-13s true %12.1f estimated %12.1f off by %.2f standard errors", strings.Join(mix, "+"), what, total.truth[j], total.estimate[j], total.off(j))
			require.LessOrEqual(t, total.off(j), 3.0, "%q: %s", mix, what)
		}
		for _, off := range offs {
			require.LessOrEqual(t, off, 4.5, "%q", mix)
			if off > 0 {
				squares, n = squares+off*off, n+1
			}
		}
	}
	// Number and sum of a setting go together, so there are half as many degrees of
	// freedom at least.
	t.Logf("mean square of the error over the variance: %.3f over %.0f estimates", squares/n, n)
	require.InDelta(t, 1, squares/n, 4*math.Sqrt(2/(n/2)))
}

// The simulation notices samplers that are wrong.
func TestTheSimulationNoticesBias(t *testing.T) {
	for _, mix := range someMixes() {
		least := 1.0 // of probabilities that come
		for _, text := range mix {
			if text != "" {
				least = min(least, threshold(t, text).Probability())
			}
		}
		if least > 0.999 {
			continue // then both are right
		}
		seeds := 3
		if least < 0.05 {
			seeds = 1 // the more there is to see, and the longer it takes
		}
		for name, sample := range map[string]decider{"forgetful": forgetful, "zeroing": zeroing} {
			total, _ := simulate(t, mix, sample, seeds)
			t.Logf("%-30s %s is off by %.0f standard errors", strings.Join(mix, "+"), name, total.off(0))
			require.Greater(t, total.off(0), 3.0, "%q: %s", mix, name)
		}
	}
}
