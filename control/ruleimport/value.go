package ruleimport

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// is says what kind of value it is; nothing is of no kind.
func (v value) is(kind yaml.Kind) bool { return v.Node != nil && v.Kind == kind }

func (v value) null() bool { return v.Node == nil || v.Kind == yaml.ScalarNode && v.Tag == "!!null" }

// child is a part whose path continues that of v.
func (v value) child(n *yaml.Node, key string) value {
	path := v.path + key
	if !strings.HasPrefix(key, "[") && v.path != "" {
		path = v.path + "." + key
	}
	return value{Node: n, path: path}
}

// fields yields the keys and values of a mapping.
func (v value) fields() iter.Seq2[string, value] {
	return func(yield func(string, value) bool) {
		if !v.is(yaml.MappingNode) {
			return
		}
		for i := 0; i+1 < len(v.Content); i += 2 {
			key := v.Content[i].Value
			if !yield(key, v.child(v.Content[i+1], key)) {
				return
			}
		}
	}
}

// field returns the value of one key; the value of a missing one is null.
func (v value) field(name string) value {
	for key, child := range v.fields() {
		if key == name {
			return child
		}
	}
	return value{}
}

// elements yields the values of a sequence.
func (v value) elements() iter.Seq2[int, value] {
	return func(yield func(int, value) bool) {
		if !v.is(yaml.SequenceNode) {
			return
		}
		for i, n := range v.Content {
			if !yield(i, v.child(n, fmt.Sprintf("[%d]", i))) {
				return
			}
		}
	}
}

// text reads a scalar that is meant as text, also when it looks like a number.
func (im *importer) text(v value) (string, bool) {
	if !v.is(yaml.ScalarNode) || v.null() {
		im.say(Error, v, "must be a text", "")
		return "", false
	}
	return v.Value, true
}

// texts reads a list of texts.
func (im *importer) texts(v value) (list []labelled, ok bool) {
	if !v.is(yaml.SequenceNode) {
		if !v.null() {
			im.say(Error, v, "must be a list", "")
		}
		return nil, v.null()
	}
	ok = true
	for _, e := range v.elements() {
		text, isText := im.text(e)
		ok = ok && isText
		list = append(list, labelled{text, e})
	}
	return list, ok
}

// labelled is a text and where it stands.
type labelled struct {
	text string
	at   value
}

func textsOf(list []labelled) []string {
	texts := make([]string, 0, len(list))
	for _, l := range list {
		texts = append(texts, l.text)
	}
	return texts
}

// flag reads a bool.
func (im *importer) flag(v value) (set, ok bool) {
	if v.is(yaml.ScalarNode) {
		if set, err := strconv.ParseBool(v.Value); err == nil && v.Tag == "!!bool" {
			return set, true
		}
	}
	im.say(Error, v, "must be true or false", "")
	return false, false
}
