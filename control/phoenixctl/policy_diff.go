package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func newPoliciesDiffCommand() *cobra.Command {
	var (
		files     []string
		recursive bool
	)
	cmd := &cobra.Command{
		Use:   "diff -f FILE…",
		Short: "Show what apply would change",
		Long:  "diff compares the policies of the control plane with those of files. With differences the exit code is 1.",
		Args:  usage(cobra.NoArgs),
	}
	fileFlags(cmd, &files, &recursive)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		documents, err := readPolicies(cmd, files, recursive)
		if err != nil {
			return err
		}
		return ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
			return runDiff(ctx, cmd, c, documents)
		})(cmd, args)
	}
	return cmd
}

func runDiff(ctx context.Context, cmd *cobra.Command, c *client.Client, documents []policyDocument) error {
	different := false
	for _, d := range documents {
		ref := d.ref()
		present, err := c.GetPolicy(ctx, &pb.GetPolicyRequest{Namespace: ref.namespace, Name: ref.name})
		if err != nil && !isNotFound(err) {
			return fmt.Errorf("compare %s: %w", ref, err)
		}
		if present != nil && sameSpec(d.policy.GetSpec(), present.GetSpec()) {
			continue
		}
		text, err := difference(ref, present, d)
		if err != nil {
			return fmt.Errorf("compare %s: %w", ref, err)
		}
		different = true
		if _, err := fmt.Fprint(cmd.OutOrStdout(), text); err != nil {
			return err
		}
	}
	if different {
		return errDifferent
	}
	return nil
}

// difference is a unified diff of two specifications; present may be nil.
func difference(ref policyRef, present *pb.Policy, d policyDocument) (string, error) {
	old, err := specLines(present)
	if err != nil {
		return "", err
	}
	changed, err := specLines(d.policy)
	if err != nil {
		return "", err
	}
	return difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A:        old,
		FromFile: fmt.Sprintf("%s (control plane)", ref),
		B:        changed,
		ToFile:   fmt.Sprintf("%s (%s)", ref, d.File),
		Context:  3,
	})
}

// specLines is a specification as YAML, made printable.
func specLines(p *pb.Policy) ([]string, error) {
	if p == nil {
		return nil, nil
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(p.GetSpec())
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := printYAML(&out, text); err != nil {
		return nil, err
	}
	lines := make([]string, 0, 16)
	for line := range strings.Lines(out.String()) {
		lines = append(lines, printable(strings.TrimSuffix(line, "\n"))+"\n")
	}
	return lines, nil
}
