package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func newSamplersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "samplers [COMPONENT]",
		Aliases: []string{"sampler"},
		Short:   "Show what adaptive_sampler processors leave out, and whether budgets are kept",
		Long: "samplers shows for each adaptive_sampler processor what came and went on, its budgets and its rules.\n" +
			"Totals over sampled series are estimates: their bounds hold in about 95 of 100 cases. -o wide also\n" +
			"shows the busiest keys of traces and logs.",
		Example: "  phoenixctl samplers\n" +
			"  phoenixctl samplers adaptive_sampler -o wide",
		Args:              usage(cobra.MaximumNArgs(1)),
		ValidArgsFunction: firstOnly(samplerNames),
	}
	o := outputFlag(cmd, outputTable, outputWide, outputJSON, outputYAML, outputName)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		q := &pb.ListSamplersRequest{}
		if len(args) == 1 {
			q.Component = args[0]
		}
		answer, err := c.ListSamplers(ctx, q)
		if err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), answer, func(w io.Writer) error {
			printWarnings(cmd.ErrOrStderr(), answer.GetWarnings())
			if len(answer.GetSamplers()) == 0 {
				_, err := fmt.Fprintln(cmd.ErrOrStderr(), "Nothing is sampled: give an adaptive_sampler processor the option `control: phoenix_control`.")
				return err
			}
			return printSamplers(w, o, answer.GetSamplers())
		})
	})
	return cmd
}

func samplerNames(ctx context.Context, _ *cobra.Command, c *client.Client, _ string) ([]string, error) {
	list, err := c.ListSamplers(ctx, &pb.ListSamplersRequest{})
	var found []string
	for _, s := range list.GetSamplers() {
		found = append(found, s.GetComponent())
	}
	return found, err
}

func printSamplers(w io.Writer, o *output, list []*pb.Sampler) error {
	for i, s := range list {
		if o.value == outputName {
			if _, err := fmt.Fprintln(w, printable(s.GetComponent())); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			_, _ = fmt.Fprintln(w)
		}
		if err := printSampler(w, s, o.wide()); err != nil {
			return err
		}
	}
	return nil
}

func printSampler(w io.Writer, s *pb.Sampler, wide bool) error {
	_, _ = fmt.Fprintf(w, "%s: counted since %s, policies of version %s\n", printable(s.GetComponent()), stamp(s.GetSince()), count(s.GetPolicyVersion()))
	printWarnings(w, s.GetProblems())
	tables := []*table{signalTable(s.GetSignals()), budgetTable(s.GetBudgets(), wide), sampledRuleTable(s.GetRules(), wide), totalTable(s.GetRules())}
	if wide {
		tables = append(tables, sampledKeyTable(s.GetKeys()))
	}
	for _, t := range tables {
		if len(t.rows) == 0 {
			continue
		}
		_, _ = fmt.Fprintln(w)
		if err := t.print(w); err != nil {
			return err
		}
	}
	return nil
}

func signalTable(list []*pb.SampledSignal) *table {
	t := &table{columns: []column{{"SIGNAL", false}, {"IN", true}, {"KEPT", true}, {"LEFT OUT", true}, {"KEYS", true}, {"EVICTED", true}}}
	for _, s := range list {
		keys, evicted := none, none
		if s.GetSignal() != "metrics" {
			keys, evicted = count(s.GetKeys()), count(s.GetKeysEvicted())
		}
		t.add(s.GetSignal(), count(s.GetIn()), count(s.GetKept()), fraction(s.GetIn()-s.GetKept(), s.GetIn()), keys, evicted)
	}
	return t
}

func budgetTable(list []*pb.SampledBudget, wide bool) *table {
	t := &table{columns: []column{
		{"BUDGET", false}, {"SIGNAL", false}, {"UNIT", false}, {"TARGET/S", true}, {"IN/S", true}, {"OUT/S", true}, {"LEVEL", true}, {"STATE", false},
	}}
	if wide {
		t.columns = append(t.columns, column{"FLOOR", true}, column{"CEILING", true}, column{"FROM", false})
	}
	for _, b := range list {
		cells := []string{
			b.GetName(), b.GetSignal(), b.GetUnit(), perSecond(b.GetTarget()), perSecond(b.GetIn()), perSecond(b.GetOut()), digits(b.GetLevel()), budgetState(b),
		}
		if wide {
			cells = append(cells, digits(b.GetFloor()), digits(b.GetCeiling()), ruleOrigin(b.GetStatic()))
		}
		t.add(cells...)
	}
	return t
}

// budgetState says how a budget is kept.
func budgetState(b *pb.SampledBudget) string {
	switch {
	case b.GetFloorReached():
		return "exceeded, floor reached"
	case b.GetOut() > b.GetTarget():
		return "exceeded by " + percent(b.GetOut()/b.GetTarget()-1)
	default:
		return "kept"
	}
}

// ruleOrigin says where a rule is from.
func ruleOrigin(static bool) string {
	if static {
		return "configuration"
	}
	return "policy"
}

func sampledRuleTable(list []*pb.SampledRule, wide bool) *table {
	t := &table{columns: []column{
		{"RULE", false}, {"KIND", false}, {"MODE", false}, {"POINTS IN", true}, {"KEPT", true}, {"LEFT OUT", true}, {"SERIES", true}, {"RATIO", true},
	}}
	if wide {
		t.columns = append(t.columns, column{"SINCE", false}, column{"FROM", false})
	}
	for _, r := range list {
		series, ratio := count(r.GetSeries()), none
		if r.GetKind() == "series" {
			series, ratio = none, digits(r.GetRatio())
		}
		cells := []string{
			r.GetName(), r.GetKind(), r.GetMode(), count(r.GetIn()), count(r.GetKept()), fraction(r.GetIn()-r.GetKept(), r.GetIn()), series, ratio,
		}
		if wide {
			cells = append(cells, stamp(r.GetSince()), ruleOrigin(r.GetStatic()))
		}
		t.add(cells...)
	}
	return t
}

func totalTable(list []*pb.SampledRule) *table {
	t := &table{columns: []column{{"RULE", false}, {"METRIC", false}, {"SERIES KEPT", true}, {"SERIES", false}, {"TOTAL", false}}}
	for _, r := range list {
		for _, one := range r.GetTotals() {
			t.add(r.GetName(), one.GetMetric(), count(one.GetKeptSeries()),
				fmt.Sprintf("%s ± %s", count(one.GetSeries()), digits(one.GetSeriesError())),
				fmt.Sprintf("%s ± %s (%s to %s)", digits(one.GetTotal()), digits(math.Sqrt(max(0, one.GetVariance()))), digits(one.GetLow()), digits(one.GetHigh())))
		}
	}
	return t
}

func sampledKeyTable(list []*pb.SampledKey) *table {
	t := &table{columns: []column{{"KEY", false}, {"SIGNAL", false}, {"SERVICE", false}, {"IN", true}, {"KEPT", true}, {"PROBABILITY", true}}}
	for _, k := range list {
		t.add(k.GetKey(), k.GetSignal(), orNone(k.GetGroup()), count(k.GetIn()), count(k.GetKept()), digits(k.GetProbability()))
	}
	return t
}

// perSecond writes a rate: a decimal while it is small.
func perSecond(v float64) string { return rate(v) }

// digits writes a number to four digits that count.
func digits(v float64) string {
	if math.Abs(v) >= 1000 && math.Abs(v) < 1e15 {
		return signed(v)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
