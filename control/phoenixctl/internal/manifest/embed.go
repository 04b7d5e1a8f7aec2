package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxEmbedded bounds a file that a document names: the API takes no longer text.
const maxEmbedded = 1 << 20

// Embed replaces the key file of the entries of a list, found by its path, by the
// keys name and text: the text is that of the file, which is looked for beside the
// document, and the name, unless it is given, that of the file. Its error is a
// Mistakes.
func (d Document) Embed(path string) error {
	node := d.root
	for _, step := range steps(path) {
		_, node = find(node, step)
	}
	if node = resolve(node); node == nil || node.Kind != yaml.SequenceNode {
		return nil // Into says what is wrong with it
	}
	var mistakes Mistakes
	for i, entry := range node.Content {
		if problem := d.embed(resolve(entry)); problem != "" {
			at := fmt.Sprintf("%s[%d].file", path, i)
			mistakes = append(mistakes, Mistake{File: d.File, Line: d.LineOf(at), Field: at, Problem: problem})
		}
	}
	if len(mistakes) > 0 {
		return mistakes
	}
	return nil
}

// embed replaces the key of one entry, or says why it cannot.
func (d Document) embed(entry *yaml.Node) (problem string) {
	key, file := find(entry, "file")
	if file = resolve(file); file == nil {
		return ""
	}
	switch _, text := find(entry, "text"); {
	case file.Kind != yaml.ScalarNode || file.Value == "":
		return "must be the name of a file"
	case text != nil:
		return "must not be given together with text"
	}
	text, problem := d.readBeside(file.Value)
	if problem != "" {
		return problem
	}
	name := file.Value
	if i := indexOf(entry, key); i >= 0 {
		scalar := func(value string) *yaml.Node {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Line: key.Line, Column: key.Column}
		}
		entry.Content[i], entry.Content[i+1] = scalar("text"), scalar(text)
		if _, named := find(entry, "name"); named == nil {
			entry.Content = append(entry.Content, scalar("name"), scalar(filepath.Base(name)))
		}
	}
	return ""
}

func indexOf(mapping, key *yaml.Node) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i] == key {
			return i
		}
	}
	return -1
}

// readBeside reads a file whose name is relative to the document.
func (d Document) readBeside(name string) (text, problem string) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(d.File), path) // of standard input: where the command was called
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err.Error()
	case !info.Mode().IsRegular():
		return "", path + " is no file"
	case info.Size() > maxEmbedded:
		return "", fmt.Sprintf("%s is longer than %d bytes", path, maxEmbedded)
	}
	raw, err := os.ReadFile(path)
	switch {
	case err != nil:
		return "", err.Error()
	case !utf8.Valid(raw):
		return "", path + " is not UTF-8"
	}
	return string(raw), ""
}
