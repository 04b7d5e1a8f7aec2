package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/phoenixctl/internal/manifest"
)

// experimentManifest is the help on files of experiments.
const experimentManifest = "  name: drop-pod\n" +
	"  namespace: shop\n" +
	"  spec:\n" +
	"    mode: mirror\n" +
	"    scope: {service.name: checkout}\n" +
	"    rules:\n" +
	"      - match: {metric: \"http.*\"}\n" +
	"        attributes: {drop: [pod]}\n" +
	"    success: [{measure: series, at_least: 0.2}]\n" +
	"    fidelity:\n" +
	"      rule_files: [{file: alerts.yaml}]\n" +
	"      dashboards: [{file: dashboard.json}]\n\n" +
	"Rule files and dashboards are named by file, relative to the manifest, and sent with their text; or\n" +
	"the text stands in the manifest, as name and text."

// createOptions are the flags of phoenixctl experiments create.
type createOptions struct {
	files     []string
	recursive bool
	replace   bool
	start     bool
	only      bool
}

func newExperimentsCreateCommand() *cobra.Command {
	o := &createOptions{}
	cmd := &cobra.Command{
		Use:   "create -f FILE…",
		Short: "Create experiments as files say",
		Long: "create reads experiments from YAML or JSON files, several in a file if one likes, and creates them as\n" +
			"Drafts. A file:\n\n" + experimentManifest,
		Example: "  phoenixctl experiments create -f drop-pod.yaml\n" +
			"  phoenixctl experiments create -f drop-pod.yaml --start",
		Args: usage(cobra.NoArgs),
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.replace, "replace", false, "replace the specification of a Draft that is there")
	cmd.Flags().BoolVar(&o.start, "start", false, "start what was created")
	return cmd
}

func newExperimentsValidateCommand() *cobra.Command {
	o := &createOptions{only: true}
	cmd := &cobra.Command{
		Use:   "validate -f FILE…",
		Short: "Let the control plane check files of experiments, and store nothing",
		Long: "validate reads files as create does, and has the control plane check them: all mistakes are told at\n" +
			"once, with their lines. Queries are parsed. An experiment that exists already is checked as a\n" +
			"replacement of its specification, which only a Draft takes.",
		Example: "  phoenixctl experiments validate -R -f experiments/",
		Args:    usage(cobra.NoArgs),
	}
	o.flags(cmd)
	return cmd
}

func (o *createOptions) flags(cmd *cobra.Command) {
	fileFlags(cmd, &o.files, &o.recursive)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		documents, err := readExperiments(cmd, o.files, o.recursive)
		if err != nil {
			return err
		}
		return ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
			return o.run(ctx, cmd, c, documents)
		})(cmd, args)
	}
}

// experimentDocument is an experiment and the file that it stands in.
type experimentDocument struct {
	manifest.Document

	experiment *pb.Experiment
}

