package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

const defaultShares = 20

// noPrices says how to get amounts.
const noPrices = "No prices are set: phoenixctl costs models list shows price lists, `costs models use NAME` sets one, `costs models set -f FILE` your own."

func newCostsCommand() *cobra.Command {
	var q pb.GetCostsRequest
	cmd := &cobra.Command{
		Use:   "costs",
		Short: "Show what the stream costs, now and where it leads",
		Example: "  phoenixctl costs\n" +
			"  phoenixctl costs labels\n" +
			"  phoenixctl costs history cost_month --from 168h",
		Args: knownCommand,
	}
	costFlags(cmd, &q.Point, &q.PriceModel)
	o := outputFlag(cmd, outputs...)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		report, err := c.GetCosts(ctx, &pb.GetCostsRequest{Point: q.GetPoint(), PriceModel: q.GetPriceModel()})
		if err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), report, func(w io.Writer) error { return printCosts(w, report) })
	})
	cmd.AddCommand(
		newCostSharesCommand("metrics", "Divide the bill among metrics"),
		newCostSharesCommand("groups", "Divide the bill among groups, such as services"),
		newCostSharesCommand("labels", "Show what each label costs, and what dropping it everywhere saves"),
		newCostHistoryCommand(), newPriceModelsCommand())
	return cmd
}

func costFlags(cmd *cobra.Command, point, model *string) {
	cmd.Flags().StringVar(point, "point", "", "the measuring point whose series are billed (default: the configured one)")
	cmd.Flags().StringVar(model, "price-model", "", "price by this model (default: the active one)")
	// It fails only for a flag that does not exist, which a test would show.
	_ = cmd.RegisterFlagCompletionFunc("price-model", complete(modelNames))
}

func printCosts(w io.Writer, r *pb.CostReport) error {
	_, _ = fmt.Fprintf(w, "%s: %s series, %s samples a second, %s", printable(r.GetPoint()), count(r.GetSeries()),
		rate(r.GetSamplesPerSecond()), counted(r.GetHosts(), "host"))
	if r.GetAt() != nil {
		_, _ = fmt.Fprintf(w, "; %s UTC", stamp(r.GetAt()))
	}
	_, _ = fmt.Fprintln(w)
	printWarnings(w, r.GetWarnings())
	if !r.GetPriced() {
		_, err := fmt.Fprintln(w, noPrices)
		return err
	}
	_, _ = fmt.Fprintf(w, "By the prices of %s: %s %s an hour, %s a day, %s a month\n\n", printable(r.GetPriceModel()), printable(r.GetCurrency()),
		money(r.GetCost().GetHour()), money(r.GetCost().GetDay()), money(r.GetCost().GetMonth()))
	t := &table{columns: []column{{"COMPONENT", false}, {"QUANTITY", true}, {"BILLED", true}, {"A MONTH", true}}}
	for _, l := range r.GetLines() {
		t.add(l.GetComponent(), count(l.GetQuantity()), count(l.GetBilled()), money(l.GetMonth()))
	}
	if err := t.print(w); err != nil || r.GetForecast() == nil {
		return err
	}
	f := r.GetForecast()
	_, err := fmt.Fprintf(w, "\nIf it goes on: %s series on %s, %s %s a month\n", between(f.GetSeries()),
		f.GetAt().AsTime().UTC().Format(time.DateOnly), printable(r.GetCurrency()), moneyBetween(f.GetMonth()))
	return err
}

func newCostSharesCommand(dimension, short string) *cobra.Command {
	var q pb.ListCostsRequest
	cmd := &cobra.Command{
		Use:   dimension + " [PATTERN]",
		Short: short,
		Args:  usage(cobra.MaximumNArgs(1)),
	}
	costFlags(cmd, &q.Point, &q.PriceModel)
	o := outputFlag(cmd, outputs...)
	limit := limitFlag(cmd, defaultShares)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		if err := checkLimit(cmd, *limit); err != nil {
			return err
		}
		pattern := ""
		if len(args) == 1 {
			pattern = args[0]
		}
		var first *pb.ListCostsResponse
		shares, more, err := pages(*limit, func(size uint32, token string) ([]*pb.CostShare, string, error) {
			page, err := c.ListCosts(ctx, &pb.ListCostsRequest{
				Dimension: dimension, Point: q.GetPoint(), PriceModel: q.GetPriceModel(), Name: pattern, PageSize: size, PageToken: token,
			})
			if first == nil {
				first = page
			}
			return page.GetShares(), page.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		first.Shares, first.NextPageToken = shares, ""
		return o.print(cmd.OutOrStdout(), first, func(w io.Writer) error {
			return errors.Join(printShares(w, first, dimension), sayMore(cmd, more))
		})
	})
	return cmd
}

