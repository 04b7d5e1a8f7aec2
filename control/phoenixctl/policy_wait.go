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
	"golang.org/x/term"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

const (
	// defaultSettle is two intervals of a tag_consolidation processor.
	defaultSettle = 30 * time.Second
	// applyPatience is how long the data path may take to have a policy before a
	// measurement is given up: normally it takes less than a second.
	applyPatience = 30 * time.Second
	// matchPatience is how long a preview waits, unless --timeout is given, for
	// the first point that matches: a stream that sends once a minute has sent.
	matchPatience = 2 * time.Minute
	// defaultPoll is the pause between two questions.
	defaultPoll = time.Second
)

// waiting is how a command waits for the data path.
type waiting struct {
	wait    bool
	timeout time.Duration
	settle  time.Duration
	poll    time.Duration
	// begin is when the first of several policies that are previewed together
	// began to be waited for; zero is now.
	begin time.Time
	// since is when the first of several policies that are previewed together was
	// seen to be measured.
	since *time.Time
}

func waitFlags(cmd *cobra.Command, timeout time.Duration) *waiting {
	w := &waiting{poll: defaultPoll}
	f := cmd.Flags()
	f.BoolVar(&w.wait, "wait", true, "wait for the data path, and show what it says")
	f.DurationVar(&w.timeout, "timeout", timeout, "how long to wait")
	f.DurationVar(&w.settle, "settle", defaultSettle, "measure at least this long, unless the numbers are complete before")
	f.DurationVar(&w.poll, "poll", defaultPoll, "time between two looks")
	_ = f.MarkHidden("poll") // it fails only for a flag that does not exist
	return w
}

var (
	errNotApplied  = errors.New("no processor applies it yet")
	errNotMeasured = errors.New("no point has matched its rules yet")
)

// applied waits until every processor has the present revision.
func (w *waiting) applied(ctx context.Context, cmd *cobra.Command, c *client.Client, p *pb.Policy) (*pb.Policy, error) {
	if !w.wait || p.GetState() != statePreview && p.GetState() != stateEnforced {
		return p, nil
	}
	ref := refOf(p)
	progress := newProgress(cmd)
	defer progress.done()
	err := w.until(ctx, w.timeout, func() (bool, error) {
		progress.say("Waiting for the data path to apply %s", ref)
		latest, err := c.GetPolicy(ctx, &pb.GetPolicyRequest{Namespace: ref.namespace, Name: ref.name})
		if err != nil {
			return false, err
		}
		p = latest
		return p.GetStatus().GetApplied(), nil
	})
	if errors.Is(err, errTimeout) {
		err = unapplied(p, w.timeout)
	}
	return p, err
}

// unapplied says what stands in the way.
func unapplied(p *pb.Policy, waited time.Duration) error {
	err := fmt.Errorf("%s: %w, after %s", refOf(p), errNotApplied, shortDuration(waited))
	if warnings := p.GetStatus().GetWarnings(); len(warnings) > 0 {
		return fmt.Errorf("%w: %s", err, strings.Join(warnings, "; "))
	}
	return err
}

// previewed waits for the measurement of a policy and shows it. The error is
// errNotMeasured if no point matched.
func (w *waiting) previewed(ctx context.Context, cmd *cobra.Command, c *client.Client, p *pb.Policy) error {
	printWarnings(cmd.ErrOrStderr(), p.GetStatus().GetWarnings())
	if !w.wait {
		return nil
	}
	return w.measuredBoth(p, func() error {
		s, err := w.measured(ctx, cmd, c, p)
		if s != nil {
			if e := printSaving(cmd.OutOrStdout(), s); e != nil {
				return e
			}
		}
		return err
	}, func() error { return w.sampled(ctx, cmd, c, p) })
}