// readExperiments reads and checks all files before anything is sent.
func readExperiments(cmd *cobra.Command, files []string, recursive bool) ([]experimentDocument, error) {
	found, err := readFiles(cmd, files, recursive)
	if err != nil {
		return nil, err
	}
	var (
		documents []experimentDocument
		mistakes  manifest.Mistakes
		seen      = map[experimentRef]manifest.Document{}
	)
	for _, d := range found {
		e, err := readExperiment(cmd, d)
		if wrong, ok := errors.AsType[manifest.Mistakes](err); ok {
			mistakes = append(mistakes, wrong...)
			continue
		}
		if first, twice := seen[experimentRefOf(e)]; twice {
			mistakes = append(mistakes, manifest.Mistake{
				File: d.File, Line: d.LineOf("name"), Field: "name",
				Problem: fmt.Sprintf("%s is in %s:%d already", experimentRefOf(e), first.File, first.Line),
			})
		}
		seen[experimentRefOf(e)] = d
		documents = append(documents, experimentDocument{d, e})
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return documents, nil
}

func readExperiment(cmd *cobra.Command, d manifest.Document) (*pb.Experiment, error) {
	mistake := func(field, format string, args ...any) error {
		return manifest.Mistakes{{File: d.File, Line: d.LineOf(field), Field: field, Problem: fmt.Sprintf(format, args...)}}
	}
	var embedded manifest.Mistakes
	for _, list := range []string{"spec.fidelity.rule_files", "spec.fidelity.dashboards"} {
		if wrong, ok := errors.AsType[manifest.Mistakes](d.Embed(list)); ok {
			embedded = append(embedded, wrong...)
		}
	}
	if len(embedded) > 0 {
		return nil, embedded
	}
	e := &pb.Experiment{}
	if err := d.Into(e); err != nil {
		return nil, err
	}
	if e.GetName() == "" {
		return nil, mistake("name", "must not be empty")
	}
	if given, _ := cmd.Flags().GetString("namespace"); given != "" && e.GetNamespace() != "" && e.GetNamespace() != given {
		return nil, mistake("namespace", "is %s, and --namespace says %s", e.GetNamespace(), given)
	}
	if e.GetNamespace() == "" {
		e.Namespace = namespaceOf(cmd)
	}
	// What the server sets is not sent back to it.
	return &pb.Experiment{Namespace: e.GetNamespace(), Name: e.GetName(), Spec: e.GetSpec(), Etag: e.GetEtag()}, nil
}

// run creates all experiments, also after one failed.
func (o *createOptions) run(ctx context.Context, cmd *cobra.Command, c *client.Client, documents []experimentDocument) error {
	verb := "create"
	if o.only {
		verb = "validate"
	}
	var failed failures
	for _, d := range documents {
		ref := experimentRefOf(d.experiment)
		e, word, err := o.send(ctx, c, d.experiment)
		if err != nil {
			failed = append(failed, located(tried(err, verb, ref), d.Document, "experiment.", ""))
			continue
		}
		printWarnings(cmd.ErrOrStderr(), e.GetStatus().GetWarnings())
		if o.only {
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s is valid\n", printable(ref.String()))
			continue
		}
		sayPhase(cmd.OutOrStdout(), word, e)
		if !o.start {
			continue
		}
		if e, err = c.StartExperiment(ctx, &pb.StartExperimentRequest{Namespace: ref.namespace, Name: ref.name}); err != nil {
			failed = append(failed, tried(err, "start", ref))
			continue
		}
		sayPhase(cmd.OutOrStdout(), "started", e)
	}
	return failed.err()
}

// send creates an experiment, or replaces the specification of a Draft.
func (o *createOptions) send(ctx context.Context, c *client.Client, e *pb.Experiment) (answer *pb.Experiment, word string, err error) {
	present := &pb.Experiment{}
	if o.replace || o.only {
		present, err = c.GetExperiment(ctx, &pb.GetExperimentRequest{Namespace: e.GetNamespace(), Name: e.GetName()})
		if err != nil && !isNotFound(err) {
			return nil, "", err
		}
	}
	sent := &pb.Experiment{Namespace: e.GetNamespace(), Name: e.GetName(), Spec: e.GetSpec()}
	if present.GetEtag() == "" {
		answer, err = c.CreateExperiment(ctx, &pb.CreateExperimentRequest{Experiment: sent, ValidateOnly: o.only})
		return answer, "created", hiddenExperimentNamespace(err, e.GetNamespace())
	}
	var opts []grpc.CallOption
	if e.GetEtag() != "" {
		opts = append(opts, client.IfMatch(e.GetEtag()))
	}
	answer, err = c.UpdateExperiment(ctx, &pb.UpdateExperimentRequest{Experiment: sent, ValidateOnly: o.only}, opts...)
	word = "replaced"
	if err == nil && answer.GetEtag() == present.GetEtag() {
		word = "unchanged"
	}
	return answer, word, err
}

// hiddenExperimentNamespace explains why an experiment cannot be created in a
// namespace that the API does not show.
func hiddenExperimentNamespace(err error, namespace string) error {
	if isNotFound(err) {
		return advised{err, fmt.Sprintf("You may have no role in the namespace %s: phoenixctl whoami shows those that you have.", namespace)}
	}
	return err
}

// sayPhase says what was done to an experiment and in which phase it is now.
func sayPhase(w io.Writer, done string, e *pb.Experiment) {
	_, _ = fmt.Fprintf(w, "%s %s (%s)\n", printable(experimentRefOf(e).String()), done, printable(e.GetStatus().GetPhase()))
}
