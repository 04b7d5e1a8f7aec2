package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/phoenixctl/internal/manifest"
)

// applyOptions are the flags of phoenixctl policies apply.
type applyOptions struct {
	files     []string
	recursive bool
	preview   bool
	enforce   bool
	force     bool
	dryRun    bool
	waiting   *waiting
}

func newPoliciesApplyCommand() *cobra.Command {
	o := &applyOptions{}
	cmd := &cobra.Command{
		Use:   "apply -f FILE…",
		Short: "Create or change policies as files say",
		Long: "apply reads policies from YAML or JSON files, several in a file if one likes, creates those that\n" +
			"are not there and changes the others, whose state stays. A file:\n\n" +
			"  name: drop-pod\n" +
			"  namespace: default\n" +
			"  spec:\n" +
			"    rules:\n" +
			"      - match: {metric: \"apiserver_*\"}\n" +
			"        attributes: {drop: [pod]}\n\n" +
			"Rules are written as in the configuration of tag_consolidation, and below sampling as the rules of\n" +
			"adaptive_sampler. With --preview the policies are\n" +
			"measured, and what they would save is shown; with --enforce they are applied to the data. With both,\n" +
			"one after the other. For the first point that matches it waits 2 minutes, unless --timeout is given.",
		Example: "  phoenixctl policies apply -f drop-pod.yaml --preview\n" +
			"  phoenixctl policies apply -f drop-pod.yaml --enforce\n" +
			"  phoenixctl policies apply -R -f policies/ --dry-run",
		Args: usage(cobra.NoArgs),
	}
	fileFlags(cmd, &o.files, &o.recursive)
	f := cmd.Flags()
	f.BoolVar(&o.preview, "preview", false, "put the policies in preview and show what they would save")
	f.BoolVar(&o.enforce, "enforce", false, "enforce the policies, which were in preview for a window")
	f.BoolVar(&o.force, "force", false, "enforce, or change enforced rules, without a preview")
	f.BoolVar(&o.dryRun, "dry-run", false, "let the control plane check everything and store nothing")
	o.waiting = waitFlags(cmd, defaultMeasureTimeout)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		documents, err := o.read(cmd)
		if err != nil {
			return err
		}
		return ask(func(ctx context.Context, cmd *cobra.Command, c *client.Client, _ []string) error {
			return o.run(ctx, cmd, c, documents)
		})(cmd, args)
	}
	return cmd
}

// fileFlags are those of commands that read manifests.
func fileFlags(cmd *cobra.Command, files *[]string, recursive *bool) {
	cmd.Flags().StringArrayVarP(files, "filename", "f", nil, "file or directory to read, - for standard input; may be repeated")
	cmd.Flags().BoolVarP(recursive, "recursive", "R", false, "read directories below directories, too")
	// It fails only for a flag that does not exist, which a test would show.
	_ = cmd.RegisterFlagCompletionFunc("filename", yamlFiles)
}

// policyDocument is a policy and the file that it stands in.
type policyDocument struct {
	manifest.Document

	policy *pb.Policy
}

func (d policyDocument) ref() policyRef { return refOf(d.policy) }

func (o *applyOptions) read(cmd *cobra.Command) ([]policyDocument, error) {
	if o.dryRun && (o.preview || o.enforce) {
		return nil, usageError{errors.New("--dry-run stores nothing: --preview and --enforce exclude it")}
	}
	return readPolicies(cmd, o.files, o.recursive)
}

