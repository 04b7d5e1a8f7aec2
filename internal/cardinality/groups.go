package cardinality

import (
	"cmp"
	"slices"

	"github.com/phoenix-platform/phoenix/internal/series"
	"github.com/phoenix-platform/phoenix/internal/sketch"
)

// Label groups. pod, pod_uid and instance each save nothing, because the other
// two still tell the series apart; all three together save nearly everything.
//
// Two attributes correlate if the values of one determine those of the other:
// D → C when distinct(D, C) ≈ distinct(D). Attributes that determine each
// other are one class. To remove what a class tells, every class that
// determines it must go too, so the group of a class is the class and all
// classes above it: for the pod, also the container id.

// A candidate saves less than this share of the series alone.
const candidateShare = 0.05

// maxCandidates bounds the attributes whose pairs are counted: 28 pairs.
const maxCandidates = 8

// maxGroups bounds the groups of a metric.
const maxGroups = 3

// group is a set of attributes that is counted as one.
type group struct {
	members []int // attribute indexes, ascending
	since   sketch.Epoch
}

// candidate is an attribute that may belong to a group.
type candidate struct {
	attribute int
	distinct  uint64
}

// candidates chooses the labels that save next to nothing though they have
// several values, those with the most values first.
func candidates(total uint64, attrs []attribute, distinct, without []uint64) []candidate {
	var found []candidate
	for i := range attrs {
		if !attrs[i].isLabel() || attrs[i].rest || distinct[i] < 2 {
			continue
		}
		if float64(total)-float64(without[i]) < candidateShare*float64(total) {
			found = append(found, candidate{i, distinct[i]})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		if a.distinct != b.distinct {
			return cmp.Compare(b.distinct, a.distinct)
		}
		return a.attribute - b.attribute
	})
	return found[:min(len(found), maxCandidates)]
}

// findGroups returns the groups of correlated candidates. pair returns the
// distinct pairs of candidates i and j, tolerance is the relative error of the
// counts. The groups of classes with the most values come first.
func findGroups(cands []candidate, pair func(i, j int) uint64, tolerance float64) []group {
	n := len(cands)
	determines := make([][]bool, n)
	for i := range n {
		determines[i] = make([]bool, n)
	}
	for i := range n {
		for j := i + 1; j < n; j++ {
			both := float64(pair(i, j))
			determines[i][j] = both <= float64(cands[i].distinct)*(1+tolerance)
			determines[j][i] = both <= float64(cands[j].distinct)*(1+tolerance)
		}
	}
	var found []group
	for i := range n {
		// Candidates are in descending order of values, so whatever determines
		// i stands before it or is its equal.
		members := []int{cands[i].attribute}
		for j := range n {
			if j != i && determines[j][i] {
				members = append(members, cands[j].attribute)
			}
		}
		slices.Sort(members)
		known := slices.ContainsFunc(found, func(g group) bool { return slices.Equal(g.members, members) })
		if len(members) > 1 && !known {
			found = append(found, group{members: members})
		}
	}
	return found[:min(len(found), maxGroups)]
}

// pairs counts the distinct pairs of candidates of a large metric during one
// sub-window, and each candidate alone with the same kind of sketch.
type pairs struct {
	cands   []candidate
	singles []*sketch.HLL
	both    []*sketch.HLL // (i, j), i < j, row by row
	hasher  *series.Hasher
	started sketch.Epoch
}

// pairsPrecision gives 1.6 % standard error in 4 KiB.
const pairsPrecision = 12

// pairsTolerance is three standard errors of the difference of two counts.
const pairsTolerance = 0.07

func newPairs(cands []candidate, hasher *series.Hasher, now sketch.Epoch) *pairs {
	p := &pairs{cands: cands, hasher: hasher, started: now}
	for range cands {
		p.singles = append(p.singles, sketch.NewHLL(pairsPrecision))
	}
	for range len(cands) * (len(cands) - 1) / 2 {
		p.both = append(p.both, sketch.NewHLL(pairsPrecision))
	}
	return p
}

// pairsBytes bounds the memory of the pairs of one metric.
const pairsBytes = (maxCandidates*(maxCandidates-1)/2 + maxCandidates) * (1<<pairsPrecision + 128)

func (p *pairs) observe(values []uint64) {
	at := func(c candidate) uint64 {
		if c.attribute < len(values) {
			return values[c.attribute]
		}
		return 0
	}
	k := 0
	for i, a := range p.cands {
		va := at(a)
		p.singles[i].InsertHash(p.hasher.Combine(va, 0))
		for _, b := range p.cands[i+1:] {
			p.both[k].InsertHash(p.hasher.Combine(va, at(b)))
			k++
		}
	}
}

// groups evaluates a finished count.
func (p *pairs) groups() []group {
	for i := range p.cands {
		p.cands[i].distinct = p.singles[i].Estimate()
	}
	n := len(p.cands)
	return findGroups(p.cands, func(i, j int) uint64 {
		return p.both[i*n-i*(i+1)/2+j-i-1].Estimate()
	}, pairsTolerance)
}
