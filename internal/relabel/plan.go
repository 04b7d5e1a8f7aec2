package relabel

import (
	"errors"
	"fmt"

	"github.com/phoenix-platform/phoenix/internal/series"
)

// Settings say what happens to attributes: first Drop and Keep, then Maps, then
// Buckets and Ranked.
type Settings struct {
	// Drop names the attributes that go.
	Drop []Ref
	// Keep names the point attributes that stay. Empty, unlike nil, all go.
	// Attributes of resource and scope are not governed by it.
	Keep []Ref
	// Protect names attributes that nothing here touches.
	Protect []Ref
	// Maps replace values. Of several for one attribute the first that knows the
	// value decides.
	Maps []ValueMap
	// Buckets replace values by the number of a bucket, see Bucket.
	Buckets []HashBuckets
	// Ranked is the attribute of which only the heavy values stay. Default: none.
	Ranked *Ranked
	// DropScope lets the scope go with all its attributes.
	DropScope bool
}

// HashBuckets replaces the values of an attribute by a bucket's number.
type HashBuckets struct {
	// Attribute names the attribute; no globs.
	Attribute Ref
	// Buckets is how many there are.
	Buckets int
}

// Ranked is an attribute whose values a TopK ranks.
type Ranked struct {
	// Attribute names the attribute; no globs.
	Attribute Ref
	// Other is what the values that are not among the heaviest become.
	Other string
}

// Action says how an attribute fares.
type Action uint8

// The actions. Changes is the answer for a key, when it depends on the value;
// Becomes the one for a value.
const (
	Stays Action = iota
	Goes
	Changes
	Becomes
)

// Outcome is what happens to one attribute of one series.
type Outcome struct {
	// Action is Stays, Goes or Becomes.
	Action Action
	// Text is the new value, a string, if the action is Becomes.
	Text string
	// IsRanked says that the value competes in the TopK, as Candidate.
	IsRanked  bool
	Candidate string
}

// Plan is what a rule says about attributes. It is immutable and safe for use
// by many goroutines.
type Plan struct {
	drop, keep, protect, folds refSet

	hasKeep   bool
	dropScope bool
	dropOnly  bool
	changes   map[attribute]*change
	other     string
}

// change is what happens to the values of one attribute.
type change struct {
	maps     []*mapper
	other    string
	hasOther bool
	buckets  int
	ranked   bool
}

// New compiles settings and reports all mistakes in them at once.
func New(s Settings) (*Plan, error) {
	p := &Plan{
		hasKeep: s.Keep != nil, dropScope: s.DropScope,
		dropOnly: len(s.Maps) == 0 && len(s.Buckets) == 0 && s.Ranked == nil,
		changes:  map[attribute]*change{},
	}
	var errs error
	for _, list := range []struct {
		name string
		refs []Ref
		set  *refSet
	}{{"drop", s.Drop, &p.drop}, {"keep", s.Keep, &p.keep}, {"protect", s.Protect, &p.protect}} {
		var err error
		if *list.set, err = newRefSet(list.refs); err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", list.name, err))
		}
	}
	for i, m := range s.Maps {
		if err := p.addMap(m); err != nil {
			errs = errors.Join(errs, fmt.Errorf("map[%d]: %w", i, err))
		}
	}
	for i, b := range s.Buckets {
		if err := p.addBuckets(b); err != nil {
			errs = errors.Join(errs, fmt.Errorf("hash_buckets[%d]: %w", i, err))
		}
	}
	if s.Ranked != nil {
		if err := p.addRanked(*s.Ranked); err != nil {
			errs = errors.Join(errs, fmt.Errorf("top_k: %w", err))
		}
	}
	if errs != nil {
		return nil, errs
	}
	return p, nil
}

var (
	errBuckets = errors.New("buckets must be positive")
	errTaken   = errors.New("has hash_buckets already")
	errOther   = errors.New("other must not be empty")
)

