package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Level says which part of the OTLP hierarchy carries an attribute.
type Level string

// The levels of an attribute.
const (
	// LevelAny is that of a bare name.
	LevelAny      Level = ""
	LevelResource Level = "resource"
	LevelScope    Level = "scope"
	LevelPoint    Level = "point"
)

// AttributeRef names attributes: those of one level, or of point and resource,
// whose key is Key or fits it if it is a glob.
type AttributeRef struct {
	Level Level
	Key   string
}

// identityKeys are the resource attributes behind the labels job (name and
// namespace) and instance of a Prometheus backend.
var identityKeys = []string{"service.name", "service.namespace", "service.instance.id"}

// maxNameBytes bounds names, keys and patterns.
const maxNameBytes = 1024

var (
	errRefEmpty   = errors.New("must not be empty")
	errRefText    = errors.New("must be printable UTF-8 without spaces at its ends")
	errRefLong    = fmt.Errorf("must not be longer than %d bytes", maxNameBytes)
	errRefPattern = errors.New("must be a name or a glob (* and ?), not a regular expression")
)

// ParseAttributeRef reads resource.x, scope.x, point.x or a bare x, where x is a
// key or a glob in which * stands for any run of characters and ? for one. Keys
// may hold dots. A key that itself begins with one of the prefixes is written
// with its level in front: point.resource.x.
func ParseAttributeRef(text string) (AttributeRef, error) {
	if err := checkKey(text); err != nil {
		return AttributeRef{}, err
	}
	if strings.ContainsAny(text, `["`) && strings.Contains(text, "attributes[") {
		return AttributeRef{}, fmt.Errorf("%q: expressions are not read here; write resource.x, scope.x, point.x or x", text)
	}
	if key, ok := strings.CutPrefix(text, "datapoint."); ok {
		return AttributeRef{}, fmt.Errorf("%q: write point.%s, or point.%s if that is the key", text, key, text)
	}
	ref := AttributeRef{Key: text}
	for _, level := range []Level{LevelResource, LevelScope, LevelPoint} {
		if key, ok := strings.CutPrefix(text, string(level)+"."); ok {
			ref = AttributeRef{Level: level, Key: key}
			break
		}
	}
	if ref.Key == "" {
		return AttributeRef{}, fmt.Errorf("%q: the name is missing after the dot", text)
	}
	if isRegex(ref.Key) {
		return AttributeRef{}, fmt.Errorf("%q: %w", text, errRefPattern)
	}
	return ref, nil
}

// checkKey refuses what cannot be meant as the key of an attribute.
func checkKey(key string) error {
	switch {
	case key == "":
		return errRefEmpty
	case len(key) > maxNameBytes:
		return errRefLong
	case !utf8.ValidString(key) || strings.TrimSpace(key) != key || strings.ContainsFunc(key, unicode.IsControl):
		return fmt.Errorf("%q: %w", key, errRefText)
	}
	return nil
}

// String returns the form that ParseAttributeRef reads.
func (r AttributeRef) String() string {
	if r.Level == LevelAny {
		return r.Key
	}
	return string(r.Level) + "." + r.Key
}

// IsGlob says whether the key is a glob.
func (r AttributeRef) IsGlob() bool { return isGlob(r.Key) }

// Matches says whether r names the attribute with this key at this level, which
// is not LevelAny. A glob never names the resource attributes behind the labels
// job and instance.
func (r AttributeRef) Matches(level Level, key string) bool {
	if !slices.Contains(r.levels(), level) {
		return false
	}
	if !r.IsGlob() {
		return r.Key == key
	}
	if level == LevelResource && slices.Contains(identityKeys, key) {
		return false
	}
	return globMatches(r.Key, key)
}

// levels lists where the attribute may stand.
func (r AttributeRef) levels() []Level {
	if r.Level == LevelAny {
		return []Level{LevelPoint, LevelResource}
	}
	return []Level{r.Level}
}

// meets says whether some attribute of r, whose key is no glob, is also one of
// other.
func (r AttributeRef) meets(other AttributeRef) bool {
	return slices.ContainsFunc(r.levels(), func(l Level) bool { return other.Matches(l, r.Key) })
}
