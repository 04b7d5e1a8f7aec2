package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func newSavingsCommand() *cobra.Command {
	var (
		all    bool
		filter string
	)
	cmd := &cobra.Command{
		Use:   "savings [NAME]",
		Short: "Show what policies save, as measured in the data path",
		Long: "Without an argument, savings lists what each policy in preview or enforced saves, in series and\n" +
			"money, with 95 % confidence. With the name of a policy it shows its rules, too.",
		Example: "  phoenixctl savings\n" +
			"  phoenixctl savings drop-pod\n" +
			"  phoenixctl savings estimate -f drop-pod.yaml",
		Args:              usage(cobra.MaximumNArgs(1)),
		ValidArgsFunction: firstOnly(policyNames),
	}
	namespaceFlag(cmd)
	o := outputFlag(cmd, outputs...)
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "list those of all namespaces that you see")
	cmd.Flags().StringVar(&filter, "filter", "", "conditions on state, name and namespace, joined by AND")
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		if len(args) == 1 {
			refs, err := policyRefs(cmd, args)
			if err != nil {
				return err
			}
			return showSaving(ctx, cmd, c, o, refs[0])
		}
		namespace := ""
		if !all {
			namespace = namespaceOf(cmd)
		}
		list, _, err := pages(0, func(size uint32, token string) ([]*pb.PolicySaving, string, error) {
			page, err := c.ListSavings(ctx, &pb.ListSavingsRequest{Namespace: namespace, Filter: filter, PageSize: size, PageToken: token})
			return page.GetSavings(), page.GetNextPageToken(), err
		})
		if err != nil {
			return hiddenNamespace(err, namespace)
		}
		return o.print(cmd.OutOrStdout(), &pb.ListSavingsResponse{Savings: list}, func(w io.Writer) error {
			if len(list) == 0 {
				_, err := fmt.Fprintln(cmd.ErrOrStderr(), "No policy is in preview or enforced.")
				return err
			}
			return savingTable(list).print(w)
		})
	})
	cmd.AddCommand(newSavingsEstimateCommand())
	return cmd
}

func showSaving(ctx context.Context, cmd *cobra.Command, c *client.Client, o *output, ref policyRef) error {
	s, err := c.GetSaving(ctx, &pb.GetSavingRequest{Namespace: ref.namespace, Name: ref.name})
	if err != nil {
		return fmt.Errorf("saving of %s: %w", ref, err)
	}
	return o.print(cmd.OutOrStdout(), s, func(w io.Writer) error { return printSaving(w, s) })
}

func savingTable(list []*pb.PolicySaving) *table {
	t := &table{columns: []column{
		{"POLICY", false},
		{"STATE", false},
		{"STREAMS IN", true},
		{"STREAMS OUT", true},
		{"SERIES SAVED", false},
		{"A MONTH", false},
		{"BASIS", false},
		{"COMPLETE", false},
	}}
	for _, s := range list {
		amount := none
		if s.GetPriced() {
			amount = s.GetCurrency() + " " + moneyBetween(s.GetMonthSaved())
		}
		complete := "no"
		if s.GetComplete() {
			complete = "yes"
		}
		t.add(s.GetNamespace()+"/"+s.GetName(), s.GetState(), count(s.GetStreamsIn()), count(s.GetStreamsOut()),
			between(s.GetSeriesSaved()), amount, orNone(s.GetBasis()), complete)
	}
	return t
}

