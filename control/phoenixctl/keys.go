package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func newKeysCommand() *cobra.Command {
	return family("keys", "Create and revoke API keys",
		newKeysCreateCommand(), newKeysListCommand(), newKeysGetCommand(), newKeysRevokeCommand())
}

func keyIDs(ctx context.Context, _ *cobra.Command, c *client.Client, begin string) ([]string, error) {
	list, err := c.ListAPIKeys(ctx, &pb.ListAPIKeysRequest{PageSize: maxCompletions})
	var found []string
	for _, k := range list.GetApiKeys() {
		if k.GetState() == "active" && strings.HasPrefix(k.GetId(), begin) {
			found = append(found, k.GetId()+"\t"+k.GetName())
		}
	}
	return found, err
}

var errSecretLost = errors.New("the key was created by an attempt whose answer was lost, and its secret with it")

var errNoGrants = usageError{errors.New("--grant must say what the key may do, such as viewer:* or editor:shop")}

func newKeysCreateCommand() *cobra.Command {
	var q pb.CreateAPIKeyRequest
	cmd := &cobra.Command{
		Use:   "create NAME --grant ROLE:NAMESPACE…",
		Short: "Create an API key and show it, once",
		Long: "create prints the key on standard output and everything else on standard error. It is stored as a\n" +
			"hash: whoever loses it needs a new one. Roles: viewer, editor, operator, admin; * is every namespace.",
		Example: "  phoenixctl keys create ci --grant editor:shop --lifetime 720h > key\n" +
			"  phoenixctl keys create board --grant 'viewer:*'",
		Args: usage(cobra.ExactArgs(1)),
	}
	f := cmd.Flags()
	f.StringArrayVar(&q.Grants, "grant", nil, "what the key may do, as role:namespace; may be repeated")
	f.StringVar(&q.Lifetime, "lifetime", "", "how long it lives, such as 720h (default: the configured lifetime)")
	f.BoolVar(&q.Unending, "unending", false, "a key that does not expire, if the configuration allows that")
	o := outputFlag(cmd, outputs...)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		if len(q.GetGrants()) == 0 {
			return errNoGrants
		}
		answer, err := c.CreateAPIKey(ctx, &pb.CreateAPIKeyRequest{
			Name: args[0], Grants: q.GetGrants(), Lifetime: q.GetLifetime(), Unending: q.GetUnending(),
		})
		if err != nil {
			return fmt.Errorf("create the key %s: %w", args[0], err)
		}
		k := answer.GetApiKey()
		if answer.GetSecret() == "" {
			return advised{
				fmt.Errorf("%w: %s", errSecretLost, k.GetId()),
				fmt.Sprintf("Revoke it with phoenixctl keys revoke %s, and create another.", k.GetId()),
			}
		}
		return o.print(cmd.OutOrStdout(), answer, func(w io.Writer) error {
			ends := "does not expire"
			if k.GetExpiresAt() != nil {
				ends = "expires " + stamp(k.GetExpiresAt()) + " UTC"
			}
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "Key %s may %s and %s. It is not shown again:\n",
				printable(k.GetId()), printable(strings.Join(k.GetGrants(), ", ")), ends)
			_, err := fmt.Fprintln(w, answer.GetSecret())
			return err
		})
	})
	return cmd
}

func newKeysListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List API keys without their secrets",
		Args:  usage(cobra.NoArgs),
	}
	o := outputFlag(cmd, outputTable, outputWide, outputJSON, outputYAML, outputName)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		list, _, err := pages(0, func(size uint32, token string) ([]*pb.APIKey, string, error) {
			page, err := c.ListAPIKeys(ctx, &pb.ListAPIKeysRequest{PageSize: size, PageToken: token})
			return page.GetApiKeys(), page.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), &pb.ListAPIKeysResponse{ApiKeys: list}, func(w io.Writer) error {
			switch {
			case o.value == outputName:
				for _, k := range list {
					_, _ = fmt.Fprintln(w, printable(k.GetId()))
				}
				return nil
			case len(list) == 0:
				_, err := fmt.Fprintln(cmd.ErrOrStderr(), "No keys.")
				return err
			}
			return keyTable(list, o.wide()).print(w)
		})
	})
	return cmd
}

func keyTable(list []*pb.APIKey, wide bool) *table {
	t := &table{columns: []column{{"ID", false}, {"NAME", false}, {"STATE", false}, {"GRANTS", false}, {"EXPIRES", false}, {"LAST USED", false}}}
	if wide {
		t.columns = append(t.columns, column{"CREATED", false}, column{"BY", false}, column{"REVOKED", false}, column{"BY", false})
	}
	for _, k := range list {
		cells := []string{k.GetId(), orNone(k.GetName()), k.GetState(), orNone(strings.Join(k.GetGrants(), ",")), stamp(k.GetExpiresAt()), stamp(k.GetLastUsedAt())}
		if wide {
			cells = append(cells, stamp(k.GetCreatedAt()), orNone(k.GetCreatedBy()), stamp(k.GetRevokedAt()), orNone(k.GetRevokedBy()))
		}
		t.add(cells...)
	}
	return t
}

func newKeysGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "get ID",
		Short:             "Show an API key without its secret",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: firstOnly(keyIDs),
	}
	o := outputFlag(cmd, outputs...)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		k, err := c.GetAPIKey(ctx, &pb.GetAPIKeyRequest{Id: args[0]})
		if err != nil {
			return fmt.Errorf("get the key %s: %w", args[0], err)
		}
		return o.print(cmd.OutOrStdout(), k, func(w io.Writer) error { return keyTable([]*pb.APIKey{k}, true).print(w) })
	})
	return cmd
}

func newKeysRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "revoke ID…",
		Short:             "End API keys at once",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: complete(keyIDs),
	}
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		var failed failures
		for _, id := range args {
			k, err := c.RevokeAPIKey(ctx, &pb.RevokeAPIKeyRequest{Id: id})
			if err != nil {
				failed = append(failed, fmt.Errorf("revoke the key %s: %w", id, err))
				continue
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "key %s (%s) revoked\n", printable(k.GetId()), printable(k.GetName()))
		}
		return failed.err()
	})
	return cmd
}
