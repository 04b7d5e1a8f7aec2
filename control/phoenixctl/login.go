package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/phoenix-platform/phoenix/control/access"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/phoenixctl/internal/contexts"
)

func newLoginCommand() *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use:   "login [CONTEXT]",
		Short: "Keep an API key or token for a control plane",
		Long: "login asks for an API key or token without showing it, or reads it from standard input, checks it with\n" +
			"the control plane, and keeps it with the address in the configuration file, which only you can read.\n" +
			"The context becomes the current one. Its name is by default that of the host, its namespace that of\n" +
			"the key, if it has roles in one only.",
		Example: "  phoenixctl login prod --address https://phoenix.example:8620\n" +
			"  phoenixctl login prod --address https://phoenix.example:8620 < key",
		Args:              usage(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeContext,
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of policies whose namespace is not given")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, file, err := loadContexts()
		if err != nil {
			return err
		}
		t, err := loginTarget(cmd, args, file)
		if err != nil {
			return err
		}
		if namespace != "" {
			t.Namespace = namespace
		}
		if !cmd.Flags().Changed("token-file") {
			if t.Credential, err = askCredential(cmd.InOrStdin(), cmd.ErrOrStderr(), t); err != nil {
				return err
			}
		}
		who, err := t.whoAmI(cmd.Context())
		if err != nil {
			return fmt.Errorf("log in to %s: %w", t.Address, err)
		}
		confined := namespace == "" && t.confine(who)
		file.Set(t.name, t.absolute())
		file.Current = t.name
		if err := file.Save(path); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Logged in to %s as %s.\nContext %s is kept in %s and current.\n",
			printable(t.Address), printable(identityLine(who)), printable(t.name), printable(path))
		if err == nil && confined {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Its namespace is %s, the only one of the key or token.\n", printable(t.Namespace))
		}
		return err
	}
	return cmd
}

// loginTarget is what the flags say, or the context that is there under the
// name.
func loginTarget(cmd *cobra.Command, args []string, file contexts.File) (target, error) {
	name := ""
	if len(args) == 1 {
		name = args[0]
	}
	if known, ok := file.Contexts[name]; ok && !cmd.Flags().Changed("address") && !cmd.Flags().Changed("context") {
		if err := cmd.Flags().Set("context", name); err != nil {
			return target{}, err
		}
		t, err := targetOf(cmd)
		t.Context.Namespace = known.Namespace
		return t, err
	}
	t, err := targetOf(cmd)
	if err != nil {
		return target{}, err
	}
	switch {
	case name != "" && name != t.name:
		t.name, t.Namespace = name, "" // of another context for the same address
	case t.name == "":
		t.name = hostOf(t.Address)
	}
	return t, nil
}

func hostOf(address string) string {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return defaultNamespace
}

// confine gives the context the namespace that all grants name, if there is one.
func (t *target) confine(who *pb.Identity) bool {
	only := ""
	for i, text := range who.GetGrants() {
		g, err := access.ParseGrant(text)
		if err != nil || g.Namespace == access.AllNamespaces || i > 0 && g.Namespace != only {
			return false
		}
		only = g.Namespace
	}
	if only == "" {
		return false
	}
	t.Namespace = only
	return true
}

func (t target) whoAmI(ctx context.Context) (*pb.Identity, error) {
	c, err := t.client()
	if err != nil {
		return nil, err
	}
	defer c.CloseIdleConnections()
	who, err := c.WhoAmI(ctx, &pb.WhoAmIRequest{})
	if err == nil && t.Credential != "" && (who.GetKind() == "local" || who.GetKind() == "anonymous") {
		return nil, advised{errIgnored, "It does not look at API keys or tokens there; no login is needed."}
	}
	return who, err
}

var errIgnored = errors.New("the control plane did not look at the key or token")

// askCredential reads from standard input, without showing it on a terminal.
func askCredential(in io.Reader, out io.Writer, t target) (string, error) {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return readCredential(in)
	}
	_, _ = fmt.Fprintf(out, "API key or token for %s: ", printable(t.Address))
	typed, err := term.ReadPassword(int(file.Fd()))
	_, _ = fmt.Fprintln(out)
	if err != nil {
		return "", fmt.Errorf("read the API key or token: %w", err)
	}
	return readCredential(strings.NewReader(string(typed)))
}