// measuredBoth waits for the rules of both kinds that a policy has. It is enough
// if one of them is measured.
func (w *waiting) measuredBoth(p *pb.Policy, rules, sampling func() error) error {
	if len(p.GetSpec().GetSampling()) == 0 {
		return rules()
	}
	if len(p.GetSpec().GetRules()) == 0 {
		return sampling()
	}
	err := rules()
	if err != nil && !errors.Is(err, errNotMeasured) {
		return err
	}
	if sampled := sampling(); sampled != nil && (err != nil || !errors.Is(sampled, errNotMeasured)) {
		return sampled
	}
	return nil
}

// unmatched makes a warning of a preview that no point has matched: a stream may
// come later.
func unmatched(cmd *cobra.Command, p *pb.Policy, err error) error {
	if !errors.Is(err, errNotMeasured) {
		return err
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "Warning: %s is previewed; %s\n", printable(refOf(p).String()), errNotMeasured)
	return err
}

// patience is how long the first point that matches is waited for.
func (w *waiting) patience(cmd *cobra.Command) time.Duration {
	if cmd.Flags().Changed("timeout") {
		return w.timeout
	}
	return min(w.timeout, matchPatience)
}

// measured waits until the saving of a policy is complete, or was measured for
// long enough. It returns the last saving also with an error, which is
// errNotMeasured if no point has matched.
func (w *waiting) measured(ctx context.Context, cmd *cobra.Command, c *client.Client, p *pb.Policy) (*pb.PolicySaving, error) {
	m := &measurement{waiting: w, c: c, p: p, patience: w.patience(cmd), progress: newProgress(cmd), begun: w.begin}
	if m.begun.IsZero() {
		m.begun = time.Now()
	}
	defer m.progress.done()
	m.progress.announce("Waiting for the measurement of %s: for %s from its first point on, and %s at most for that one; --wait=false does not wait.",
		refOf(p), shortDuration(w.settle), shortDuration(m.patience))
	err := w.until(ctx, w.timeout, func() (bool, error) { return m.look(ctx) })
	if !errors.Is(err, errTimeout) {
		return m.saving, err
	}
	if m.since.IsZero() {
		return m.saving, m.unmeasured(ctx)
	}
	return m.saving, nil // what there is, which says that it is not complete
}

// measurement waits for what one policy saves.
type measurement struct {
	*waiting

	c        *client.Client
	p        *pb.Policy
	patience time.Duration
	progress *progress
	begun    time.Time
	// since is when the first point was seen, saving what was last answered.
	since  time.Time
	saving *pb.PolicySaving
}

// look asks once. It is done when the numbers are complete or have settled.
func (m *measurement) look(ctx context.Context) (bool, error) {
	ref := refOf(m.p)
	s, err := m.c.GetSaving(ctx, &pb.GetSavingRequest{Namespace: ref.namespace, Name: ref.name})
	if err != nil {
		return false, fmt.Errorf("measure %s: %w", ref, err)
	}
	m.saving = s
	if !reported(s, m.p) {
		m.progress.say("Waiting for the first measurement of %s", ref)
		if time.Since(m.begun) > min(applyPatience, m.timeout) {
			if err := m.unmeasured(ctx); !errors.Is(err, errNotMeasured) {
				return false, err
			}
		}
		return false, m.impatient()
	}
	if s.GetStreamsIn() > 0 {
		if m.since.IsZero() {
			m.since = m.first(time.Now())
		}
		m.progress.say("Measuring %s: %s series saved so far", ref, between(s.GetSeriesSaved()))
		return s.GetComplete() || time.Since(m.since) >= m.settle, nil
	}
	m.progress.say("Waiting for a point that matches %s", ref)
	if s.GetComplete() { // a whole window went by
		return false, m.unmeasured(ctx)
	}
	return false, m.impatient()
}

// impatient is errTimeout when the first point was waited for long enough.
func (m *measurement) impatient() error {
	if time.Since(m.begun) > m.patience {
		return errTimeout
	}
	return nil
}

