package ruleimport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is a part of the source that knows where it stands. Its tree has neither
// aliases nor merge keys.
type value struct {
	*yaml.Node
	path string
}

// sourceError is why a source cannot be read, and where.
type sourceError struct {
	at   value
	text string
}

func (e *sourceError) Error() string { return e.text }

func refuse(at value, format string, args ...any) *sourceError {
	return &sourceError{at: at, text: fmt.Sprintf(format, args...)}
}

// yamlLine is how the YAML parser says where it stopped.
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// parseYAML reads one document.
func parseYAML(source []byte) (value, *sourceError) {
	if len(source) > maxSourceBytes {
		return value{}, refuse(value{}, "the source is longer than %d MiB", maxSourceBytes>>20)
	}
	in := yaml.NewDecoder(bytes.NewReader(source))
	var document, next yaml.Node
	err := in.Decode(&document)
	if errors.Is(err, io.EOF) {
		return value{}, refuse(value{}, "the source is empty")
	}
	if err == nil {
		err = in.Decode(&next)
		if err == nil {
			return value{}, refuse(value{Node: &next}, "a second document begins here: import one at a time")
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		m := yamlLine.FindStringSubmatch(err.Error())
		if m == nil {
			return value{}, refuse(value{}, "not YAML: %s", err)
		}
		line, _ := strconv.Atoi(m[1])
		return value{}, refuse(value{Node: &yaml.Node{Line: line, Column: 1}}, "not YAML: %s", m[2])
	}
	e := expansion{left: maxNodes}
	root, refused := e.expand(value{Node: document.Content[0]}, 0)
	return value{Node: root}, refused
}

// expansion copies a tree with what its aliases stand for, as far as it stays
// small.
type expansion struct{ left int }

func (e *expansion) expand(v value, depth int) (*yaml.Node, *sourceError) {
	if e.left--; e.left < 0 {
		return nil, refuse(v, "the source has more than %d values", maxNodes)
	}
	if depth > maxDepth {
		return nil, refuse(v, "values are nested more than %d deep", maxDepth)
	}
	if v.Kind == yaml.AliasNode {
		return e.expand(value{Node: v.Alias, path: v.path}, depth+1)
	}
	out := &yaml.Node{Kind: v.Kind, Tag: v.Tag, Value: v.Value, Style: v.Style, Line: v.Line, Column: v.Column}
	if v.Kind == yaml.MappingNode {
		return out, e.mapping(out, v, depth)
	}
	for _, child := range v.Content {
		node, err := e.expand(value{Node: child, path: v.path}, depth+1)
		if err != nil {
			return nil, err
		}
		out.Content = append(out.Content, node)
	}
	return out, nil
}

// mapping copies a mapping. What is merged into it comes last and yields to keys
// of its own.
func (e *expansion) mapping(out *yaml.Node, v value, depth int) *sourceError {
	own := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(v.Content); i += 2 {
		key := v.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return refuse(value{Node: key}, "a key must be a text")
		}
		if own[key.Value] {
			return refuse(value{Node: v.Content[i]}, "the key %q is there twice", key.Value)
		}
		own[key.Value] = true
		child, err := e.expand(value{Node: v.Content[i+1]}, depth+1)
		if err != nil {
			return err
		}
		if key.Tag == "!!merge" {
			merged = append(merged, child)
			continue
		}
		out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key.Value, Line: key.Line, Column: key.Column}, child)
	}
	for _, from := range merged {
		list := []*yaml.Node{from}
		if from.Kind == yaml.SequenceNode {
			list = from.Content
		}
		for _, m := range list {
			if m.Kind != yaml.MappingNode {
				return refuse(value{Node: m}, "only mappings can be merged")
			}
			for i := 0; i+1 < len(m.Content); i += 2 {
				if !own[m.Content[i].Value] {
					own[m.Content[i].Value] = true
					out.Content = append(out.Content, m.Content[i], m.Content[i+1])
				}
			}
		}
	}
	return nil
}

// parseJSON reads one JSON value. YAML would do for most JSON, not for tabs and
// escaped surrogates.
func parseJSON(source []byte) (value, *sourceError) {
	if len(source) > maxSourceBytes {
		return value{}, refuse(value{}, "the source is longer than %d MiB", maxSourceBytes>>20)
	}
	if len(bytes.TrimSpace(source)) == 0 {
		return value{}, refuse(value{}, "the source is empty")
	}
	r := &jsonReader{in: json.NewDecoder(bytes.NewReader(source)), source: source, line: 1, left: maxNodes}
	r.in.UseNumber()
	root, err := r.value(0)
	if err == nil {
		if _, end := r.in.Token(); !errors.Is(end, io.EOF) {
			err = refuse(value{Node: r.here(&yaml.Node{})}, "not JSON: there is more after the value")
		}
	}
	if err != nil {
		return value{}, err
	}
	return value{Node: root}, nil
}

// jsonReader makes nodes of JSON.
type jsonReader struct {
	in     *json.Decoder
	source []byte
	// offset has been counted into line and, with lineStart, into columns.
	offset, line, lineStart int
	left                    int
}

// here gives a node the place where the next token begins.
func (r *jsonReader) here(n *yaml.Node) *yaml.Node {
	at := int(r.in.InputOffset())
	for at < len(r.source) && strings.IndexByte(" \t\r\n,:", r.source[at]) >= 0 {
		at++
	}
	for ; r.offset < at; r.offset++ {
		if r.source[r.offset] == '\n' {
			r.line, r.lineStart = r.line+1, r.offset+1
		}
	}
	n.Line, n.Column = r.line, at-r.lineStart+1
	return n
}

func (r *jsonReader) value(depth int) (*yaml.Node, *sourceError) {
	n := r.here(&yaml.Node{Kind: yaml.ScalarNode})
	if r.left--; r.left < 0 {
		return nil, refuse(value{Node: n}, "the source has more than %d values", maxNodes)
	}
	if depth > maxDepth {
		return nil, refuse(value{Node: n}, "values are nested more than %d deep", maxDepth)
	}
	token, err := r.in.Token()
	if err != nil {
		return nil, r.refuse(n, err)
	}
	switch t := token.(type) {
	case json.Delim:
		return r.container(n, t, depth)
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case string:
		n.Tag, n.Value = "!!str", t
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(t)
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

func (r *jsonReader) container(n *yaml.Node, open json.Delim, depth int) (*yaml.Node, *sourceError) {
	n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	if open == '{' {
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
	}
	keys := map[string]bool{}
	for r.in.More() {
		child, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if n.Kind == yaml.MappingNode && len(n.Content)%2 == 0 {
			if keys[child.Value] {
				return nil, refuse(value{Node: child}, "the key %q is there twice", child.Value)
			}
			keys[child.Value] = true
		}
		n.Content = append(n.Content, child)
	}
	if _, err := r.in.Token(); err != nil {
		return nil, r.refuse(r.here(&yaml.Node{}), err)
	}
	return n, nil
}

func (r *jsonReader) refuse(at *yaml.Node, err error) *sourceError {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return refuse(value{Node: at}, "not JSON: %s", err)
}
