// Command experiments judges thousands of simulated experiments and says how often they end
// wrongly, and how soon rightly: the whole chain of control/verdict and
// control/experiment over a simulated day with a look every five minutes.
//
// Units have persistent heavy-tailed levels, autoregressive noise and a diurnal
// swing; arms have noise of their own in what is measured of them; batches fail in
// both. Truths: both arms are the same; the candidate is exactly at every bound; it
// sends and costs 5 % more; it saves 5 %; it costs 5 % more and saves what is
// demanded (mirror); it saves 5 % and the arms hardly differ otherwise (mirror). In
// the first two any decision is counted as an error. A t-test at every look is the
// negative control.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/phoenix-platform/phoenix/control/experiment"
	"github.com/phoenix-platform/phoenix/control/verdict"
)

func main() {
	runs := flag.Int("runs", 2000, "runs of each setting")
	powerRuns := flag.Int("power-runs", 500, "runs of each setting that shows only how soon a difference is found")
	workers := flag.Int("workers", 2, "how many runs are made side by side")
	out := flag.String("out", "", "write OUT.txt and OUT.svg as well")
	causes := flag.Bool("causes", false, "also print how the runs ended")
	flag.Parse()
	if err := report(plan{*runs, *powerRuns, *workers, *causes}, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type plan struct {
	runs, powerRuns, workers int
	causes                   bool
}

func report(p plan, out string) (err error) {
	var w io.Writer = os.Stdout
	if out != "" {
		file, err := os.Create(filepath.Clean(out + ".txt"))
		if err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		w = io.MultiWriter(os.Stdout, file)
	}
	began := time.Now()
	say(w, "$ go run ./benchmarks/experiments -runs %d -power-runs %d -out %s\n", p.runs, p.powerRuns, out)
	say(w, "Runs of a day, a look every %s. rollback, promotion: wrong ones, of which at most %d of %d are accepted (error %g %%,\n",
		interval, mostErrors(p.runs), p.runs, 100*verdict.Alpha)
	say(w, "one-sided binomial test at 1 %%). right: reached the right verdict; half by, 90%% by: so many of all runs had by this hour.\n\n")
	say(w, "%-40s %6s %9s %9s %9s   %7s %8s %8s\n", "setting", "runs", "rollback", "promotion", "verdict", "right", "half by", "90% by")
	var done []batch
	wrong := 0
	for _, c := range settings() {
		runs := p.runs
		if c.right != "" {
			runs = p.powerRuns
		}
		b := many(c, runs, p.workers)
		done = append(done, b)
		if b.accepted() == c.peeking {
			wrong++
		}
		row(w, b, p.causes)
	}
	say(w, "\n%d settings in %s; %d not as they ought to be\n", len(done), time.Since(began).Round(time.Second), wrong)
	if out != "" {
		if err := os.WriteFile(filepath.Clean(out+".svg"), []byte(plot(done)), 0o600); err != nil {
			return fmt.Errorf("write the plot: %w", err)
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d settings are not as they ought to be", wrong)
	}
	return nil
}

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// settings are all rows.
func settings() []setting {
	var list []setting
	for _, mode := range []experiment.Mode{experiment.ModeMirror, experiment.ModeSplit} {
		for _, truth := range []truth{same, edge, dearer, cheaper} {
			for _, units := range []int{20, 100, 500} {
				for _, levels := range []levels{lognormal, pareto} {
					list = append(list, setting{mode: mode, units: units, levels: levels, truth: truth})
				}
			}
		}
		for _, units := range []int{100, 500} {
			list = append(list, setting{mode: mode, units: units, levels: pareto, truth: same, peeking: true})
		}
	}
	for _, truth := range []truth{costly, still} {
		for _, levels := range []levels{lognormal, pareto} {
			list = append(list, setting{mode: experiment.ModeMirror, units: 100, levels: levels, truth: truth})
		}
	}
	return list
}

func row(w io.Writer, b batch, causes bool) {
	said := "accepted"
	if !b.accepted() {
		said = "REFUSED"
	}
	say(w, "%-40s %6d %9d %9d %9s", b.setting, b.runs, b.falseRollbacks(), b.falsePromotions(), said)
	if b.right != "" {
		share, half, most := b.power()
		say(w, "   %6.1f%% %8s %8s", 100*share, hours(half), hours(most))
	}
	say(w, "\n")
	if causes {
		for _, cause := range b.topCauses() {
			say(w, "    %6d %s\n", b.causes[cause], cause)
		}
	}
}

func hours(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1fh", d.Hours())
}