// unmeasured says why nothing is measured: the data path does not have the
// policy, or no point matches.
func (m *measurement) unmeasured(ctx context.Context) error {
	ref := refOf(m.p)
	latest, err := m.c.GetPolicy(ctx, &pb.GetPolicyRequest{Namespace: ref.namespace, Name: ref.name})
	if err != nil {
		return err
	}
	if !latest.GetStatus().GetApplied() {
		return unapplied(latest, time.Since(m.begun))
	}
	return fmt.Errorf("%s: %w", ref, errNotMeasured)
}

// first is when the measurement of a policy was first seen: of several, that of
// the first.
func (w *waiting) first(now time.Time) time.Time {
	if w.since == nil {
		return now
	}
	if w.since.IsZero() {
		*w.since = now
	}
	return *w.since
}

// reported says whether a saving is of the data path and of this revision.
func reported(s *pb.PolicySaving, p *pb.Policy) bool {
	return s.GetSince() != nil && s.GetRevision() == p.GetRevision()
}

// enforced waits until the data path applies a policy, and shows before and
// after.
func (w *waiting) enforced(ctx context.Context, cmd *cobra.Command, c *client.Client, p *pb.Policy) error {
	printWarnings(cmd.ErrOrStderr(), p.GetStatus().GetWarnings())
	if !w.wait {
		return nil
	}
	p, err := w.applied(ctx, cmd, c, p)
	if err != nil {
		return err
	}
	short := *w
	short.since, short.begin = nil, time.Time{} // each is enforced when its turn comes
	short.settle = min(w.settle, w.timeout/2)
	err = short.measuredBoth(p, func() error { return short.beforeAndAfter(ctx, cmd, c, p) },
		func() error { return short.sampled(ctx, cmd, c, p) })
	if errors.Is(err, errNotMeasured) {
		_, e := fmt.Fprintln(cmd.ErrOrStderr(), "Warning: the data path applies it, and no point has matched its rules yet.")
		return e
	}
	return err
}

// beforeAndAfter shows what an enforced policy saves.
func (w *waiting) beforeAndAfter(ctx context.Context, cmd *cobra.Command, c *client.Client, p *pb.Policy) error {
	s, err := w.measured(ctx, cmd, c, p)
	if s == nil || s.GetStreamsIn() == 0 {
		return err
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "Streams before: %s. After: %s (%s less).\n",
		count(s.GetStreamsIn()), count(s.GetStreamsOut()), fraction(s.GetStreamsIn()-s.GetStreamsOut(), s.GetStreamsIn()))
	if e := printSaving(cmd.OutOrStdout(), s); e != nil {
		return e
	}
	return err
}

var errTimeout = errors.New("timed out")

// until looks again and again until what it waits for is there.
func (w *waiting) until(ctx context.Context, timeout time.Duration, look func() (bool, error)) error {
	end := time.Now().Add(timeout)
	tick := time.NewTicker(max(w.poll, time.Millisecond))
	defer tick.Stop()
	for {
		done, err := look()
		switch {
		case done, err != nil:
			return err
		case !time.Now().Before(end):
			return errTimeout
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// progress is a line that is written over on a terminal; elsewhere, such as in
// the log of a pipeline, only an announcement is written.
type progress struct {
	w        io.Writer
	terminal bool
	shown    bool
}

func newProgress(cmd *cobra.Command) *progress {
	if file, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return &progress{w: file, terminal: true}
	}
	return &progress{w: cmd.ErrOrStderr()}
}

// announce says what is waited for where no progress is shown.
func (p *progress) announce(format string, args ...any) {
	if !p.terminal {
		_, _ = fmt.Fprintln(p.w, printable(fmt.Sprintf(format, args...)))
	}
}

func (p *progress) say(format string, args ...any) {
	if !p.terminal {
		return
	}
	p.shown = true
	_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s …", printable(fmt.Sprintf(format, args...)))
}

func (p *progress) done() {
	if p.shown {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}
