package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/phoenix-platform/phoenix/examples/consolidate-kubernetes/playlist"
)

func main() {
	switch err := run(os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	config, folders, log string
	starts               bool
	until                string
	atLeast              float64
	ingest, output       string
	files                []string
}

func parse(args []string, usage io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.Usage = func() {
		fmt.Fprintln(usage, "verify [flags] EXPORTED...\n\nJudges what the file exporter wrote, files in the order of their time.")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.config, "config", "examples/consolidate-kubernetes/config.yaml", "`file` with the rules")
	flags.StringVar(&o.folders, "rounds", playlist.Folders, "`folders` of the recorded rounds")
	flags.StringVar(&o.log, "log", "", "`file` that says what was played")
	flags.BoolVar(&o.starts, "starts", false, "what was played had start times: the first points count in full")
	flags.StringVar(&o.until, "until", "", "judge as if this `round` of the first pass were the last one")
	flags.Float64Var(&o.atLeast, "at-least", 0, "the saving that is wanted, in `percent`")
	flags.StringVar(&o.ingest, "ingest", "", "`file` with what Phoenix counted before, from phoenixctl top -o json")
	flags.StringVar(&o.output, "output", "", "`file` with what it counted after")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	o.files = flags.Args()
	if len(o.files) == 0 {
		return nil, errors.New("name the files that the collector exported")
	}
	return o, nil
}

var errDiffers = errors.New("what was exported is not what was played")

func run(args []string, out, usage io.Writer) error {
	o, err := parse(args, usage)
	if err != nil {
		return err
	}
	t, err := o.tally()
	if err != nil {
		return err
	}
	e, err := readExported(o.files)
	if err != nil {
		return err
	}
	v := judge(t, e)
	if err := v.compareCounts(o, t); err != nil {
		return err
	}
	if o.until == "" && 100*v.saving() < o.atLeast {
		v.fault("%.1f %% are saved, %g %% are wanted", 100*v.saving(), o.atLeast)
	}
	v.print(out)
	if len(v.faults) > 0 {
		return errDiffers
	}
	return nil
}

// tally plays what the log says.
func (o *options) tally() (*tally, error) {
	config, err := os.ReadFile(o.config) //nolint:gosec // the flag names a file
	if err != nil {
		return nil, err
	}
	rules, err := readRules(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.config, err)
	}
	log, err := os.Open(o.log) //nolint:gosec // the flag names a file
	if err != nil {
		return nil, err
	}
	defer log.Close()
	played, err := playlist.ParseLog(log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.log, err)
	}
	if o.until != "" {
		end := slices.Index(played, playlist.Played{Name: o.until, Pass: 1})
		if end < 0 {
			return nil, fmt.Errorf("until: %s was not played", o.until)
		}
		played = played[:end+1]
	}
	if len(played) == 0 {
		return nil, fmt.Errorf("%s: nothing was played", o.log)
	}
	return playAll(o, rules, played)
}

func playAll(o *options, rules []rule, played []playlist.Played) (*tally, error) {
	steps, err := playlist.Read(o.folders, 0)
	if err != nil {
		return nil, err
	}
	rounds := map[string]map[string]*sample{}
	for _, step := range steps {
		if rounds[step.Round.Name], err = readRound(step.Round); err != nil {
			return nil, err
		}
	}
	t := newTally(rules, o.starts)
	for _, p := range played {
		round := rounds[p.Name]
		if round == nil {
			return nil, fmt.Errorf("there is no round %s", p.Name)
		}
		if err := t.play(round, p.Pass); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return t, nil
}

// counts is the answer of GET /api/v1/cardinality, as far as it matters here.
type counts struct {
	Metrics   []metricCount `json:"metrics"`
	Truncated bool          `json:"truncated"`
}

type metricCount struct {
	Metric string  `json:"metric"`
	Series float64 `json:"series"`
}

// compareCounts compares with what Phoenix counted itself.
func (v *verdict) compareCounts(o *options, t *tally) error {
	for path, want := range map[string]int{o.ingest: v.before, o.output: v.after} {
		if path == "" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var list counts
		if err := json.Unmarshal(text, &list); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		counted := 0
		for _, m := range list.Metrics {
			if t.metrics[m.Metric] {
				counted += int(m.Series)
			}
		}
		if list.Truncated || counted != want {
			v.fault("%s: Phoenix counted %d series, there are %d", path, counted, want)
		}
	}
	return nil
}

func (v *verdict) print(out io.Writer) {
	difference := v.difference.FloatString(0)
	if !v.difference.IsInt() {
		f, _ := v.difference.Float64()
		difference = strconv.FormatFloat(f, 'g', 3, 64)
	}
	for _, row := range [][2]string{
		{"series before", commas(v.before)},
		{"series after", commas(v.after)},
		{"saved", fmt.Sprintf("%.1f %%", 100*v.saving())},
		{"streams consolidated", commas(v.inputs)},
		{"label sets kept of them", commas(v.kept)},
		{"numbers compared", commas(v.compared)},
		{"streams untouched", commas(v.untouched)},
		{"largest difference", difference},
		{"rounding of fractions", fmt.Sprintf("%.1g of the sum", v.rounding)},
	} {
		fmt.Fprintf(out, "%-24s %16s\n", row[0], row[1])
	}
	const enough = 20 // to see what is wrong
	for i, fault := range v.faults {
		if i == enough {
			fmt.Fprintf(out, "… and %d more\n", len(v.faults)-enough)
			break
		}
		fmt.Fprintln(out, "WRONG:", fault)
	}
}

// commas writes thousands apart.
func commas(n int) string {
	text := strconv.Itoa(n)
	var b strings.Builder
	for i, c := range text {
		if i > 0 && (len(text)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}