// printSaving shows what one policy saves, or in preview would save.
func printSaving(w io.Writer, s *pb.PolicySaving) error {
	verb, out := "would save", "would come out"
	if s.GetState() == stateEnforced {
		verb, out = "saves", "come out"
	}
	_, _ = fmt.Fprintf(w, "%s %s %s series%s\n", printable(s.GetNamespace()+"/"+s.GetName()), verb,
		between(s.GetSeriesSaved()), amounts(s.GetPriced(), s.GetCurrency(), s.GetMonthSaved(), s.GetDaySaved(), s.GetPriceModel()))
	_, _ = fmt.Fprintf(w, "  %s; %s, revision %d; %s streams go in, %s %s\n", printable(basisLine(s)), printable(s.GetState()),
		s.GetRevision(), count(s.GetStreamsIn()), count(s.GetStreamsOut()), out)
	printWarnings(w, s.GetWarnings())
	if len(s.GetRules()) < 2 {
		return nil
	}
	_, _ = fmt.Fprintln(w)
	t := &table{columns: []column{{"RULE", false}, {"STREAMS IN", true}, {"STREAMS OUT", true}, {"POINTS IN", true}, {"SERIES SAVED", false}}}
	for _, r := range s.GetRules() {
		t.add(r.GetRule(), count(r.GetStreamsIn()), count(r.GetStreamsOut()), count(r.GetPointsIn()), between(r.GetSeriesSaved()))
	}
	return t.print(w)
}

// amounts says what a saving is in money.
func amounts(priced bool, currency string, month, day *pb.MoneyInterval, model string) string {
	if !priced {
		return "; no prices are set"
	}
	return printable(fmt.Sprintf(" and %s %s a month, %s a day, by the prices of %s", currency, moneyBetween(month), moneyBetween(day), model))
}

func basisLine(s *pb.PolicySaving) string {
	if s.GetSince() == nil {
		return orWord(s.GetBasis(), "estimated") + ", nothing is measured yet"
	}
	line := fmt.Sprintf("%s since %s", s.GetBasis(), stamp(s.GetSince()))
	if !s.GetComplete() {
		line += ", not a whole window yet"
	}
	return line
}

func newSavingsEstimateCommand() *cobra.Command {
	var (
		files     []string
		recursive bool
		point     string
		model     string
	)
	cmd := &cobra.Command{
		Use:   "estimate -f FILE…",
		Short: "Say what policies would save that are stored nowhere",
		Long: "estimate asks the sketches what the rules in files would save. It is quick and needs no processor;\n" +
			"a preview measures and is exact for sets of labels that the sketches do not know.",
		Args: usage(cobra.NoArgs),
	}
	fileFlags(cmd, &files, &recursive)
	cmd.Flags().StringVar(&point, "point", "", "ask this measuring point")
	cmd.Flags().StringVar(&model, "price-model", "", "price by this model (default: the active one)")
	o := outputFlag(cmd, outputs...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		documents, err := readPolicies(cmd, files, recursive)
		if err != nil {
			return err
		}
		return ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
			for _, d := range documents {
				e, err := c.EstimateSaving(ctx, &pb.EstimateSavingRequest{Rules: d.policy.GetSpec().GetRules(), Point: point, PriceModel: model})
				if err != nil {
					// The rules stand at the top of the request, and below spec in the file.
					return located(fmt.Errorf("estimate %s: %w", d.ref(), err), d.Document, "", "spec.")
				}
				if err := o.print(cmd.OutOrStdout(), e, func(w io.Writer) error { return printEstimate(w, d.ref(), e) }); err != nil {
					return err
				}
			}
			return nil
		})(cmd, args)
	}
	return cmd
}

func printEstimate(w io.Writer, ref policyRef, e *pb.SavingEstimate) error {
	_, _ = fmt.Fprintf(w, "%s would save %s series%s\n  basis: %s\n", printable(ref.String()), between(e.GetSeriesSaved()),
		amounts(e.GetPriced(), e.GetCurrency(), e.GetMonthSaved(), e.GetDaySaved(), e.GetPriceModel()), printable(orNone(e.GetBasis())))
	printWarnings(w, e.GetWarnings())
	if len(e.GetMetrics()) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(w)
	t := &table{columns: []column{{"METRIC", false}, {"SERIES", true}, {"SERIES AFTER", false}}}
	for _, m := range e.GetMetrics() {
		name := strings.TrimSpace(m.GetMetric() + " " + m.GetGroup())
		t.add(name, count(m.GetSeries()), between(m.GetSeriesAfter()))
	}
	return t.print(w)
}
