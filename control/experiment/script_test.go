package experiment

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// rewrite writes what scripts expect again; read the diff before you keep it.
var rewrite = flag.Bool("rewrite", false, "write the expectations in testdata/scripts again")

// began is the time at which scripts begin.
var began = time.Date(2026, 3, 11, 9, 0, 0, 0, time.UTC)

// TestScripts plays testdata/scripts. A script is a txtar archive: a remark, the
// specification spec.json, perhaps others, and the file script. There a line that
// is not indented is a step, and the indented ones below are what comes of it.
//
//	after 30s            time passes, or is set back; scripts begin at 09:00:00
//	at 10:00:00          it is this time of the same day
//	start … by=NAME note=TEXT active=x.json
//	                     a command of this kind; active experiments are those of files
//	look WORD…           a look; see apply in script_words_test.go
//	looks 10m WORD…      a look every interval for so long, or until the phase changes
//	tick WORD…           a step without a look
//	ticks 10m WORD…      a step every 10s, as looks
//	draft                the experiment is created again
//	use x.json           the specification is this one from now on
//	restart              the state is stored, and read by a new process
//	state, blockers, report   what is known now
//
// `go test -rewrite` writes what is expected again.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	seen := newSeen()
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			p := &player{t: t, seen: seen, files: map[string]string{}}
			for _, f := range archive.Files {
				p.files[f.Name] = string(f.Data)
			}
			got := p.play(p.files["script"])
			if !*rewrite {
				assert.Equal(t, p.files["script"], got)
				return
			}
			for i := range archive.Files {
				if archive.Files[i].Name == "script" {
					archive.Files[i].Data = []byte(got)
				}
			}
			require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o600))
		})
	}
	seen.check(t)
}

// player plays one script.
type player struct {
	t     *testing.T
	seen  *seen
	files map[string]string
	spec  Spec
	state State
	now   time.Time
	seq   uint64
	out   []string
}

func (p *player) play(script string) string {
	p.use("spec.json")
	p.now = began
	p.state = NewState(p.now)
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(script, "\n"), "\n") {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		b.WriteString(line + "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		p.out = nil
		p.step(strings.Fields(line))
		for _, text := range p.out {
			b.WriteString(strings.TrimRight("  "+text, " ") + "\n")
		}
	}
	return b.String()
}

func (p *player) use(name string) {
	require.Contains(p.t, p.files, name)
	p.spec = p.read(name)
}

// read reads a specification without checking it.
func (p *player) read(name string) Spec {
	var s Spec
	require.NoError(p.t, decodeStrict([]byte(p.files[name]), &s), name)
	return s
}

func (p *player) printf(format string, args ...any) {
	p.out = append(p.out, strings.Split(fmt.Sprintf(format, args...), "\n")...)
}

func (p *player) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	require.NoError(p.t, err)
	return d
}

func (p *player) step(words []string) {
	switch verb := words[0]; verb {
	case "after":
		p.now = p.now.Add(p.duration(words[1]))
	case "at":
		at, err := time.Parse(time.TimeOnly, words[1])
		require.NoError(p.t, err)
		p.now = began.Truncate(24 * time.Hour).Add(at.Sub(at.Truncate(24 * time.Hour)))
	case "draft":
		p.state, p.seq = NewState(p.now), 0
	case "use":
		p.use(words[1])
	case "restart":
		p.restart()
	case "look":
		p.observe(p.look(words[1:]), false)
	case "tick":
		p.observe(p.words(Observation{}, words[1:]), false)
	case "looks", "ticks":
		p.repeat(verb, p.duration(words[1]), words[2:])
	case "state":
		p.printf("%s", p.summary())
	case "blockers":
		for _, r := range Blockers(p.spec, p.state) {
			p.printf("%s: %s", r.Code, r.Text)
		}
	case "report":
		r := NewReport(p.spec, p.state, p.now)
		p.printf("%s\n%s", r.Verdict, r.Queries)
	default:
		p.command(CommandKind(verb), words[1:])
	}
}

// repeat looks, or steps, until something comes of it.
func (p *player) repeat(verb string, span time.Duration, words []string) {
	every := LeaseRenewal
	if verb == "looks" {
		every = p.spec.WithDefaults().Interval.Std()
	}
	for end := p.now.Add(span); p.now.Before(end); {
		p.now = p.now.Add(every)
		o := Observation{}
		if verb == "looks" {
			o = p.look(nil)
		}
		before := len(p.out)
		events := p.observe(p.words(o, words), true)
		if len(p.out) > before {
			p.out = slices.Insert(p.out, before, "at "+p.now.Format(time.TimeOnly))
		}
		if slices.ContainsFunc(events, func(e Event) bool { return e.Kind == EventPhase || e.Kind == EventWaiting }) {
			return
		}
	}
}

func (p *player) observe(o Observation, quiet bool) []Event {
	before := p.state
	next, actions, events := Step(p.spec, before, o, p.now)
	p.took(before, next, events)
	p.state = next
	p.tell(actions, events, quiet)
	return events
}