// each calls f with the changes of every attribute that ref names.
func (p *Plan) each(ref Ref, f func(*change) error) error {
	if err := ref.checkLiteral(); err != nil {
		return err
	}
	for _, d := range domains {
		if ref.Levels&On(d) == 0 {
			continue
		}
		at := attribute{d, ref.Key}
		if p.changes[at] == nil {
			p.changes[at] = &change{}
		}
		if err := f(p.changes[at]); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) addMap(m ValueMap) error {
	compiled, err := newMapper(m)
	if err != nil {
		return err
	}
	return p.each(m.Attribute, func(c *change) error {
		c.maps = append(c.maps, &compiled)
		if m.Other != "" && !c.hasOther {
			c.other, c.hasOther = m.Other, true
		}
		return nil
	})
}

func (p *Plan) addBuckets(b HashBuckets) error {
	if b.Buckets < 1 {
		return fmt.Errorf("%w, got %d", errBuckets, b.Buckets)
	}
	return p.each(b.Attribute, func(c *change) error {
		if c.buckets > 0 {
			return errTaken
		}
		c.buckets = b.Buckets
		return nil
	})
}

func (p *Plan) addRanked(r Ranked) error {
	if r.Other == "" {
		return errOther
	}
	p.other = r.Other
	return p.each(r.Attribute, func(c *change) error {
		if c.buckets > 0 {
			return errTaken
		}
		c.ranked = true
		return nil
	})
}

// WithFolds returns a plan in which these attributes go, too, in place of those
// that went by an earlier call. Protected ones stay.
func (p *Plan) WithFolds(folds []Ref) (*Plan, error) {
	set, err := newRefSet(folds)
	if err != nil {
		return nil, fmt.Errorf("fold: %w", err)
	}
	folded := *p
	folded.folds = set
	return &folded, nil
}

// DropOnly says that no value changes: the identity of an output is that of the
// input less the contributions of the attributes that go.
func (p *Plan) DropOnly() bool { return p.dropOnly }

// DropsScope says that series of different scopes do not stay apart.
func (p *Plan) DropsScope() bool { return p.dropScope }

// Other is what the values that are not among the heaviest become.
func (p *Plan) Other() string { return p.other }

// Key says how an attribute fares as far as its key decides: it stays, it goes,
// or its value may change. Keys remembers the answers.
func (p *Plan) Key(d series.Domain, key string) Action {
	switch {
	case p.protect.has(d, key):
		return Stays
	case p.dropScope && d == series.Scope,
		p.drop.has(d, key),
		p.hasKeep && d == series.Point && !p.keep.has(d, key),
		p.folds.has(d, key):
		return Goes
	case p.changes[attribute{d, key}] != nil:
		return Changes
	}
	return Stays
}

// Apply says what happens to one attribute. It is made for series that are seen
// for the first time: it may run an expression and allocate. The members are
// those of the TopK, if the plan ranks values; nil: no value is among them.
func (p *Plan) Apply(d series.Domain, key string, value Value, members *Members) Outcome {
	switch p.Key(d, key) {
	case Goes:
		return Outcome{Action: Goes}
	case Changes:
		return p.changes[attribute{d, key}].apply(value, members, p.other)
	default:
		return Outcome{Action: Stays}
	}
}

func (c *change) apply(value Value, members *Members, other string) Outcome {
	before := value.Text()
	text, changed := c.mapped(value, before)
	out := Outcome{IsRanked: c.ranked}
	if c.buckets > 0 {
		text, changed = Bucket(text, c.buckets), true
	}
	if c.ranked {
		out.Candidate = text
		if !members.Has(text) {
			text, changed = other, true
		}
	}
	// A number that becomes its own text is another value.
	if !changed || value.kind == kindString && text == before {
		return out
	}
	out.Action, out.Text = Becomes, text
	return out
}

func (c *change) mapped(value Value, text string) (string, bool) {
	for _, m := range c.maps {
		if mapped, known := m.apply(value, text); known {
			return mapped, true
		}
	}
	if c.hasOther {
		return c.other, true
	}
	return text, false
}
