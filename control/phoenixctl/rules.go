package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/ruleimport"
)

// standardInput is the name of a file that stands for it.
const standardInput = "-"

// maxRulesFile is more than the packages that read rules accept.
const maxRulesFile = 32 << 20

func newRulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Import and check the rules of tag_consolidation",
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRulesImportCommand(), newRulesValidateCommand())
	return cmd
}

// importOptions are the flags of phoenixctl rules import and its argument.
type importOptions struct {
	from   string
	output string
	file   string
}

func newRulesImportCommand() *cobra.Command {
	o := &importOptions{}
	cmd := &cobra.Command{
		Use:   "import --from FORMAT [FILE]",
		Short: "Turn the aggregation rules of another system into rules of tag_consolidation",
		Long: "import reads rules of another system from FILE, or standard input, and prints the rules that do\n" +
			"the same, to be copied into the configuration of a tag_consolidation processor.\n\n" +
			"Whatever has no equal, or one that differs, is said on standard error with its place. What would\n" +
			"compute something else is left out; the exit code is then 1.\n\n" +
			"Formats: victoriametrics (YAML of -streamAggr.config), adaptive-metrics (JSON rules of Grafana\n" +
			"Adaptive Metrics), metricstransform (a Collector configuration with metrics_transform, or its\n" +
			"list of transforms).",
		Example: "  phoenixctl rules import --from victoriametrics stream-aggr.yaml\n" +
			"  phoenixctl rules import --from adaptive-metrics -o json < rules.json",
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.file = fileArgument(args)
			return runRulesImport(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "format of the source: "+strings.Join(formatNames(), ", "))
	f.StringVarP(&o.output, "output", "o", outputYAML, "output format: "+strings.Join(ruleOutputs, ", "))
	completeWith(cmd, "from", formatNames())
	completeWith(cmd, "output", ruleOutputs)
	return cmd
}

func newRulesValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check rules as tag_consolidation does when it starts",
		Long: "validate reads rules from FILE, or standard input, as `rules:` of a configuration or as JSON.\n" +
			"It says all mistakes with their places, and which rules overlap. With mistakes the exit code is 1.",
		Example: "  phoenixctl rules validate rules.yaml",
		Args:    usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRulesValidate(cmd, fileArgument(args))
		},
	}
}

var ruleOutputs = []string{outputYAML, outputJSON}

func formatNames() []string {
	names := make([]string, 0, len(ruleimport.Formats))
	for _, f := range ruleimport.Formats {
		names = append(names, string(f))
	}
	return names
}

func fileArgument(args []string) string {
	if len(args) == 0 {
		return standardInput
	}
	return args[0]
}

func (o *importOptions) validate() error {
	var faults []string
	if !slices.Contains(formatNames(), o.from) {
		faults = append(faults, fmt.Sprintf("--from must be one of %s, got %q", strings.Join(formatNames(), ", "), o.from))
	}
	if !slices.Contains(ruleOutputs, o.output) {
		faults = append(faults, fmt.Sprintf("--output must be one of %s, got %q", strings.Join(ruleOutputs, ", "), o.output))
	}
	if len(faults) > 0 {
		return usageError{errors.New(strings.Join(faults, "; "))}
	}
	return nil
}

// runRulesImport prints what could be imported also if some could not: the exit
// code says so.
func runRulesImport(cmd *cobra.Command, o *importOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	source, err := readSource(cmd.InOrStdin(), o.file)
	if err != nil {
		return err
	}
	result := ruleimport.Import(ruleimport.Format(o.from), source)
	if err := printMessages(cmd.ErrOrStderr(), o.file, result.Messages); err != nil {
		return err
	}
	marshal := ruleimport.MarshalYAML
	if o.output == outputJSON {
		marshal = ruleimport.MarshalJSON
	}
	if err := printRules(cmd.OutOrStdout(), result.Rules, marshal); err != nil {
		return err
	}
	if result.Errors > 0 {
		return fmt.Errorf("%s imported from %s, %s", counted(len(result.Rules), "rule"), sourceName(o.file), counted(result.Errors, "error"))
	}
	return nil
}

func printRules(w io.Writer, rules []policy.Rule, marshal func([]policy.Rule) ([]byte, error)) error {
	text, err := marshal(rules)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func runRulesValidate(cmd *cobra.Command, file string) error {
	source, err := readSource(cmd.InOrStdin(), file)
	if err != nil {
		return err
	}
	result := ruleimport.Read(source)
	if err := printMessages(cmd.ErrOrStderr(), file, result.Messages); err != nil {
		return err
	}
	if result.Errors > 0 {
		return fmt.Errorf("%s has %s", sourceName(file), counted(result.Errors, "error"))
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, no errors\n", printable(sourceName(file)), counted(len(result.Rules), "rule"))
	return err
}

func readSource(stdin io.Reader, file string) ([]byte, error) {
	in := stdin
	if file != standardInput {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		defer f.Close()
		in = f
	}
	source, err := io.ReadAll(io.LimitReader(in, maxRulesFile))
	if err != nil {
		return nil, fmt.Errorf("read rules from %s: %w", sourceName(file), err)
	}
	return source, nil
}

func sourceName(file string) string {
	if file == standardInput {
		return "standard input"
	}
	return file
}

// printMessages writes messages as compilers do, so that editors find the place.
func printMessages(w io.Writer, file string, messages []ruleimport.Message) error {
	for _, m := range messages {
		separator := ": "
		if m.Line > 0 {
			separator = ":"
		}
		if _, err := fmt.Fprintln(w, printable(file+separator+m.String())); err != nil {
			return err
		}
	}
	return nil
}
