package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// MaxBytes bounds one file.
const MaxBytes = 32 << 20

// Document is one document of a file.
type Document struct {
	// File is what it was read from, as the user called it.
	File string
	// Line is where the document begins.
	Line int

	root *yaml.Node
}

// Mistake is one mistake in a document.
type Mistake struct {
	File string
	// Line counts from 1.
	Line int
	// Field is the path of what is wrong, such as spec.rules[0].match.metric.
	// Empty if it is not about a field.
	Field   string
	Problem string
}

// Error is as compilers write it, so that editors find the place.
func (m Mistake) Error() string {
	text := m.Problem
	if m.Field != "" {
		text = m.Field + ": " + text
	}
	return fmt.Sprintf("%s:%d: %s", m.File, m.Line, text)
}

// Mistakes are all mistakes in some documents.
type Mistakes []Mistake

// Error returns one line for each mistake.
func (m Mistakes) Error() string {
	lines := make([]string, 0, len(m))
	for _, one := range m {
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "\n")
}

// Parse splits a file into documents. Empty ones are left out. Its error is a
// Mistakes, or about reading.
func Parse(file string, r io.Reader) ([]Document, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", file, err)
	case len(text) > MaxBytes:
		return nil, Mistakes{{File: file, Line: 1, Problem: fmt.Sprintf("the file is longer than %d MiB", MaxBytes>>20)}}
	}
	var documents []Document
	in := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		err := in.Decode(&node)
		switch {
		case errors.Is(err, io.EOF):
			return documents, nil
		case err != nil:
			return nil, Mistakes{syntaxMistake(file, err)}
		}
		root := &node
		if root.Kind == yaml.DocumentNode {
			root = root.Content[0]
		}
		if root.Tag == "!!null" {
			continue
		}
		documents = append(documents, Document{File: file, Line: root.Line, root: root})
	}
}

// syntaxMistake takes the line out of the text that the YAML library makes.
func syntaxMistake(file string, err error) Mistake {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	m := Mistake{File: file, Line: 1, Problem: text}
	if rest, found := strings.CutPrefix(text, "line "); found {
		number, after, _ := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(number); err == nil {
			m.Line, m.Problem = line, after
		}
	}
	m.Problem = "not YAML: " + m.Problem
	return m
}

// Has says whether the document has a key at its top, so that one can tell what
// it is.
func (d Document) Has(key string) bool {
	_, value := find(d.root, key)
	return value != nil
}

// Into reads the document into a message, whose fields are called as in the
// proto. Its error is a Mistakes.
func (d Document) Into(m proto.Message) error {
	r := reader{file: d.File}
	value := r.message(d.root, m.ProtoReflect().Descriptor(), "")
	if len(r.mistakes) > 0 {
		return r.mistakes
	}
	text, err := value.json()
	if err != nil {
		return Mistakes{{File: d.File, Line: d.Line, Problem: err.Error()}}
	}
	if err := protojson.Unmarshal(text, m); err != nil {
		return Mistakes{{File: d.File, Line: d.Line, Problem: strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ")}}
	}
	return nil
}

// LineOf finds the line of a field by its path, such as
// spec.rules[0].match.metric. If it is not there it is the line of what should
// hold it.
func (d Document) LineOf(path string) int {
	line, node := d.Line, d.root
	for _, step := range steps(path) {
		node = resolve(node)
		if node == nil {
			break
		}
		if index, err := strconv.Atoi(step); err == nil && node.Kind == yaml.SequenceNode {
			if index >= len(node.Content) {
				break
			}
			node = node.Content[index]
			line = node.Line
			continue
		}
		key, value := find(node, step)
		if value == nil {
			break
		}
		line, node = key.Line, value
	}
	return line
}

// steps divides a path into keys and indices.
func steps(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// find returns the key and the value of a mapping's entry.
func find(node *yaml.Node, name string) (key, value *yaml.Node) {
	node = resolve(node)
	if node == nil || node.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}

// resolve follows an alias.
func resolve(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
