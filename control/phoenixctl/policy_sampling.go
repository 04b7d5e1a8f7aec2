package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/phoenix-platform/phoenix/control/api/client"
	pb "github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

// samplingName is what a sampling rule is called.
func samplingName(r *pb.SamplingRule, index int) string {
	return orWord(r.GetName(), fmt.Sprintf("sampling-%d", index+1))
}

// samplingTable shows sampling rules as ruleTable does others.
func samplingTable(rules []*pb.SamplingRule) *table {
	t := &table{columns: []column{{"SAMPLING", false}, {"METRIC", false}, {"WHERE", false}, {"DOES", false}}}
	for i, r := range rules {
		match := r.GetDeadBand().GetMatch()
		if r.GetSeries() != nil {
			match = r.GetSeries().GetMatch()
		}
		if b := r.GetBudget(); b != nil {
			match = &pb.Match{Metric: orWord(b.GetMatch().GetMetric(), "*"), Resource: b.GetMatch().GetResource()}
			if b.GetSignal() != "metrics" {
				match.Metric = "(" + b.GetSignal() + ")"
			}
		}
		t.add(samplingName(r, i), match.GetMetric(), orNone(where(match)), samples(r))
	}
	return t
}

// samples says what a sampling rule does.
func samples(r *pb.SamplingRule) string {
	switch {
	case r.GetDeadBand() != nil:
		b := r.GetDeadBand()
		var within []string
		if v := b.GetTolerance().GetRelative(); v > 0 {
			within = append(within, percent(v))
		}
		if v := b.GetTolerance().GetAbsolute(); v > 0 {
			within = append(within, digits(v))
		}
		return fmt.Sprintf("leave out within %s, send each %s", orWord(strings.Join(within, " or "), "nothing"), orWord(b.GetHeartbeat(), "60s"))
	case r.GetSeries() != nil:
		return fmt.Sprintf("keep %s of series, %s the weight", percent(r.GetSeries().GetRatio()), weighs(r.GetSeries()))
	}
	b := r.GetBudget()
	switch {
	case b.GetMonthlyCost() > 0:
		return fmt.Sprintf("at most %s a month", digits(b.GetMonthlyCost()))
	case b.GetBytesPerSecond() > 0:
		return fmt.Sprintf("at most %s bytes a second", digits(b.GetBytesPerSecond()))
	default:
		return fmt.Sprintf("at most %s points a second", digits(b.GetPointsPerSecond()))
	}
}

func weighs(s *pb.SeriesSample) string {
	if s.GetWeigh() == "multiply" {
		return "multiply by"
	}
	return "attach"
}

// plainSampling gives what means the same the same form, for sameSpec.
func plainSampling(rules []*pb.SamplingRule) {
	span := func(text string) string {
		if d, err := time.ParseDuration(text); err == nil {
			return d.String()
		}
		return text
	}
	for i, r := range rules {
		r.Name = samplingName(r, i)
		if b := r.GetDeadBand(); b != nil {
			b.Heartbeat, b.Range = span(b.GetHeartbeat()), span(b.GetRange())
			if b.GetTolerance() == nil {
				b.Tolerance = &pb.Tolerance{}
			}
		}
		if b := r.GetBudget(); b != nil && b.GetMatch() == nil {
			b.Match = &pb.BudgetMatch{}
		}
	}
}

// sampled waits until the processors say what the sampling rules of a policy
// leave out, for as long as others are measured, and shows it. The error is
// errNotMeasured if nothing matched.
func (w *waiting) sampled(ctx context.Context, cmd *cobra.Command, c *client.Client, p *pb.Policy) error {
	ref, begun := refOf(p), time.Now()
	progress := newProgress(cmd)
	defer progress.done()
	progress.announce("Waiting for what %s leaves out, %s at most; --wait=false does not wait.", ref, shortDuration(w.patience(cmd)))
	var since time.Time
	err := w.until(ctx, w.patience(cmd), func() (bool, error) {
		progress.say("Waiting for what %s leaves out", ref)
		latest, err := c.GetPolicy(ctx, &pb.GetPolicyRequest{Namespace: ref.namespace, Name: ref.name})
		if err != nil {
			return false, err
		}
		p = latest
		if !matched(p) || len(p.GetStatus().GetSampling()) < len(p.GetSpec().GetSampling()) {
			return false, nil
		}
		if since.IsZero() {
			since = time.Now()
		}
		return time.Since(since) >= w.settle, nil
	})
	progress.done()
	if !errors.Is(err, errTimeout) && err != nil {
		return err
	}
	if len(p.GetStatus().GetSampling()) > 0 {
		if e := printSampled(cmd.OutOrStdout(), p); e != nil {
			return e
		}
	}
	switch {
	case matched(p):
		return nil
	case !p.GetStatus().GetApplied():
		return unapplied(p, time.Since(begun))
	default:
		return fmt.Errorf("%s: %w", ref, errNotMeasured)
	}
}

// matched says whether anything came that the sampling rules are about.
func matched(p *pb.Policy) bool {
	for _, s := range p.GetStatus().GetSampling() {
		if s.GetIn() > 0 || s.GetTargetPerSecond() > 0 {
			return true
		}
	}
	return false
}

// printSampled shows what the sampling rules of a policy leave out.
func printSampled(w io.Writer, p *pb.Policy) error {
	verb := "would leave out"
	if p.GetState() == stateEnforced {
		verb = "leaves out"
	}
	_, _ = fmt.Fprintf(w, "%s %s:\n", printable(refOf(p).String()), verb)
	t := &table{columns: []column{{"SAMPLING", false}, {"KIND", false}, {"POINTS IN", true}, {"LEFT OUT", true}, {"LESS/S", true}, {"LEVEL", true}, {"SAVED A MONTH", false}}}
	for _, s := range p.GetStatus().GetSampling() {
		in, out, level, month := count(s.GetIn()), fraction(s.GetIn()-s.GetKept(), s.GetIn()), none, none
		if s.GetKind() == "budget" {
			in, out, level = none, none, digits(s.GetLevel())
			if s.GetFloorReached() {
				level += ", floor reached"
			}
		}
		if s.GetMonthSaved() != "" {
			month = s.GetCurrency() + " " + money(s.GetMonthSaved())
		}
		t.add(s.GetRule(), s.GetKind(), in, out, perSecond(s.GetLeftOutPerSecond())+" "+orWord(s.GetUnit(), "points"), level, month)
	}
	return t.print(w)
}
