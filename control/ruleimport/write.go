package ruleimport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// document is a file of rules.
type document struct {
	Rules []policy.Rule `mapstructure:"rules" json:"rules"`
}

// MarshalJSON returns rules as the API takes them.
func MarshalJSON(rules []policy.Rule) ([]byte, error) {
	var out bytes.Buffer
	in := json.NewEncoder(&out)
	in.SetEscapeHTML(false)
	in.SetIndent("", "  ")
	if err := in.Encode(document{Rules: append([]policy.Rule{}, rules...)}); err != nil {
		return nil, fmt.Errorf("write rules as JSON: %w", err)
	}
	return out.Bytes(), nil
}

// MarshalYAML returns rules as part of the configuration of a tag_consolidation
// processor. What the Collector would take for a variable is escaped.
func MarshalYAML(rules []policy.Rule) ([]byte, error) {
	text, err := MarshalJSON(rules)
	if err != nil {
		return nil, err
	}
	root, refused := parseJSON(text)
	if refused != nil {
		return nil, fmt.Errorf("write rules as YAML: %w", refused)
	}
	escape(root.Node)
	var out bytes.Buffer
	in := yaml.NewEncoder(&out)
	in.SetIndent(2)
	if err := in.Encode(root.Node); err != nil {
		return nil, fmt.Errorf("write rules as YAML: %w", err)
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("write rules as YAML: %w", err)
	}
	return out.Bytes(), nil
}

// escape doubles the dollar signs that the Collector would read as its own, and
// lets short lists and mappings stand on one line.
func escape(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && (strings.Contains(n.Value, "$$") || strings.Contains(n.Value, "${")) {
		n.Value = strings.ReplaceAll(n.Value, "$", "$$")
	}
	scalars := true
	for _, child := range n.Content {
		escape(child)
		scalars = scalars && child.Kind == yaml.ScalarNode
	}
	if n.Kind != yaml.ScalarNode && scalars {
		n.Style = yaml.FlowStyle
	}
}
