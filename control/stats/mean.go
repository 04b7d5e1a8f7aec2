package stats

import "math"

// Bounds of the correlation between neighbouring values. The upper one is what
// tells a lasting offset from noise that stays where it is for long: a value that
// keeps its distance is noise of correlation 1 as well as it is an offset. Noise
// beyond it is taken for an offset, often.
const (
	minCorrelation = -0.9
	// MaxCorrelation is the upper bound of a Mean that has none of its own.
	MaxCorrelation = 0.98
)

// starts are after how many pairs the tests begin. The e-value is the largest over
// their number, which is below their mean: the later ones are not charged for what the
// predictor had to learn before.
var (
	starts = [...]float64{training - 1, 32, 256}
	shared = math.Log(float64(len(starts)))
)

const (
	// training values set centre and scale, and are not tested.
	training = 4
	// finest is the smallest standard deviation that is predicted: without it,
	// values that are all equal would prove anything at once.
	finest = 2e-5
	// tiny stands for a sum of squares of 0.
	tiny = 1e-300
)

// Mean is the evidence about the mean of a series whose noise is an autoregression:
//
//	x(t) − μ = φ·(x(t−1) − μ) + ε(t),  ε(t) normal, −0.9 ≤ φ ≤ Bound, φ and σ unknown
//
// It is universal inference: the likelihood of a predictor that has seen only the
// past, divided by the largest likelihood under the hypothesis (Wasserman, Ramdas,
// Balakrishnan 2020, Universal inference, PNAS 117, section 7, equation 12). The
// denominator is at least the likelihood of the truth and the numerator is a
// density, so the ratio is below a martingale, whatever φ and σ are and however
// short the series is.
//
// Rejected: asymptotic confidence sequences with a long-run variance
// (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024, Annals of Statistics 52).
// They hold after many correlation times, and the first looks, where a deterministic
// difference ought to be decided, are within one.
//
// Its zero value has seen nothing. All fields are part of what is stored; the sums
// are of values less Centre.
type Mean struct {
	// Bound is the largest correlation between neighbouring values that is noise.
	// Default: MaxCorrelation.
	Bound float64
	// Count counts values, and Linked is 1 if Last came just before the next.
	Count, Linked uint64
	Centre, Last  float64
	// First are the values of the training.
	First [training]float64
	// Seen are sums over pairs of neighbours, the training included, and Score is the
	// logarithm of the predictor's likelihood of those after it.
	Seen  Pairs
	Score float64
	// Starts are what Seen and Score were where each test began.
	Starts [len(starts)]Start
	// Scale is the variance of the training.
	Scale float64
	// Total is the sum of all values.
	Total float64
}

// Start is where a test began; the zero value says that it did not yet.
type Start struct {
	Before Pairs
	Score  float64
}

// Pairs are sums over pairs of a value y and the one before it, x.
type Pairs struct{ N, X, Y, XX, XY, YY float64 }

func (p *Pairs) add(x, y float64) {
	p.N++
	p.X += x
	p.Y += y
	p.XX += x * x
	p.XY += x * y
	p.YY += y * y
}

func (p Pairs) minus(o Pairs) Pairs {
	return Pairs{p.N - o.N, p.X - o.X, p.Y - o.Y, p.XX - o.XX, p.XY - o.XY, p.YY - o.YY}
}

// Add takes in a value. Those that are not finite are ignored.
func (m *Mean) Add(x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	m.Total += x
	m.Count++
	if m.Count <= training {
		m.First[m.Count-1] = x
		if m.Count == training {
			m.train()
		}
		return
	}
	x -= m.Centre
	if m.Linked == 1 {
		for i, n := range starts {
			if m.Starts[i].Before.N == 0 && m.Seen.N >= n {
				m.Starts[i] = Start{m.Seen, m.Score}
			}
		}
		m.Score += m.predict(m.Last, x)
		m.Seen.add(m.Last, x)
	}
	m.Last, m.Linked = x, 1
}

// Break says that the next value does not come just after the last one.
func (m *Mean) Break() {
	if m.Count < training { // too little to be kept
		*m = Mean{Bound: m.Bound}
	}
	m.Linked = 0
}

