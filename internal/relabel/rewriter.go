package relabel

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// Rewriter computes identities under a plan, for one level. It remembers what
// values become, so that an expression runs once a value: in bounded memory,
// which is emptied when it is full. Folds that the plan has itself do not count
// here, those of the View do. A Rewriter belongs to one goroutine at a time.
type Rewriter struct {
	plan  *Plan
	keys  *Keys
	index map[uint64]uint32 // into values, by the contribution of what comes in
	// values are what is remembered, texts the bytes of candidates in them.
	values []resolved
	texts  int
	once   resolved // the answer for a value that is not remembered
}

const (
	// maxResolved and maxTexts bound what one Rewriter remembers: 4 MiB with the
	// index.
	maxResolved = 1 << 15
	maxTexts    = 1 << 20
)

// resolved is what a value becomes.
type resolved struct {
	// hash is the contribution of what the value becomes; if it is ranked, that
	// when it is in, and other the one when it is not.
	hash, other uint64
	ranked, in  bool
	candidate   string
	members     *Members // those that in was asked of
}

// Part is the identity of one level of a point, before and after.
type Part struct {
	// All is that of the input, Unfolded that of the output without folds, Stays
	// that of the output with the folds of the view.
	All, Unfolded, Stays series.Pair
	// Candidate is the value that competes in the TopK, the first if there are
	// several. The text is no part of the attributes: it may be kept.
	Candidate string
	// IsRanked says that there is a candidate. Values too long for a seat are none.
	IsRanked bool
}

// Rewriter returns a Rewriter that remembers nothing.
func (p *Plan) Rewriter(d series.Domain, h *series.Hasher) *Rewriter {
	plan := p.under(nil)
	return &Rewriter{plan: plan, keys: plan.Keys(d, h), index: map[uint64]uint32{}}
}

// Identity computes the identity of one level before and after the plan and the
// view. Views may change from call to call: what is remembered depends on none.
func (r *Rewriter) Identity(attrs pcommon.Map, view *View) Part {
	var part Part
	var mask uint64
	if view != nil {
		mask = view.mask
	}
	position := 0
	for key, value := range attrs.All() {
		// Written out as in Keys.Pairs: the calls take 15 ns (BenchmarkRewriter/none).
		s := r.keys.guessed(position)
		if string(s.key) != key {
			s = r.keys.find(position, key)
		}
		position++
		var hash uint64
		if text := value.Str(); text != "" {
			hash = r.keys.hasher.SeededString(s.seed, text)
		} else {
			hash = r.keys.hasher.Seeded(s.seed, value)
		}
		one := r.keys.hasher.Pair(hash)
		part.All = part.All.Add(one)
		switch s.action {
		case Goes:
			continue
		case Changes:
			v := r.resolve(s, key, value, hash)
			if v.ranked && !part.IsRanked && len(v.candidate) <= maxRankedBytes {
				part.IsRanked, part.Candidate = true, v.candidate
			}
			one = r.keys.hasher.Pair(v.now(view))
		case Stays, Becomes:
		}
		part.Unfolded = part.Unfolded.Add(one)
		if s.fold&mask == 0 || !view.folded(r.keys.domain, key) {
			part.Stays = part.Stays.Add(one)
		}
	}
	return part
}

// Labels appends the contribution of every attribute of the output without
// folds, for Folder.Join. The keys are borrowed from attrs.
func (r *Rewriter) Labels(dst []Label, attrs pcommon.Map, view *View) []Label {
	position := 0
	for key, value := range attrs.All() {
		s := r.keys.at(position, key)
		position++
		if s.action == Goes {
			continue
		}
		hash := r.keys.hash(s, value)
		if s.action == Changes {
			hash = r.resolve(s, key, value, hash).now(view)
		}
		dst = append(dst, Label{Domain: r.keys.domain, Key: key, Hash: hash})
	}
	return dst
}

// now is the contribution of what the value becomes under a view.
func (v *resolved) now(view *View) uint64 {
	if !v.ranked {
		return v.hash
	}
	if members := view.Members(); members != v.members {
		v.members, v.in = members, members.Has(v.candidate)
	}
	if v.in {
		return v.hash
	}
	return v.other
}

// resolve returns what a value becomes, until the next call.
func (r *Rewriter) resolve(s *keySlot, key string, value pcommon.Value, hash uint64) *resolved {
	if at, known := r.index[hash]; known {
		return &r.values[at]
	}
	v := r.plan.resolve(r.keys, s, key, value, hash)
	// Nested values of equal contributions may differ in their texts: by the order
	// of a key's duplicates, and beyond the depth that counts.
	nested := value.Type() == pcommon.ValueTypeMap || value.Type() == pcommon.ValueTypeSlice
	if nested || len(v.candidate) > maxRankedBytes {
		r.once = v
		return &r.once
	}
	if len(r.values) >= maxResolved || r.texts+len(v.candidate) > maxTexts {
		clear(r.index)
		clear(r.values) // their texts
		r.values, r.texts = r.values[:0], 0
	}
	v.candidate = strings.Clone(v.candidate)
	r.texts += len(v.candidate)
	r.index[hash] = uint32(len(r.values)) //nolint:gosec // bounded
	r.values = append(r.values, v)
	return &r.values[len(r.values)-1]
}

// resolve asks the plan what a value becomes.
func (p *Plan) resolve(k *Keys, s *keySlot, key string, value pcommon.Value, hash uint64) resolved {
	contribution := func(out Outcome) uint64 {
		if out.Action == Becomes {
			return k.hasher.SeededString(s.seed, out.Text)
		}
		return hash
	}
	before := Of(value)
	out := p.Apply(k.domain, key, before, nil)
	if !out.IsRanked {
		return resolved{hash: contribution(out)}
	}
	in := p.Apply(k.domain, key, before, &Members{values: map[string]struct{}{out.Candidate: {}}})
	return resolved{hash: contribution(in), other: contribution(out), ranked: true, candidate: out.Candidate}
}

// Rewrite puts what stays of one level under a view, with its new values, into
// dst, which is empty. A key that occurs twice does so in dst. Its
// series.Hasher.PairMap is the Stays of Rewriter.Identity.
func (p *Plan) Rewrite(d series.Domain, attrs pcommon.Map, view *View, dst pcommon.Map) {
	plan := p.under(view)
	left := 0
	for key := range attrs.All() {
		if plan.Key(d, key) != Goes {
			left++
		}
	}
	dst.EnsureCapacity(left) // outputs are kept long: no room for what goes
	for key, value := range attrs.All() {
		action := plan.Key(d, key)
		if action == Goes {
			continue
		}
		put, twice := dst.GetOrPutEmpty(key)
		if twice { // only a copy can hold a key again
			plan.rewriteCopy(d, attrs, view, dst)
			return
		}
		value.CopyTo(put)
		plan.become(d, action, key, put, view)
	}
}

// rewriteCopy is Rewrite on a copy of everything. The plan has the view's folds.
func (p *Plan) rewriteCopy(d series.Domain, attrs pcommon.Map, view *View, dst pcommon.Map) {
	attrs.CopyTo(dst)
	dst.RemoveIf(func(key string, value pcommon.Value) bool {
		action := p.Key(d, key)
		p.become(d, action, key, value, view)
		return action == Goes
	})
}

// become gives an attribute its new value, if it has one.
func (p *Plan) become(d series.Domain, action Action, key string, value pcommon.Value, view *View) {
	if action != Changes { // a text of the value is not asked for in vain
		return
	}
	if out := p.Apply(d, key, Of(value), view.Members()); out.Action == Becomes {
		value.SetStr(out.Text)
	}
}
