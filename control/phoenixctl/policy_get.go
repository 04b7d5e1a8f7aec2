package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func newPoliciesGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get NAME…",
		Short: "Show policies with their rules",
		Long: "get shows policies. What -o yaml prints can be edited and given to apply, which then refuses\n" +
			"if somebody changed the policy meanwhile.",
		Example: "  phoenixctl policies get drop-pod\n" +
			"  phoenixctl policies get shop/drop-pod -o yaml > drop-pod.yaml",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: complete(policyNames),
	}
	o := outputFlag(cmd, outputTable, outputWide, outputJSON, outputYAML, outputName)
	cmd.RunE = ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) error {
		refs, err := policyRefs(cmd, args)
		if err != nil {
			return err
		}
		var (
			list   []*pb.Policy
			failed failures
		)
		for _, ref := range refs {
			p, err := c.GetPolicy(ctx, &pb.GetPolicyRequest{Namespace: ref.namespace, Name: ref.name})
			if err != nil {
				failed = append(failed, fmt.Errorf("get %s: %w", ref, err))
				continue
			}
			list = append(list, p)
		}
		if len(list) > 0 {
			if err := printPolicies(cmd.OutOrStdout(), o, list, len(refs) > 1); err != nil {
				return err
			}
		}
		return failed.err()
	})
	return cmd
}

func printPolicies(w io.Writer, o *output, list []*pb.Policy, several bool) error {
	var answer proto.Message = list[0]
	if several {
		answer = &pb.ListPoliciesResponse{Policies: list}
	}
	return o.print(w, answer, func(w io.Writer) error {
		switch o.value {
		case outputName:
			return printNames(w, list)
		case outputWide:
			return policyTable(list, true, true).print(w)
		}
		for i, p := range list {
			if i > 0 {
				_, _ = fmt.Fprintln(w)
			}
			if err := printPolicy(w, p); err != nil {
				return err
			}
		}
		return nil
	})
}

func printPolicy(w io.Writer, p *pb.Policy) error {
	_, _ = fmt.Fprintf(w, "%s: %s\n", printable(refOf(p).String()), stateLine(p))
	if d := strings.TrimSpace(p.GetSpec().GetDescription()); d != "" {
		for line := range strings.Lines(d) {
			_, _ = fmt.Fprintf(w, "  %s\n", printable(strings.TrimRight(line, "\r\n")))
		}
	}
	_, _ = fmt.Fprintf(w, "Created %s by %s, updated %s by %s.\n", stamp(p.GetCreatedAt()), printable(orNone(p.GetCreatedBy())),
		stamp(p.GetUpdatedAt()), printable(orNone(p.GetUpdatedBy())))
	if p.GetPreviewedSince() != nil {
		_, _ = fmt.Fprintf(w, "In preview with these rules since %s.\n", stamp(p.GetPreviewedSince()))
	}
	printWarnings(w, p.GetStatus().GetWarnings())
	if len(p.GetStatus().GetSampling()) > 0 {
		_, _ = fmt.Fprintln(w)
		if err := printSampled(w, p); err != nil {
			return err
		}
	}
	return printRuleTables(w, p.GetSpec())
}

// printRuleTables shows the rules of both kinds.
func printRuleTables(w io.Writer, spec *pb.PolicySpec) error {
	for _, t := range []*table{ruleTable(spec.GetRules()), samplingTable(spec.GetSampling())} {
		if len(t.rows) == 0 {
			continue
		}
		_, _ = fmt.Fprintln(w)
		if err := t.print(w); err != nil {
			return err
		}
	}
	return nil
}

// stateLine says in which state a policy is and whether the data path knows.
func stateLine(p *pb.Policy) string {
	line := fmt.Sprintf("%s, revision %d", p.GetState(), p.GetRevision())
	if priority := p.GetSpec().GetPriority(); priority != 0 {
		line += ", priority " + signed(float64(priority))
	}
	switch appliedWord(p) {
	case "yes":
		line += ", applied"
	case "no":
		line += ", not applied yet"
	}
	return line
}

func ruleTable(rules []*pb.Rule) *table {
	t := &table{columns: []column{{"RULE", false}, {"METRIC", false}, {"WHERE", false}, {"DOES", false}}}
	for i, r := range rules {
		name := r.GetName()
		if name == "" {
			name = fmt.Sprintf("rule-%d", i+1)
		}
		t.add(name, r.GetMatch().GetMetric(), orNone(where(r.GetMatch())), orNone(does(r)))
	}
	return t
}

// where says which points of a metric a rule is about.
func where(m *pb.Match) string {
	var parts []string
	if len(m.GetTypes()) > 0 {
		parts = append(parts, strings.Join(m.GetTypes(), " or "))
	}
	condition := func(prefix string, c *pb.Condition) string {
		switch {
		case c.Present == nil:
			return prefix + c.GetAttribute() + " = " + c.GetValue()
		case c.GetPresent():
			return prefix + c.GetAttribute() + " present"
		default:
			return prefix + c.GetAttribute() + " absent"
		}
	}
	for _, c := range m.GetResource() {
		parts = append(parts, condition("resource.", c))
	}
	for _, c := range m.GetPoint() {
		parts = append(parts, condition("", c))
	}
	return strings.Join(parts, ", ")
}

// does says what a rule does, in the order in which it does it.
func does(r *pb.Rule) string {
	var parts []string
	say := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	a := r.GetAttributes()
	if len(a.GetDrop()) > 0 {
		say("drop %s", strings.Join(a.GetDrop(), ", "))
	}
	if keep := a.GetKeep(); keep != nil {
		names := make([]string, 0, len(keep.GetValues()))
		for _, v := range keep.GetValues() {
			names = append(names, v.GetStringValue())
		}
		say("keep %s", orWord(strings.Join(names, ", "), "nothing"))
	}
	for _, m := range a.GetMap() {
		say("map %s", m.GetAttribute())
	}
	for _, h := range a.GetHashBuckets() {
		say("%s in %s", h.GetAttribute(), counted(h.GetBuckets(), "bucket"))
	}
	if top := a.GetTopK(); top != nil {
		say("top %d of %s", top.GetK(), top.GetAttribute())
	}
	if r.GetLimit() != nil {
		say("at most %s series", count(r.GetLimit().GetMaxSeries()))
	}
	if r.GetBuckets() != nil {
		say("keep %s", counted(len(r.GetBuckets().GetKeepBounds()), "bound"))
	}
	if r.GetScope() == "drop" {
		say("drop the scope")
	}
	if r.GetGauge() != "" {
		say("%s of gauges", r.GetGauge())
	}
	if r.GetSummary() != "" && r.GetSummary() != "pass" {
		say("summaries without quantiles")
	}
	return strings.Join(parts, "; ")
}

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
