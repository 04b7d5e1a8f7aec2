package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// The formats of --output.
const (
	outputTable = "table"
	outputWide  = "wide"
	outputJSON  = "json"
	outputYAML  = "yaml"
	outputName  = "name"
)

var outputs = []string{outputTable, outputJSON, outputYAML}

// output is the flag of that name. It refuses, as any flag, what it does not
// know.
type output struct {
	value   string
	allowed []string
}

// outputFlag gives a command the flag with the formats that it knows, the first
// of which is the default.
func outputFlag(cmd *cobra.Command, allowed ...string) *output {
	o := &output{value: allowed[0], allowed: allowed}
	cmd.Flags().VarP(o, "output", "o", "output format: "+strings.Join(allowed, ", "))
	completeWith(cmd, "output", allowed)
	return o
}

// String implements pflag.Value.
func (o *output) String() string { return o.value }

// Type implements pflag.Value.
func (o *output) Type() string { return "format" }

// Set implements pflag.Value.
func (o *output) Set(value string) error {
	if !slices.Contains(o.allowed, value) {
		return errors.New("must be one of " + strings.Join(o.allowed, ", "))
	}
	o.value = value
	return nil
}

// wide says whether the table shall have all columns.
func (o *output) wide() bool { return o.value == outputWide }

// print writes an answer as JSON or YAML, or lets text write it.
func (o *output) print(w io.Writer, answer proto.Message, text func(io.Writer) error) error {
	switch o.value {
	case outputJSON, outputYAML:
		return printMessage(w, answer, o.value)
	default:
		return text(w)
	}
}

var answerJSON = protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}

// written says whether people write such messages as YAML, in which what is not
// set has no place.
func written(m proto.Message) bool {
	switch m.(type) {
	case *pb.Policy, *pb.ListPoliciesResponse, *pb.PolicyRevision, *pb.PriceModel, *pb.ListPriceModelsResponse,
		*pb.Experiment, *pb.ListExperimentsResponse:
		return true
	default:
		return false
	}
}

// printMessage writes a message as the API does.
func printMessage(w io.Writer, m proto.Message, format string) error {
	options := answerJSON
	if format == outputYAML && written(m) {
		options.EmitUnpopulated = false
	}
	answer, err := options.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	if format == outputYAML {
		return printYAML(w, answer)
	}
	return printJSON(w, answer)
}

// printJSON writes an answer indented.
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
// Going through a Go map would sort them.
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

// printJSONLine writes a value on one line.
func printJSONLine(w io.Writer, value json.RawMessage) error {
	var out bytes.Buffer
	if err := json.Compact(&out, value); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(w)
	return err
}
