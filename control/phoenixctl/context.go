package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/phoenixctl/internal/contexts"
)

func newContextCommand() *cobra.Command {
	return family("context", "Keep the control planes that you work with",
		newContextListCommand(), newContextUseCommand(), newContextSetCommand(), newContextDeleteCommand())
}

func newContextListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the contexts of the configuration file; * marks the current one",
		Args:  usage(cobra.NoArgs),
	}
	o := outputFlag(cmd, outputTable, outputName)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, file, err := loadContexts()
		if err != nil {
			return err
		}
		if o.value == outputName {
			for _, name := range file.Names() {
				_, _ = fmt.Fprintln(cmd.OutOrStdout(), printable(name))
			}
			return nil
		}
		if len(file.Contexts) == 0 {
			_, err := fmt.Fprintln(cmd.ErrOrStderr(), "No contexts: phoenixctl login or phoenixctl context set makes one.")
			return err
		}
		t := &table{columns: []column{{" ", false}, {"NAME", false}, {"ADDRESS", false}, {"NAMESPACE", false}, {"CREDENTIAL", false}}}
		for _, name := range file.Names() {
			c, mark, credential := file.Contexts[name], " ", none
			if name == file.Current {
				mark = "*"
			}
			switch {
			case c.Credential != "":
				credential = "kept"
			case c.Cert != "":
				credential = "certificate"
			}
			t.add(mark, name, c.Address, orNone(c.Namespace), credential)
		}
		return t.print(cmd.OutOrStdout())
	}
	return cmd
}

func newContextUseCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "Make a context the current one",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: completeContext,
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeContexts(cmd, args[0]+" is current", func(path string, file *contexts.File) error {
				if _, known := file.Contexts[args[0]]; !known {
					return unknownContext(args[0], path, *file)
				}
				file.Current = args[0]
				return nil
			})
		},
	}
}

var errNoAddress = usageError{errors.New("--address says where the control plane is")}

func newContextSetCommand() *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Add or change a context; what no flag names stays",
		Long:  "set keeps --address, --ca, --cert, --key, --namespace and the insecure flags under a name. login also\nkeeps a key or token.",
		Example: "  phoenixctl context set prod --address https://phoenix.example:8620 --ca ca.pem\n" +
			"  phoenixctl context set prod --namespace shop",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: completeContext,
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of policies whose namespace is not given")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return changeContexts(cmd, args[0]+" set", func(_ string, file *contexts.File) error {
			t := target{Context: file.Contexts[args[0]], timeout: 1}
			f := cmd.Flags()
			if address, _ := f.GetString("address"); f.Changed("address") && address != t.Address {
				t.Address, t.Credential = address, "" // it was for the other address
			}
			for flag, field := range map[string]*string{"ca": &t.CA, "cert": &t.Cert, "key": &t.Key, "namespace": &t.Namespace} {
				if f.Changed(flag) {
					*field, _ = f.GetString(flag)
				}
			}
			for flag, field := range map[string]*bool{"insecure-skip-tls-verify": &t.InsecureSkipTLSVerify, "insecure-plaintext": &t.InsecurePlaintext} {
				if f.Changed(flag) {
					*field, _ = f.GetBool(flag)
				}
			}
			if t.Address == "" {
				return errNoAddress
			}
			if _, err := t.client(); err != nil {
				return err
			}
			file.Set(args[0], t.absolute())
			if file.Current == "" {
				file.Current = args[0]
			}
			return nil
		})
	}
	return cmd
}

func newContextDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Forget a context and its key",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: completeContext,
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeContexts(cmd, args[0]+" deleted", func(path string, file *contexts.File) error {
				if _, known := file.Contexts[args[0]]; !known {
					return unknownContext(args[0], path, *file)
				}
				delete(file.Contexts, args[0])
				if file.Current == args[0] {
					file.Current = ""
				}
				return nil
			})
		},
	}
}

func changeContexts(cmd *cobra.Command, done string, change func(path string, file *contexts.File) error) error {
	path, file, err := loadContexts()
	if err != nil {
		return err
	}
	if err := change(path, &file); err != nil {
		return err
	}
	if err := file.Save(path); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "context %s\n", printable(done))
	return err
}

// absolute is the context with files that are found from any directory.
func (t target) absolute() contexts.Context {
	c := t.Context
	for _, name := range []*string{&c.CA, &c.Cert, &c.Key} {
		if full, err := filepath.Abs(*name); err == nil && *name != "" {
			*name = full
		}
	}
	return c
}