func printShares(w io.Writer, r *pb.ListCostsResponse, dimension string) error {
	if !r.GetPriced() {
		_, _ = fmt.Fprintln(w, noPrices)
	} else {
		_, _ = fmt.Fprintf(w, "%s a month by the prices of %s, at %s\n", printable(r.GetCurrency()), printable(r.GetPriceModel()), printable(r.GetPoint()))
	}
	_, _ = fmt.Fprintln(w)
	if dimension == "labels" {
		return labelCosts(r).print(w)
	}
	t := &table{columns: []column{{"NAME", false}, {"SERIES", true}, {"SAMPLES/S", true}, {"SHARE", true}, {"WITHOUT IT", true}}}
	for _, s := range r.GetShares() {
		t.add(shareName(s), count(s.GetSeries()), rate(s.GetSamplesPerSecond()), amountIf(r, s.GetMonth()), saved(r, s.GetMarginalMonth()))
	}
	return t.print(w)
}

func labelCosts(r *pb.ListCostsResponse) *table {
	t := &table{columns: []column{{"LABEL", false}, {"METRICS", true}, {"SERIES SAVED", false}, {"SAVED A MONTH", false}}}
	for _, s := range r.GetShares() {
		amount := none
		if r.GetPriced() {
			amount = moneyBetween(s.GetMonthSaved())
		}
		t.add(shareName(s), count(s.GetMetrics()), between(s.GetSeriesSaved()), amount)
	}
	return t
}

func shareName(s *pb.CostShare) string {
	switch {
	case s.GetOverflow():
		return "(all others)"
	case s.GetGroup() != "" && s.GetGroup() != s.GetName():
		return s.GetName() + " of " + s.GetGroup()
	default:
		return orNone(s.GetName())
	}
}

func amountIf(r *pb.ListCostsResponse, amount string) string {
	if !r.GetPriced() {
		return none
	}
	return money(amount)
}

// saved writes what the bill loses with its sign.
func saved(r *pb.ListCostsResponse, amount string) string {
	text := amountIf(r, amount)
	if text == none || text == "0.00" {
		return text
	}
	return "-" + text
}

// historyKinds are what the store keeps.
var historyKinds = []string{"series", "samples", "cost_month", "policy_saving_series", "policy_saving_month"}

func newCostHistoryCommand() *cobra.Command {
	var key, from, to, step string
	cmd := &cobra.Command{
		Use:   "history [KIND]",
		Short: "Show how series, costs or savings went",
		Long: "history shows numbers of every 5 minutes for 7 days and every hour for 90 days. Kinds: series (the\n" +
			"default), samples, cost_month, policy_saving_series, policy_saving_month.",
		Example: "  phoenixctl costs history\n" +
			"  phoenixctl costs history series --key http.server.request.duration --from 168h\n" +
			"  phoenixctl costs history policy_saving_month --key default/drop-pod --from 2026-03-01",
		Args:      usage(cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs)),
		ValidArgs: historyKinds,
	}
	o := outputFlag(cmd, outputs...)
	f := cmd.Flags()
	f.StringVar(&key, "key", "", "a metric, or a policy as namespace/name (default: the total)")
	f.StringVar(&from, "from", "", "begin: a time, a day, or how long ago (default: 24h)")
	f.StringVar(&to, "to", "", "end: a time, a day, or how long ago (default: now)")
	f.StringVar(&step, "step", "", "5m or 1h (default: 5m, or 1h for more than two days)")
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		begin, end, err := period(from, to)
		if err != nil {
			return err
		}
		kind := historyKinds[0]
		if len(args) == 1 {
			kind = args[0]
		}
		h, err := c.GetHistory(ctx, &pb.GetHistoryRequest{Kind: kind, Key: key, From: begin, To: end, Step: step})
		if err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), h, func(w io.Writer) error { return printHistory(w, h) })
	})
	return cmd
}

// period reads --from and --to.
func period(from, to string) (begin, end *timestamppb.Timestamp, err error) {
	now := time.Now()
	begin, err = instant(from, now)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--from %w", err)}
	}
	end, err = instant(to, now)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--to %w", err)}
	}
	return begin, end, nil
}

func printHistory(w io.Writer, h *pb.History) error {
	if len(h.GetPoints()) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is recorded for that time.")
		return err
	}
	t := &table{columns: []column{{"TIME", false}, {"MEAN", true}, {"LOW", true}, {"HIGH", true}}}
	for _, p := range h.GetPoints() {
		t.add(stamp(p.GetTime()), decimal(p.GetMean()), decimal(p.GetLow()), decimal(p.GetHigh()))
	}
	return t.print(w)
}

// decimal writes counts as such, and amounts with two decimals.
func decimal(n float64) string {
	if n == float64(int64(n)) {
		return signed(n)
	}
	return fmt.Sprintf("%.2f", n)
}
