package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api"
)

const (
	defaultTopLimit = 20
	defaultInterval = 2 * time.Second
	// completionTimeout bounds how long a shell waits for metric names.
	completionTimeout = time.Second
)

// topOptions are the flags of phoenixctl top and its argument.
type topOptions struct {
	metric   string
	output   string
	watch    bool
	interval time.Duration
	since    time.Duration
	point    string
	group    string
	limit    int
	sort     string
}

func newTopCommand() *cobra.Command {
	o := &topOptions{}
	cmd := &cobra.Command{
		Use:   "top [METRIC]",
		Short: "Show the metrics that cost most, or what each label of one metric costs",
		Long: "Without an argument, or with a pattern in which * and ? stand for any text and one character,\n" +
			"top lists the metrics with most series and what to drop to save most of them.\n" +
			"With the name of one metric it lists what each of its labels costs.\n\n" +
			"A number with ~ in front is an estimate. Names of attributes can be copied into a configuration\n" +
			"as they are: resource.x, scope.x, or x for an attribute of the data point.",
		Example: "  phoenixctl top\n" +
			"  phoenixctl top 'http.*' --sort saving\n" +
			"  phoenixctl top http.server.request.duration\n" +
			"  phoenixctl top --watch --since 5m",
		Args:              usage(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeMetric,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.metric = args[0]
			}
			return runTop(cmd.Context(), cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", outputTable, "output format: "+strings.Join(outputs, ", "))
	f.BoolVarP(&o.watch, "watch", "w", false, "show again at every interval until interrupted")
	f.DurationVar(&o.interval, "interval", defaultInterval, "time between two answers with --watch")
	f.DurationVar(&o.since, "since", 0, "count only series seen in this time, such as 5m (default: the whole window)")
	f.StringVar(&o.point, "point", "", "ask only this measuring point")
	f.StringVar(&o.group, "group", "", "show only budget groups that match this pattern")
	f.IntVarP(&o.limit, "limit", "n", defaultTopLimit, "how many metrics to show")
	f.StringVar(&o.sort, "sort", string(api.OrderSeries), "sort by "+strings.Join(orderNames(), ", "))
	completeWith(cmd, "output", outputs)
	completeWith(cmd, "sort", orderNames())
	return cmd
}

// validate reports every mistake that need not be asked of the API.
func (o *topOptions) validate(cmd *cobra.Command) error {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if !slices.Contains(outputs, o.output) {
		fault("--output must be one of %s, got %q", strings.Join(outputs, ", "), o.output)
	}
	if o.interval <= 0 {
		fault("--interval must be positive, got %s", o.interval)
	}
	if o.since < 0 {
		fault("--since must be positive, got %s", o.since)
	}
	if o.limit < 1 || o.limit > api.MaxLimit {
		fault("--limit must be from 1 to %d, got %d", api.MaxLimit, o.limit)
	}
	if !slices.Contains(orderNames(), o.sort) {
		fault("--sort must be one of %s, got %q", strings.Join(orderNames(), ", "), o.sort)
	}
	if cmd.Flags().Changed("interval") && !o.watch {
		fault("--interval needs --watch")
	}
	if o.oneMetric() {
		for _, name := range []string{"limit", "sort"} {
			if cmd.Flags().Changed(name) {
				fault("--%s does not apply to one metric", name)
			}
		}
	}
	if len(faults) > 0 {
		return usageError{fmt.Errorf("%s", strings.Join(faults, "; "))}
	}
	return nil
}

// oneMetric says whether the argument names a metric instead of a pattern.
func (o *topOptions) oneMetric() bool { return o.metric != "" && !strings.ContainsAny(o.metric, "*?") }

func runTop(ctx context.Context, cmd *cobra.Command, o *topOptions) error {
	if err := o.validate(cmd); err != nil {
		return err
	}
	client, err := newClient(cmd)
	if err != nil {
		return err
	}
	show := func(ctx context.Context, w io.Writer) error {
		answer, err := o.ask(ctx, client)
		if err != nil {
			return err
		}
		return o.print(w, answer)
	}
	if o.watch {
		return watch(ctx, screenOf(cmd, o.output), o.interval, show)
	}
	return show(ctx, cmd.OutOrStdout())
}

func newClient(cmd *cobra.Command) (*api.Client, error) {
	address, err := cmd.Flags().GetString("address")
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(address, nil)
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

func (o *topOptions) ask(ctx context.Context, client *api.Client) (json.RawMessage, error) {
	if o.oneMetric() {
		return client.MetricCardinalityJSON(ctx, o.metric, api.MetricQuery{Point: o.point, Group: o.group, Since: o.since})
	}
	return client.CardinalityJSON(ctx, api.CardinalityQuery{
		Point:  o.point,
		Metric: o.metric,
		Group:  o.group,
		Sort:   api.Order(o.sort),
		Limit:  o.limit,
		Since:  o.since,
	})
}

func (o *topOptions) print(w io.Writer, answer json.RawMessage) error {
	switch {
	case o.output == outputJSON:
		return printJSON(w, answer)
	case o.output == outputYAML:
		return printYAML(w, answer)
	case o.oneMetric():
		var detail api.MetricCardinality
		if err := json.Unmarshal(answer, &detail); err != nil {
			return fmt.Errorf("decode the answer: %w", err)
		}
		return printMetric(w, &detail)
	default:
		var list api.CardinalityList
		if err := json.Unmarshal(answer, &list); err != nil {
			return fmt.Errorf("decode the answer: %w", err)
		}
		return printList(w, &list, api.Order(o.sort))
	}
}

func orderNames() []string {
	names := make([]string, 0, len(api.Orders))
	for _, o := range api.Orders {
		names = append(names, string(o))
	}
	return names
}

// completeMetric offers the metrics of the control plane to the shell.
func completeMetric(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	client, err := newClient(cmd)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	list, err := client.Cardinality(ctx, api.CardinalityQuery{Metric: begin + "*", Sort: api.OrderName, Limit: 100})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, m := range list.Metrics {
		names = append(names, printable(m.Metric))
	}
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

func completeWith(cmd *cobra.Command, flag string, values []string) {
	// It fails only for a flag that does not exist, which a test would show.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}
