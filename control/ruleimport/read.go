package ruleimport

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// Read reads rules as MarshalYAML and MarshalJSON write them and checks them as
// the processor does. Messages of severity Error say why they cannot be used;
// warnings name rules that overlap.
func Read(source []byte) Result {
	im := &importer{once: map[string]bool{}}
	isJSON := bytes.HasPrefix(bytes.TrimSpace(source), []byte("{"))
	parse := parseYAML
	if isJSON {
		parse = parseJSON
	}
	root, refused := parse(source)
	if refused != nil {
		im.say(Error, refused.at, refused.text, "")
		return im.result()
	}
	if root.field("rules").Node == nil {
		im.say(Error, root, "there is no list of rules", "begin with `rules:`")
		return im.result()
	}
	if isJSON || im.unescape(root) {
		im.decode(root)
	}
	return im.result()
}

// unescape undoes what the Collector undoes, and refuses what it would replace.
func (im *importer) unescape(v value) (ok bool) {
	ok = true
	if v.is(yaml.ScalarNode) && strings.Contains(v.Value, "$") {
		if strings.Contains(strings.ReplaceAll(v.Value, "$$", ""), "${") {
			im.say(Error, v, "variables are not filled in here", "write the value, or $${ if the text ${ is meant")
			ok = false
		}
		v.Value = strings.ReplaceAll(v.Value, "$$", "$")
	}
	for _, child := range v.fields() {
		ok = im.unescape(child) && ok
	}
	for _, child := range v.elements() {
		ok = im.unescape(child) && ok
	}
	return ok
}

func (im *importer) decode(root value) {
	tree, refused := plain(root)
	if refused != nil {
		im.say(Error, refused.at, refused.text, "")
		return
	}
	fields, ok := tree.(map[string]any)
	if !ok {
		im.say(Error, root, "rules must be a mapping", "")
		return
	}
	var d document
	if err := confmap.NewFromStringMap(fields).Unmarshal(&d); err != nil {
		im.sayDecoding(root, err)
		return
	}
	for _, one := range policy.AsErrors(policy.ValidateRules(d.Rules)) {
		at := locate(root, one.Path)
		at.path = one.Path
		im.say(Error, at, one.Problem, "")
	}
	if im.errors > 0 {
		return
	}
	im.rules = d.Rules
	overlaps, complete := policy.Overlaps(d.Rules, maxOverlaps)
	for _, o := range overlaps {
		im.say(Warning, locate(root, fmt.Sprintf("rules[%d]", o.Second)), o.Reason, "")
	}
	if !complete {
		im.say(Warning, value{}, textMoreOverlaps, "")
	}
}

// plain makes maps and slices of a tree, as the Collector's YAML provider does.
func plain(v value) (any, *sourceError) {
	switch {
	case v.is(yaml.MappingNode):
		out := map[string]any{}
		for key, child := range v.fields() {
			one, err := plain(child)
			if err != nil {
				return nil, err
			}
			out[key] = one
		}
		return out, nil
	case v.is(yaml.SequenceNode):
		out := []any{}
		for _, child := range v.elements() {
			one, err := plain(child)
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
		return out, nil
	case v.null():
		return nil, nil //nolint:nilnil // null is a value
	}
	var out any
	if err := v.Decode(&out); err != nil {
		return nil, refuse(v, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return out, nil
}

// decodingKey is how the Collector names what it cannot decode.
var decodingKey = regexp.MustCompile(`^'([^']*)' (.*)$`)

// sayDecoding splits the Collector's message, which holds all mistakes.
func (im *importer) sayDecoding(root value, err error) {
	said := false
	for line := range strings.Lines(err.Error()) {
		m := decodingKey.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		said = true
		path := m[1]
		if path == fmt.Sprintf("%T", document{}) { // the whole
			path = ""
		}
		at := locate(root, path)
		at.path = path
		im.say(Error, at, m[2], "")
	}
	if !said {
		im.say(Error, root, strings.Join(strings.Fields(err.Error()), " "), "")
	}
}

// step is a key, an index or a quoted key of a path.
var step = regexp.MustCompile(`^(?:\.?([a-z_]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\])`)

// locate finds what a path names, or the nearest thing around it that is there.
func locate(root value, path string) value {
	at := root
	for path != "" {
		m := step.FindStringSubmatch(path)
		if m == nil {
			break
		}
		path = path[len(m[0]):]
		key := m[1]
		if m[3] != "" {
			key, _ = strconv.Unquote(m[3])
		}
		var next value
		if index, err := strconv.Atoi(m[2]); err == nil {
			if at.is(yaml.SequenceNode) && index < len(at.Content) {
				next = at.child(at.Content[index], m[0])
			}
		} else {
			next = at.field(key)
		}
		if next.Node == nil {
			break
		}
		at = next
	}
	return at
}
