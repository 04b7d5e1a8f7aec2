package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api/client"
	"github.com/phoenix-platform/phoenix/control/phoenixctl/internal/contexts"
)

const (
	defaultAddress = "http://localhost:8620"
	// addressVariable is the environment variable that replaces defaultAddress.
	addressVariable = "PHOENIX_ADDRESS"
	// keyVariable is the environment variable that holds an API key or token.
	keyVariable = "PHOENIX_API_KEY"
	// maxCredentialBytes is more than any token.
	maxCredentialBytes = 64 << 10
)

func addConnectionFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.String("context", "", "the control plane to ask, by its name in the configuration file (see phoenixctl context)")
	f.String("address", "", "address of the control plane (environment: "+addressVariable+"; default: the current context, else "+defaultAddress+")")
	f.String("token-file", "", "file with an API key or token, - for standard input (environment, the key itself: "+keyVariable+")")
	f.String("ca", "", "file with the certificates, as PEM, that the server's may be signed by")
	f.String("cert", "", "file with the client's certificate, as PEM")
	f.String("key", "", "file with the key of --cert, as PEM")
	f.Duration("request-timeout", client.DefaultTimeout, "how long one answer may take")
	f.Bool("insecure-skip-tls-verify", false, "take any certificate of the server")
	f.Bool("insecure-plaintext", false, "send the key unencrypted to another machine, too")
	// It fails only for a flag that does not exist, which a test would show.
	_ = root.RegisterFlagCompletionFunc("context", completeContext)
}

var errTwoTargets = usageError{errors.New("--context and --address exclude each other")}

// target says whom to ask, and under which name the configuration file knows it.
type target struct {
	contexts.Context

	name    string
	timeout time.Duration
}

// targetOf decides whom to ask: what a flag says goes before the environment,
// and that before the configuration file. The credential of a context goes to
// the address of that context only.
func targetOf(cmd *cobra.Command) (target, error) {
	f := cmd.Flags()
	text := func(name string) string {
		v, _ := f.GetString(name) // every command has it
		return v
	}
	t, err := namedTarget(text("context"), text("address"))
	if err != nil {
		return target{}, err
	}
	for flag, field := range map[string]*string{"ca": &t.CA, "cert": &t.Cert, "key": &t.Key} {
		if f.Changed(flag) {
			*field = text(flag)
		}
	}
	if name := text("token-file"); name != "" {
		if t.Credential, err = readCredentialFile(cmd.InOrStdin(), name); err != nil {
			return target{}, err
		}
	}
	if v, _ := f.GetBool("insecure-skip-tls-verify"); v {
		t.InsecureSkipTLSVerify = true
	}
	if v, _ := f.GetBool("insecure-plaintext"); v {
		t.InsecurePlaintext = true
	}
	t.timeout, _ = f.GetDuration("request-timeout")
	if t.timeout <= 0 {
		return target{}, usageError{fmt.Errorf("--request-timeout must be positive, got %s", t.timeout)}
	}
	return t, nil
}

func namedTarget(name, address string) (target, error) {
	if name != "" && address != "" {
		return target{}, errTwoTargets
	}
	path, file, err := loadContexts()
	if name != "" {
		if err != nil {
			return target{}, err
		}
		c, known := file.Contexts[name]
		if !known {
			return target{}, unknownContext(name, path, file)
		}
		return target{Context: c, name: name}, nil
	}
	if address == "" {
		address = os.Getenv(addressVariable)
	}
	current, known := file.Contexts[file.Current]
	t := target{Context: current, name: file.Current}
	switch {
	case address != "" && (err != nil || !known || address != current.Address):
		t = target{Context: contexts.Context{Address: address}}
	case err != nil:
		return target{}, err
	case file.Current != "" && !known:
		return target{}, unknownContext(file.Current, path, file)
	case !known:
		t = target{Context: contexts.Context{Address: defaultAddress}}
	}
	t.Credential = envOr(keyVariable, t.Credential)
	return t, nil
}

func loadContexts() (path string, file contexts.File, err error) {
	if path, err = contexts.Path(); err == nil {
		file, err = contexts.Load(path)
	}
	return path, file, err
}

func unknownContext(name, path string, file contexts.File) error {
	known := "it has none"
	if names := file.Names(); len(names) > 0 {
		known = "it has " + strings.Join(names, ", ")
	}
	return usageError{fmt.Errorf("%s has no context %q; %s", path, name, known)}
}

func readCredentialFile(stdin io.Reader, name string) (string, error) {
	in := stdin
	if name != standardInput {
		f, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer f.Close()
		in = f
	}
	return readCredential(in)
}

var errNoCredential = usageError{errors.New("no API key or token was given")}

func readCredential(in io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxCredentialBytes))
	if err != nil {
		return "", fmt.Errorf("read the API key or token: %w", err)
	}
	credential := strings.TrimSpace(string(text))
	if credential == "" {
		return "", errNoCredential
	}
	return credential, nil
}

func newClient(cmd *cobra.Command) (*client.Client, error) {
	t, err := targetOf(cmd)
	if err != nil {
		return nil, err
	}
	return t.client()
}

func (t target) client() (*client.Client, error) {
	c, err := client.New(client.Options{
		Address:            t.Address,
		Credential:         t.Credential,
		CAFile:             t.CA,
		CertFile:           t.Cert,
		KeyFile:            t.Key,
		InsecureSkipVerify: t.InsecureSkipTLSVerify,
		InsecurePlaintext:  t.InsecurePlaintext,
		Timeout:            t.timeout,
		UserAgent:          "phoenixctl/" + currentVersion(),
	})
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// asked is a command that asks the control plane.
type asked func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error

// ask gives a command its client.
func ask(run asked) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		defer c.CloseIdleConnections()
		return run(cmd.Context(), cmd, c, args)
	}
}