// readPolicies reads and checks all files before anything is sent.
func readPolicies(cmd *cobra.Command, files []string, recursive bool) ([]policyDocument, error) {
	found, err := readFiles(cmd, files, recursive)
	if err != nil {
		return nil, err
	}
	var (
		documents []policyDocument
		mistakes  manifest.Mistakes
		seen      = map[policyRef]manifest.Document{}
	)
	for _, d := range found {
		p, err := readPolicy(cmd, d)
		if wrong, ok := errors.AsType[manifest.Mistakes](err); ok {
			mistakes = append(mistakes, wrong...)
			continue
		}
		if first, twice := seen[refOf(p)]; twice {
			mistakes = append(mistakes, manifest.Mistake{
				File: d.File, Line: d.LineOf("name"), Field: "name",
				Problem: fmt.Sprintf("%s is in %s:%d already", refOf(p), first.File, first.Line),
			})
		}
		seen[refOf(p)] = d
		documents = append(documents, policyDocument{d, p})
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return documents, nil
}

var errNoFiles = usageError{errors.New("-f names the files to read, - is standard input")}

func readFiles(cmd *cobra.Command, files []string, recursive bool) ([]manifest.Document, error) {
	if len(files) == 0 {
		return nil, errNoFiles
	}
	return manifest.Read(manifest.Source{Names: files, Recursive: recursive, Stdin: cmd.InOrStdin()})
}

func readPolicy(cmd *cobra.Command, d manifest.Document) (*pb.Policy, error) {
	mistake := func(field, format string, args ...any) error {
		return manifest.Mistakes{{File: d.File, Line: d.LineOf(field), Field: field, Problem: fmt.Sprintf(format, args...)}}
	}
	if !d.Has("spec") && d.Has("components") {
		return nil, mistake("", "this is a price model: phoenixctl costs models set -f %s", d.File)
	}
	p := &pb.Policy{}
	if err := d.Into(p); err != nil {
		return nil, err
	}
	if p.GetName() == "" {
		return nil, mistake("name", "must not be empty")
	}
	if given, _ := cmd.Flags().GetString("namespace"); given != "" && p.GetNamespace() != "" && p.GetNamespace() != given {
		return nil, mistake("namespace", "is %s, and --namespace says %s", p.GetNamespace(), given)
	}
	if p.GetNamespace() == "" {
		p.Namespace = namespaceOf(cmd)
	}
	// What the server sets is not sent back to it.
	return &pb.Policy{Namespace: p.GetNamespace(), Name: p.GetName(), Spec: p.GetSpec(), Etag: p.GetEtag()}, nil
}

// run applies all documents, also after one failed, and then waits for them.
func (o *applyOptions) run(ctx context.Context, cmd *cobra.Command, c *client.Client, documents []policyDocument) error {
	var (
		failed failures
		done   []*pb.Policy
	)
	for _, d := range documents {
		p, err := o.apply(ctx, cmd.OutOrStdout(), c, d)
		if err != nil {
			failed = append(failed, located(fmt.Errorf("apply %s: %w", d.ref(), err), d.Document, "policy.", ""))
			continue
		}
		done = append(done, p)
	}
	o.waiting.since, o.waiting.begin = &time.Time{}, time.Now()
	for _, p := range done {
		if err := o.settle(ctx, cmd, c, p); err != nil {
			failed = append(failed, err)
		}
	}
	return failed.err()
}

// settle brings a policy to the state that is asked for, and waits.
func (o *applyOptions) settle(ctx context.Context, cmd *cobra.Command, c *client.Client, p *pb.Policy) error {
	switch {
	case o.dryRun:
		printWarnings(cmd.ErrOrStderr(), p.GetStatus().GetWarnings())
		return nil
	case o.preview && o.enforce:
		if err := o.waiting.previewed(ctx, cmd, c, p); err != nil {
			return unseen(err, refOf(p))
		}
		return o.enforceWhenPreviewed(ctx, cmd, c, refOf(p))
	case o.preview:
		return unmatched(cmd, p, o.waiting.previewed(ctx, cmd, c, p))
	case o.enforce && p.GetState() == stateEnforced:
		return o.waiting.enforced(ctx, cmd, c, p)
	case o.enforce:
		return o.waiting.enforce(ctx, cmd, c, refOf(p), o.force)
	default:
		printWarnings(cmd.ErrOrStderr(), p.GetStatus().GetWarnings())
		if cmd.Flags().Changed("wait") {
			_, err := o.waiting.applied(ctx, cmd, c, p)
			return err
		}
		return nil
	}
}

// unseen adds what to do about a policy that is not enforced because its preview
// showed nothing.
func unseen(err error, ref policyRef) error {
	if errors.Is(err, errNotMeasured) {
		return advised{err, fmt.Sprintf("It stays in preview: phoenixctl policies enforce %s enforces it all the same.", ref)}
	}
	return err
}

// enforceWhenPreviewed tries until the preview has lasted for its window.
func (o *applyOptions) enforceWhenPreviewed(ctx context.Context, cmd *cobra.Command, c *client.Client, ref policyRef) error {
	if !o.waiting.wait {
		return o.waiting.enforce(ctx, cmd, c, ref, o.force)
	}
	progress := newProgress(cmd)
	defer progress.done()
	var refused error
	announced := sync.OnceFunc(func() {
		progress.announce("Waiting for the preview of %s to have lasted for its window, at most %s.", ref, shortDuration(o.waiting.timeout))
	})
	err := o.waiting.until(ctx, o.waiting.timeout, func() (bool, error) {
		progress.say("Waiting for the preview of %s to have lasted for its window", ref)
		refused = o.waiting.enforce(ctx, cmd, c, ref, o.force)
		if isNotPreviewed(refused) {
			announced()
			return false, nil
		}
		return true, refused
	})
	if errors.Is(err, errTimeout) {
		return refused
	}
	return err
}

// apply creates or changes one policy and says which.
func (o *applyOptions) apply(ctx context.Context, w io.Writer, c *client.Client, d policyDocument) (*pb.Policy, error) {
	ref := d.ref()
	present, err := c.GetPolicy(ctx, &pb.GetPolicyRequest{Namespace: ref.namespace, Name: ref.name})
	if isNotFound(err) {
		p, err := c.CreatePolicy(ctx, &pb.CreatePolicyRequest{Policy: d.sent(), Preview: o.preview || o.enforce && !o.force, ValidateOnly: o.dryRun})
		if err != nil {
			return nil, strangeNamespace(err, ref)
		}
		return p, o.say(w, "created", p)
	}
	if err != nil {
		return nil, err
	}
	condition := client.IfMatch(orWord(d.policy.GetEtag(), present.GetEtag()))
	if o.preview && present.GetState() != statePreview {
		if present, err = c.PreviewPolicy(ctx, &pb.PreviewPolicyRequest{Namespace: ref.namespace, Name: ref.name}, condition); err != nil {
			return nil, err
		}
		condition = client.IfMatch(present.GetEtag())
	}
	p, word, err := o.update(ctx, c, d, present, condition)
	if err != nil {
		return nil, unseenRules(err, ref)
	}
	return p, o.say(w, word, p)
}

func (o *applyOptions) say(w io.Writer, done string, p *pb.Policy) error {
	if o.dryRun {
		_, err := fmt.Fprintf(w, "%s %s (dry run)\n", printable(refOf(p).String()), done)
		return err
	}
	return sayState(w, done, p)
}

// unseenRules adds what to do to the refusal of new rules for an enforced policy.
func unseenRules(err error, ref policyRef) error {
	if isNotPreviewed(err) {
		return advised{err, fmt.Sprintf("apply --preview takes %s out of force and measures the new rules; --force enforces them at once, and the audit log shows that.", ref)}
	}
	return err
}

// strangeNamespace explains why a policy cannot be created in a namespace that
// the API does not show.
func strangeNamespace(err error, ref policyRef) error {
	if isNotFound(err) {
		return advised{err, fmt.Sprintf("You may have no role in the namespace %s: phoenixctl whoami shows those that you have.", ref.namespace)}
	}
	return err
}

// update changes a policy, unless it is as the file says.
func (o *applyOptions) update(ctx context.Context, c *client.Client, d policyDocument, present *pb.Policy, condition grpc.CallOption) (p *pb.Policy, word string, err error) {
	if sameSpec(d.policy.GetSpec(), present.GetSpec()) {
		return present, "unchanged", nil
	}
	p, err = c.UpdatePolicy(ctx, &pb.UpdatePolicyRequest{Policy: d.sent(), ValidateOnly: o.dryRun, Force: o.force}, condition)
	if err == nil && p.GetRevision() == present.GetRevision() && !o.dryRun {
		return p, "unchanged", nil
	}
	return p, "updated", err
}

// sent is the policy without the etag, which goes as If-Match.
func (d policyDocument) sent() *pb.Policy {
	return &pb.Policy{Namespace: d.policy.GetNamespace(), Name: d.policy.GetName(), Spec: d.policy.GetSpec()}
}

// sameSpec compares what two specifications mean: a rule without a name is
// called by its place.
func sameSpec(a, b *pb.PolicySpec) bool { return proto.Equal(named(a), named(b)) }

func named(s *pb.PolicySpec) *pb.PolicySpec {
	s = proto.CloneOf(s)
	for i, r := range s.GetRules() {
		if r.GetName() == "" {
			r.Name = fmt.Sprintf("rule-%d", i+1)
		}
	}
	plainSampling(s.GetSampling())
	return s
}

func isNotFound(err error) bool {
	var problem *client.Problem
	return errors.As(err, &problem) && problem.Status == http.StatusNotFound
}

// located gives the mistakes that the API found the lines of the file. What is
// below inRequest there is below inFile here.
func located(err error, d manifest.Document, inRequest, inFile string) error {
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusBadRequest || len(problem.Errors) == 0 {
		return err
	}
	var mistakes manifest.Mistakes
	for _, e := range problem.Errors {
		field := inFile + strings.TrimPrefix(e.Field, inRequest)
		mistakes = append(mistakes, manifest.Mistake{File: d.File, Line: d.LineOf(field), Field: field, Problem: e.Detail})
	}
	return mistakes
}
