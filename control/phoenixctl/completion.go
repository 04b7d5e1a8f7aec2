package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

const (
	// completionTimeout bounds how long a shell waits for names.
	completionTimeout = time.Second
	// maxCompletions bounds how many it gets.
	maxCompletions = 100
)

// completer offers what may follow, given what was typed of it.
type completer = func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective)

// names asks the control plane for names that begin like something.
type names func(ctx context.Context, cmd *cobra.Command, c *client.Client, begin string) ([]string, error)

// complete offers names to the shell. What fails offers nothing.
func complete(ask names) completer {
	return func(cmd *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
		c, err := newClient(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		found, err := ask(ctx, cmd, c, begin)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for i, name := range found {
			name, description, described := strings.Cut(name, "\t")
			found[i] = printable(name)
			if described {
				found[i] += "\t" + printable(description)
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// firstOnly offers names for the first argument.
func firstOnly(ask names) completer {
	return func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(ask)(cmd, args, begin)
	}
}

func completeWith(cmd *cobra.Command, flag string, values []string) {
	// It fails only for a flag that does not exist, which a test would show.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// yamlFiles offers the files that hold policies or price models.
func yamlFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
}

func completeContext(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	_, file, err := loadContexts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return file.Names(), cobra.ShellCompDirectiveNoFileComp
}

func metricNames(ctx context.Context, _ *cobra.Command, c *client.Client, begin string) ([]string, error) {
	list, err := c.ListCardinality(ctx, &pb.ListCardinalityRequest{Metric: begin + "*", Sort: "name", Limit: maxCompletions})
	var found []string
	for _, m := range list.GetMetrics() {
		if len(found) == 0 || found[len(found)-1] != m.GetMetric() {
			found = append(found, m.GetMetric())
		}
	}
	return found, err
}
