package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

const defaultRecords = 50

func newAuditCommand() *cobra.Command {
	return family("audit", "Show who changed what, and prove that nobody edited that",
		newAuditListCommand(), newAuditVerifyCommand())
}

func newAuditListCommand() *cobra.Command {
	var filter, from, to string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List changes and refusals, the newest first",
		Example: "  phoenixctl audit list --from 24h\n" +
			"  phoenixctl audit list --filter 'action = \"policies.enforce\"' -o wide",
		Args: usage(cobra.NoArgs),
	}
	o := outputFlag(cmd, outputTable, outputWide, outputJSON, outputYAML)
	f := cmd.Flags()
	f.StringVar(&filter, "filter", "", "conditions on principal, action, resource and namespace, joined by AND")
	f.StringVar(&from, "from", "", "begin: a time, a day, or how long ago")
	f.StringVar(&to, "to", "", "end: a time, a day, or how long ago")
	limit := limitFlag(cmd, defaultRecords)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		begin, end, err := period(from, to)
		if err == nil {
			err = checkLimit(cmd, *limit)
		}
		if err != nil {
			return err
		}
		list, more, err := pages(*limit, func(size uint32, token string) ([]*pb.AuditRecord, string, error) {
			page, err := c.ListAudit(ctx, &pb.ListAuditRequest{Filter: filter, From: begin, To: end, PageSize: size, PageToken: token})
			return page.GetRecords(), page.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), &pb.ListAuditResponse{Records: list}, func(w io.Writer) error {
			return errors.Join(auditTable(list, o.wide()).print(w), sayMore(cmd, more))
		})
	})
	return cmd
}

func auditTable(list []*pb.AuditRecord, wide bool) *table {
	t := &table{columns: []column{{"SEQ", true}, {"TIME", false}, {"PRINCIPAL", false}, {"ACTION", false}, {"OUTCOME", false}, {"RESOURCE", false}, {"DETAIL", false}}}
	if wide {
		t.columns = append(t.columns, column{"FROM", false}, column{"REQUEST", false}, column{"BEFORE", false}, column{"AFTER", false}, column{"HASH", false})
	}
	for _, r := range list {
		cells := []string{count(r.GetSeq()), stamp(r.GetTime()), orNone(r.GetPrincipal()), r.GetAction(), r.GetOutcome(), orNone(r.GetResource()), orNone(details(r.GetDetail()))}
		if wide {
			cells = append(cells, orNone(r.GetOrigin()), orNone(r.GetRequestId()), shortHash(r.GetBefore()), shortHash(r.GetAfter()), shortHash(r.GetHash()))
		}
		t.add(cells...)
	}
	return t
}

// details writes a map in a fixed order.
func details(detail map[string]string) string {
	parts := make([]string, 0, len(detail))
	for _, key := range slices.Sorted(maps.Keys(detail)) {
		parts = append(parts, key+"="+detail[key])
	}
	return strings.Join(parts, " ")
}

var errBroken = errors.New("the audit log was edited")

func newAuditVerifyCommand() *cobra.Command {
	var first, last uint64
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Recompute the chain of hashes; an edit makes the exit code 1",
		Long: "verify recomputes the hash of every record. The hash of the last one, noted elsewhere, also shows\n" +
			"whether the log was replaced as a whole.",
		Args: usage(cobra.NoArgs),
	}
	o := outputFlag(cmd, outputs...)
	cmd.Flags().Uint64Var(&first, "first", 0, "the first record to verify (default: that of the log)")
	cmd.Flags().Uint64Var(&last, "last", 0, "the last record to verify (default: that of the log)")
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
		v, err := c.VerifyAudit(ctx, &pb.VerifyAuditRequest{First: float64(first), Last: float64(last)})
		if err != nil {
			return err
		}
		err = o.print(cmd.OutOrStdout(), v, func(w io.Writer) error {
			if !v.GetIntact() {
				return nil // the error says it
			}
			if v.GetLast() < v.GetFirst() || v.GetLast() == 0 {
				_, err := fmt.Fprintln(w, "The audit log is empty.")
				return err
			}
			_, err := fmt.Fprintf(w, "Records %s to %s are as they were written. Hash of the last one: %s\n",
				count(v.GetFirst()), count(v.GetLast()), printable(v.GetHash()))
			return err
		})
		if err == nil && !v.GetIntact() {
			err = fmt.Errorf("%w: record %s: %s", errBroken, count(v.GetBrokenAt()), v.GetReason())
		}
		return err
	})
	return cmd
}
