package relabel

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/phoenix-platform/phoenix/internal/match"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// Levels is a set of the parts of a series that carry attributes.
type Levels uint8

// The levels. Bare is what a name without a level means in a list of what goes.
const (
	OnResource Levels = 1 << series.Resource
	OnScope    Levels = 1 << series.Scope
	OnPoint    Levels = 1 << series.Point

	Bare = OnPoint | OnResource
)

// On is the set of one level.
func On(d series.Domain) Levels { return 1 << d }

// domains are the levels that carry attributes.
var domains = [...]series.Domain{series.Resource, series.Scope, series.Point}

// Ref names attributes: those at some levels whose key is Key, or fits it if it
// is a glob, in which * stands for any run of characters and ? for one.
type Ref struct {
	Levels Levels
	Key    string
}

// IsGlob says whether the key is a glob.
func (r Ref) IsGlob() bool { return strings.ContainsAny(r.Key, "*?") }

// String returns the key and, unless it is bare, its levels.
func (r Ref) String() string {
	if r.Levels == Bare {
		return r.Key
	}
	var names []string
	for i, name := range [...]string{"resource", "scope", "point"} {
		if r.Levels&On(domains[i]) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|") + "." + r.Key
}

// names says whether a Ref that is no glob names the attribute.
func (r Ref) names(d series.Domain, key string) bool {
	return r.Levels&On(d) != 0 && r.Key == key
}

var (
	errNoKey    = errors.New("must name an attribute")
	errNoLevel  = errors.New("must name a level")
	errKeyRegex = errors.New("must be a name or a glob (* and ?), not a regular expression")
	errGlob     = errors.New("must name one attribute, not a glob")
)

func (r Ref) check() error {
	regex := len(r.Key) > 2 && r.Key[0] == '/' && r.Key[len(r.Key)-1] == '/'
	switch {
	case r.Key == "":
		return errNoKey
	case r.Levels&(OnResource|OnScope|OnPoint) == 0:
		return fmt.Errorf("%q: %w", r.Key, errNoLevel)
	case regex:
		return fmt.Errorf("%q: %w", r.Key, errKeyRegex)
	}
	return nil
}

func (r Ref) checkLiteral() error {
	if err := r.check(); err != nil {
		return err
	}
	if r.IsGlob() {
		return fmt.Errorf("%q: %w", r.Key, errGlob)
	}
	return nil
}

// identityKeys are the resource attributes behind the labels job (name and
// namespace) and instance of a Prometheus backend. No glob names them.
var identityKeys = []string{"service.name", "service.namespace", "service.instance.id"}

func isIdentity(d series.Domain, key string) bool {
	return d == series.Resource && slices.Contains(identityKeys, key)
}

// attribute is one attribute of one level.
type attribute struct {
	domain series.Domain
	key    string
}

// ref names the attribute, if it can be named.
func (a attribute) ref() Ref { return Ref{Levels: On(a.domain), Key: a.key} }

// refSet is a list of Refs, compiled.
type refSet struct {
	literal map[attribute]struct{}
	globs   []globRef
}

type globRef struct {
	levels  Levels
	pattern match.Pattern
}

func newRefSet(refs []Ref) (refSet, error) {
	set := refSet{literal: map[attribute]struct{}{}}
	var errs error
	for i, r := range refs {
		if err := r.check(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("[%d]: %w", i, err))
			continue
		}
		if !r.IsGlob() {
			for _, d := range domains {
				if r.Levels&On(d) != 0 {
					set.literal[attribute{d, r.Key}] = struct{}{}
				}
			}
			continue
		}
		pattern, err := match.Compile(r.Key)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("[%d]: %w", i, err))
			continue
		}
		set.globs = append(set.globs, globRef{r.Levels, pattern})
	}
	return set, errs
}

func (s *refSet) has(d series.Domain, key string) bool {
	if _, ok := s.literal[attribute{d, key}]; ok {
		return true
	}
	if len(s.globs) == 0 || isIdentity(d, key) {
		return false
	}
	for i := range s.globs {
		if s.globs[i].levels&On(d) != 0 && s.globs[i].pattern.Match(key) {
			return true
		}
	}
	return false
}
