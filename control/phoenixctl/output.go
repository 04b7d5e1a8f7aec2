package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The formats of --output.
const (
	outputTable = "table"
	outputJSON  = "json"
	outputYAML  = "yaml"
)

var outputs = []string{outputTable, outputJSON, outputYAML}

// printJSON writes an answer as the API gave it, indented.
func printJSON(w io.Writer, answer json.RawMessage) error {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(answer), "", "  "); err != nil {
		return fmt.Errorf("indent the answer: %w", err)
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(w)
	return err
}

// printYAML writes an answer as YAML with the fields in the order of the API.
// Going through a Go map would sort them, and through the wire types would lose
// those that this version does not know.
func printYAML(w io.Writer, answer json.RawMessage) error {
	in := json.NewDecoder(bytes.NewReader(answer))
	in.UseNumber()
	node, err := yamlValue(in)
	if err != nil {
		return fmt.Errorf("convert the answer to YAML: %w", err)
	}
	out := yaml.NewEncoder(w)
	out.SetIndent(2)
	if err := out.Encode(node); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	return out.Close()
}

// yamlValue reads one JSON value.
func yamlValue(in *json.Decoder) (*yaml.Node, error) {
	token, err := in.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		return yamlContainer(in, t)
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(t.String(), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: t.String()}, nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	default: // string or bool
		node := &yaml.Node{}
		err := node.Encode(t)
		return node, err
	}
}

// yamlContainer reads the rest of an object or array.
func yamlContainer(in *json.Decoder, open json.Delim) (*yaml.Node, error) {
	node := &yaml.Node{Kind: yaml.SequenceNode}
	if open == '{' {
		node.Kind = yaml.MappingNode // its content is key, value, key, value
	}
	for in.More() {
		child, err := yamlValue(in)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, child)
	}
	if len(node.Content) == 0 {
		node.Style = yaml.FlowStyle // [] and {}
	}
	_, err := in.Token() // the closing bracket
	return node, err
}
