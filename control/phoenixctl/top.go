package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

const (
	defaultTopLimit = 20
	maxTopLimit     = 10_000
	defaultInterval = 2 * time.Second
)

const orderPoints = "points"

// orders are what a list is sorted by, the default first.
var orders = []string{"series", "saving", "growth", orderPoints, "streams", "name"}

// topOptions are the flags of phoenixctl top and its argument.
type topOptions struct {
	metric     string
	output     *output
	watch      bool
	interval   time.Duration
	since      time.Duration
	point      string
	everywhere bool
	group      string
	filter     string
	limit      int
	sort       string
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
			"  phoenixctl top --filter 'type = \"histogram\" AND series > 1000'\n" +
			"  phoenixctl top --watch --since 5m",
		Args:              usage(cobra.MaximumNArgs(1)),
		ValidArgsFunction: firstOnly(metricNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.metric = args[0]
			}
			if err := o.validate(cmd); err != nil {
				return err
			}
			return ask(o.run)(cmd, args)
		},
	}
	o.output = outputFlag(cmd, outputs...)
	f := cmd.Flags()
	f.BoolVarP(&o.watch, "watch", "w", false, "show again at every interval until interrupted")
	f.DurationVar(&o.interval, "interval", defaultInterval, "time between two answers with --watch")
	f.DurationVar(&o.since, "since", 0, "count only series seen in this time, such as 5m (default: the whole window)")
	f.StringVar(&o.point, "point", "", "ask only this measuring point (default: ingest if there is one, else all)")
	f.BoolVar(&o.everywhere, "all-points", false, "ask all measuring points")
	f.StringVar(&o.group, "group", "", "show only budget groups that match this pattern")
	f.StringVar(&o.filter, "filter", "", "conditions on metric, group, type, unit, series, streams, saving, growing, exceeded, joined by AND")
	f.IntVarP(&o.limit, "limit", "n", defaultTopLimit, "how many metrics to show")
	f.StringVar(&o.sort, "sort", orders[0], "sort by "+strings.Join(orders, ", "))
	completeWith(cmd, "sort", orders)
	return cmd
}

// validate reports every mistake that need not be asked of the API.
func (o *topOptions) validate(cmd *cobra.Command) error {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if o.interval <= 0 {
		fault("--interval must be positive, got %s", o.interval)
	}
	if o.since < 0 {
		fault("--since must be positive, got %s", o.since)
	}
	if o.limit < 1 || o.limit > maxTopLimit {
		fault("--limit must be from 1 to %d, got %d", maxTopLimit, o.limit)
	}
	if !slices.Contains(orders, o.sort) {
		fault("--sort must be one of %s, got %q", strings.Join(orders, ", "), o.sort)
	}
	if o.point != "" && o.everywhere {
		fault("--point and --all-points exclude each other")
	}
	if cmd.Flags().Changed("interval") && !o.watch {
		fault("--interval needs --watch")
	}
	if o.oneMetric() {
		for _, name := range []string{"limit", "sort", "filter"} {
			if cmd.Flags().Changed(name) {
				fault("--%s does not apply to one metric", name)
			}
		}
	}
	if len(faults) > 0 {
		return usageError{errors.New(strings.Join(faults, "; "))}
	}
	return nil
}

// oneMetric says whether the argument names a metric instead of a pattern.
func (o *topOptions) oneMetric() bool { return o.metric != "" && !strings.ContainsAny(o.metric, "*?") }

func (o *topOptions) run(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
	show := func(ctx context.Context, w io.Writer) error { return o.show(ctx, w, c) }
	if o.watch {
		return watch(ctx, screenOf(cmd, o.output.value), o.interval, show)
	}
	return show(ctx, cmd.OutOrStdout())
}

// ingest is the point that is shown unless another one is asked for: where the
// series come from is seen before anything takes them away.
const ingest = "ingest"

// place is the measuring point to ask, empty for all.
func (o *topOptions) place(ctx context.Context, c *client.Client) (string, error) {
	if o.point != "" || o.everywhere {
		return o.point, nil
	}
	list, err := c.ListCardinality(ctx, &pb.ListCardinalityRequest{Limit: 1})
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(list.GetPoints(), func(p *pb.Point) bool { return p.GetPoint() == ingest }) {
		return ingest, nil
	}
	return "", nil
}

func (o *topOptions) show(ctx context.Context, w io.Writer, c *client.Client) error {
	since := ""
	if o.since > 0 {
		since = o.since.String()
	}
	var (
		answer proto.Message
		text   func(io.Writer) error
	)
	point, err := o.place(ctx, c)
	if err != nil {
		return err
	}
	if o.oneMetric() {
		metric, err := c.GetCardinality(ctx, &pb.GetCardinalityRequest{Metric: o.metric, Point: point, Group: o.group, Since: since})
		if err != nil {
			return err
		}
		answer, text = metric, func(w io.Writer) error { return printMetric(w, metric) }
	} else {
		list, err := c.ListCardinality(ctx, &pb.ListCardinalityRequest{
			Point:  point,
			Metric: o.metric,
			Group:  o.group,
			Filter: o.filter,
			Sort:   o.sort,
			Limit:  uint32(o.limit), //nolint:gosec // validate bounds it
			Since:  since,
		})
		if err != nil {
			return err
		}
		answer, text = list, func(w io.Writer) error { return printList(w, list, o.sort) }
	}
	return o.output.print(w, answer, text)
}