func (m *Mean) train() {
	for _, x := range m.First {
		m.Centre += x / training
	}
	for i, x := range m.First {
		x -= m.Centre
		if i > 0 {
			m.Seen.add(m.Last, x)
		}
		m.Scale += x * x / (training - 1)
		m.Last = x
	}
	m.Scale, m.Linked = max(m.Scale, finest*finest), 1
}

func (m *Mean) bound() float64 {
	if m.Bound > 0 {
		return m.Bound
	}
	return MaxCorrelation
}

// predict is the logarithm of the density of y after x, by a Bayesian regression on
// what was seen before: a Student distribution. Its prior is worth a hundredth of a
// value for the mean, four for φ = 0, and one for the scale of the training. It stays
// within the bounds of φ: otherwise a series that drifts would be evidence against
// them, and so against any mean.
func (m *Mean) predict(x, y float64) float64 {
	const priorMean, priorCorrelation, priorScale = 0.01, 4, 1
	p := m.Seen
	a11, a12, a22 := p.N+priorMean, p.X, p.XX+priorCorrelation*m.Scale
	det := a11*a22 - a12*a12
	slope := min(max((a11*p.XY-a12*p.Y)/det, minCorrelation), m.bound())
	intercept := (p.Y - slope*a12) / a11
	squares := p.YY - 2*(intercept*p.Y+slope*p.XY) + intercept*intercept*a11 + 2*intercept*slope*a12 + slope*slope*a22
	squares = priorScale*m.Scale + max(squares, 0)
	dof := priorScale + p.N
	leverage := (a22 - 2*a12*x + a11*x*x) / det
	scale := math.Sqrt(squares / dof * (1 + leverage))
	return studentLog((y-intercept-slope*x)/max(scale, finest), dof) - math.Log(max(scale, finest))
}

// studentLog is the logarithm of the density of Student's distribution.
func studentLog(t, dof float64) float64 {
	above, _ := math.Lgamma((dof + 1) / 2)
	below, _ := math.Lgamma(dof / 2)
	return above - below - math.Log(dof*math.Pi)/2 - (dof+1)/2*math.Log1p(t*t/dof)
}

// Valid says whether all numbers are finite and the counts fit together, for what
// was stored.
func (m *Mean) Valid() bool {
	sum := m.Centre + m.Last + m.Score + m.Scale + m.Total
	pairs := []Pairs{m.Seen}
	for _, s := range m.Starts {
		sum += s.Score
		pairs = append(pairs, s.Before)
	}
	for _, x := range m.First {
		sum += x
	}
	for _, p := range pairs {
		sum += p.X + p.Y + p.XX + p.XY + p.YY
		if !(p.N >= 0 && p.N <= m.Seen.N && p.XX >= 0 && p.YY >= 0) {
			return false
		}
	}
	trained := m.Count >= training
	return !math.IsNaN(sum-sum) && m.Bound >= 0 && m.Bound < 1 && m.Linked <= 1 && m.Seen.N <= float64(m.Count) &&
		(m.Seen.N > 0) == trained && (m.Scale > 0) == trained && (trained || m.Linked == 0)
}

// Value estimates the mean.
func (m *Mean) Value() float64 {
	if m.Count == 0 {
		return 0
	}
	return m.Total / float64(m.Count)
}

// AgainstAtMost is the evidence that the mean is above a bound, AgainstAtLeast that
// it is below: logarithms of e-values.
func (m *Mean) AgainstAtMost(bound float64) float64 { return m.against(bound, 1) }

// AgainstAtLeast is the other side of AgainstAtMost.
func (m *Mean) AgainstAtLeast(bound float64) float64 { return m.against(bound, -1) }

func (m *Mean) against(bound, side float64) float64 {
	most := 0.0
	for i, s := range m.Starts {
		p := m.Seen.minus(s.Before)
		if s.Before.N == 0 || p.N == 0 {
			continue
		}
		squares, best := p.free(m.bound())
		if (best-bound+m.Centre)*side > 0 { // the best mean is not in the hypothesis: its edge is the best there
			squares = p.at(bound-m.Centre, m.bound())
		}
		e := m.score(s, p) + p.N/2*(math.Log(2*math.Pi*max(squares, tiny)/p.N)+1) - shared
		if i == 0 || e > most {
			most = e
		}
	}
	return most
}