func (p *player) command(kind CommandKind, words []string) {
	c := Command{Kind: kind}
	for i, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "by":
			c.By = value
		case "active":
			spec := p.read(value)
			c.Active = append(c.Active, Active{ID: spec.ID, Spec: spec})
		case "note":
			c.Note = strings.TrimPrefix(strings.Join(words[i:], " "), "note=")
		}
		if key == "note" {
			break
		}
	}
	before := p.state
	next, actions, events, err := Apply(p.spec, before, c, p.now)
	p.seen.commands[fmt.Sprintf("%s %s", kind, before.Phase)] = true
	if err != nil {
		var refusal *Refusal
		require.ErrorAs(p.t, err, &refusal)
		p.seen.refusals[refusal.Code] = true
		p.printf("! %s (%s)", err, refusal.Code)
		return
	}
	p.took(before, next, events)
	p.state = next
	p.tell(actions, events, false)
}

func (p *player) took(before, next State, events []Event) {
	for _, e := range events {
		if e.Kind == EventPhase {
			p.seen.transitions[transition{before.Phase, next.Phase, e.Reasons[0].Code}] = true
		}
	}
}

func (p *player) tell(actions []Action, events []Event, quiet bool) {
	for _, e := range events {
		text := string(e.Kind)
		if e.From != e.To {
			text = fmt.Sprintf("%s -> %s", e.From, e.To)
		}
		if e.By != "" {
			text += " by " + e.By
		}
		if e.Kind == EventWeight {
			text += fmt.Sprintf(" %d/%d", e.Weights.Baseline, e.Weights.Candidate)
		}
		p.printf("%s", text)
		for _, r := range e.Reasons {
			p.printf("  %s: %s", r.Code, r.Text)
		}
	}
	var list []string
	for _, a := range actions {
		list = append(list, actionText(a))
	}
	if len(list) > 0 && (!quiet || len(events) > 0) {
		p.printf("do %s", strings.Join(list, ", "))
	}
}

func actionText(a Action) string {
	text := string(a.Kind)
	switch a.Kind {
	case ActionSetWeights:
		text += fmt.Sprintf(" %d/%d", a.Weights.Baseline, a.Weights.Candidate)
		if a.Mirror {
			text += " mirror"
		}
	case ActionRenewLease:
		text += fmt.Sprintf(" %d for %s", a.Epoch, a.Lease)
	case ActionAnnounce, ActionApplyCandidate, ActionPromoteRules, ActionRemoveCandidate:
	}
	return text
}

func (p *player) restart() {
	text, err := EncodeState(p.state)
	require.NoError(p.t, err)
	p.state, err = DecodeState(text)
	require.NoError(p.t, err)
	var list []string
	for _, a := range Reconcile(p.spec, p.state) {
		list = append(list, actionText(a))
	}
	p.printf("do %s", strings.Join(list, ", "))
}

func (p *player) summary() string {
	s := p.state
	text := fmt.Sprintf("%s %d/%d", s.Phase, s.Weights.Baseline, s.Weights.Candidate)
	if s.Mirror {
		text += " mirror"
	}
	text += fmt.Sprintf(", step %d, ran %s, unbroken %s of %s, step ran %s, blind %s", s.Step, s.Ran, s.Unbroken, s.MinimumRun, s.StepRan, s.Blind)
	text += fmt.Sprintf(", lease %d, seq %d, late %d, looks %d", s.Lease.Epoch, s.LastSeq, s.Late, s.History.Total)
	tracks, err := json.Marshal(s.Tracks)
	require.NoError(p.t, err)
	return text + ", tracks " + string(tracks)
}

// look is a good look: data of both arms, and no guardrail is breached.
func (p *player) look(words []string) Observation {
	p.seq++
	o := Observation{
		Seq: p.seq, At: p.now, SpecHash: p.spec.Hash(),
		Baseline:  &Arm{Series: 1000, Points: 60_000, Bytes: 6_000_000, Latency: Duration(2 * time.Millisecond)},
		Candidate: &Arm{Series: 400, Points: 24_000, Bytes: 2_400_000, Latency: Duration(2 * time.Millisecond)},
	}
	for _, g := range p.spec.WithDefaults().Guardrails {
		if g.Measure != "" && g.Measure != MeasureFidelity {
			o.Guardrails = append(o.Guardrails, GuardrailVerdict{Name: g.Name, Verdict: VerdictOK, Units: 100})
		}
	}
	if p.spec.Mode == ModeSplit {
		o.SampleRatio = &SampleRatio{Verdict: VerdictOK, PValue: 0.4, Baseline: 990, Candidate: 10}
	}
	return p.words(o, words)
}

func (p *player) number(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(p.t, err)
	return v
}

func (p *player) numbers(text string) []uint64 {
	var list []uint64
	for part := range strings.SplitSeq(text, "/") {
		list = append(list, uint64(p.number(part)))
	}
	return slices.Concat(list, make([]uint64, 3))
}
