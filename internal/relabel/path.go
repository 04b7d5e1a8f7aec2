package relabel

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// pathTemplate is the shape of URL paths: /users/{id}, /files/{name...}.
type pathTemplate struct {
	text     string
	segments []string // empty: any segment that is not; literals are never empty but at the end
	any      []bool
	rest     bool // whatever follows the last segment and its slash
}

var pathName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

var (
	errPathSlash   = errors.New("must begin with a slash")
	errPathQuery   = errors.New("must not have a query or fragment")
	errPathSegment = errors.New("a segment must be text or {name}")
	errPathRest    = errors.New("{name...} must be the last segment")
)

func newPath(text string) (pathTemplate, error) {
	fail := func(err error) (pathTemplate, error) { return pathTemplate{}, fmt.Errorf("%w, got %q", err, text) }
	if !strings.HasPrefix(text, "/") {
		return fail(errPathSlash)
	}
	if strings.ContainsAny(text, "?#") {
		return fail(errPathQuery)
	}
	t := pathTemplate{text: text}
	segments := strings.Split(text[1:], "/")
	for i, segment := range segments {
		if !strings.ContainsAny(segment, "{}") {
			t.segments, t.any = append(t.segments, segment), append(t.any, false)
			continue
		}
		name, open := strings.CutPrefix(segment, "{")
		name, closed := strings.CutSuffix(name, "}")
		name, rest := strings.CutSuffix(name, "...")
		switch {
		case !open || !closed || !pathName.MatchString(name):
			return fail(errPathSegment)
		case rest && i < len(segments)-1:
			return fail(errPathRest)
		case rest:
			t.rest = true
		default:
			t.segments, t.any = append(t.segments, ""), append(t.any, true)
		}
	}
	return t, nil
}

// pathOf cuts the query and the fragment off.
func pathOf(value string) string {
	if i := strings.IndexAny(value, "?#"); i >= 0 {
		return value[:i]
	}
	return value
}

// fits says whether a path has the shape. As in net/http, {name} stands for a
// segment that is not empty, and {name...} for all that follows the slash, also
// for nothing. Letters, slashes at the end and escapes count as they are.
func (t *pathTemplate) fits(path string) bool {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	for i, want := range t.segments {
		if i > 0 && !ok {
			return false
		}
		var segment string
		segment, rest, ok = strings.Cut(rest, "/")
		if t.any[i] && segment == "" || !t.any[i] && segment != want {
			return false
		}
	}
	return ok == t.rest
}