// score is that of the predictor since a start. It counts at most as much as a
// predictor of three unknowns gains on the largest likelihood of all, which is by
// 3/2·log(1 + tested/seen before) less (Rissanen 1986, Annals of Statistics 14,
// equation 1.3). Noise that is sometimes more and sometimes less can be predicted
// better than by any one autoregression: that is evidence against all means alike,
// and so about none. Less evidence is never wrong.
func (m *Mean) score(s Start, p Pairs) float64 {
	squares, _ := p.free(m.bound())
	all := -p.N / 2 * (math.Log(2*math.Pi*max(squares, tiny)/p.N) + 1)
	return min(m.Score-s.Score, all-1.5*math.Log1p(p.N/s.Before.N))
}

// free is the least sum of squares, and the mean for which it is.
func (p Pairs) free(most float64) (squares, mean float64) {
	xx, xy := p.XX-p.X*p.X/p.N, p.XY-p.X*p.Y/p.N
	phi := correlation(xy, xx, most)
	intercept := (p.Y - phi*p.X) / p.N
	squares = p.YY - p.Y*p.Y/p.N - 2*phi*xy + phi*phi*xx
	return max(squares, 0), intercept / (1 - phi)
}

// at is the least sum of squares with a given mean.
func (p Pairs) at(mean, most float64) float64 {
	xx := p.XX - 2*mean*p.X + p.N*mean*mean
	xy := p.XY - mean*(p.X+p.Y) + p.N*mean*mean
	yy := p.YY - 2*mean*p.Y + p.N*mean*mean
	phi := correlation(xy, xx, most)
	return max(yy-2*phi*xy+phi*phi*xx, 0)
}

func correlation(xy, xx, most float64) float64 {
	if xx <= 0 {
		return 0
	}
	return min(max(xy/xx, minCorrelation), most)
}

// Interval holds the mean at all looks together with a probability of at least
// 1 − 2α: the means against which the evidence on either side is below 1/α.
func (m *Mean) Interval(alpha float64) Interval {
	v := Interval{Value: m.Value(), Lower: math.Inf(-1), Upper: math.Inf(1)}
	for _, s := range m.Starts {
		p := m.Seen.minus(s.Before)
		if s.Before.N == 0 || p.N == 0 {
			continue
		}
		// The sum of squares from which on the evidence is enough.
		enough := p.N / (2 * math.Pi) * math.Exp(2/p.N*(shared-math.Log(alpha)-m.score(s, p))-1)
		v.Upper = min(v.Upper, m.Centre+p.edge(1, enough, m.bound()))
		v.Lower = max(v.Lower, m.Centre+p.edge(-1, enough, m.bound()))
	}
	if v.Lower > v.Upper { // each excludes the other: nothing is certain but that the noise is no autoregression
		v.Lower, v.Upper = v.Upper, v.Lower
	}
	v.Value = min(max(v.Value, v.Lower), v.Upper)
	return v
}

// edge is the nearest mean on one side of the best one with so large a sum of
// squares, by the regula falsi with the Illinois rule (Dowell, Jarratt 1971, BIT 11)
// on its root, which is nearly linear.
func (p Pairs) edge(side, squares, most float64) float64 {
	least, best := p.free(most)
	if least >= squares {
		return best
	}
	enough := math.Sqrt(squares)
	above := func(distance float64) float64 { return math.Sqrt(p.at(best+side*distance, most)) - enough }
	inside, low := 0.0, above(0)
	outside := 4 * math.Sqrt(squares) / p.N
	high := above(outside)
	for high < 0 {
		if outside > 1e12 {
			return math.Inf(int(side))
		}
		inside, low = outside, high
		outside *= 4
		high = above(outside)
	}
	for last := 0; outside-inside > finest/4+1e-3*outside && last < 40 && last > -40; {
		at := outside - high*(outside-inside)/(high-low)
		if v := above(at); v < 0 {
			if inside, low = at, v; last < 0 {
				high /= 2
			}
			last = min(last, 0) - 1
		} else {
			if outside, high = at, v; last > 0 {
				low /= 2
			}
			last = max(last, 0) + 1
		}
	}
	return best + side*outside
}
