package experiment

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A wrong decision, as a change of the text of one file.
type mutant struct {
	name, file, from, to string
}

var mutants = []mutant{
	{"leave final phases", "step.go", "if s.Phase.Final() || s.Phase == PhaseDraft {", "if s.Phase == PhaseDraft {"},
	{"roll back at the next step", "step.go", "if m.stop(o, found, ours) || m.suspend(o, fresh) {", "if m.suspend(o, fresh) || m.stop(o, found, ours) && fresh {"},
	{"believe a late breach of the guardrails not", "step.go", "	if ours {\n		found = m.assess(o, fresh)\n	}\n	data", "	if fresh {\n		found = m.assess(o, fresh)\n	}\n	data"},
	{"believe evidence by another specification", "step.go", "ours = o.SpecHash == s.SpecHash && o.Seq > 0", "ours = o.Seq > 0"},
	{"take a look twice", "step.go", "case ours && o.Seq > s.LastSeq:", "case ours && o.Seq >= s.LastSeq:"},
	{"forget the router", "step.go", `if o.Router.Breach != "" {`, `if o.Router.Breach != "" && ours {`},
	{"roll back by what is not critical", "step.go", "if f.breached() && f.rail.Critical {", "if f.breached() {"},
	{"roll back by what is in dry run", "judge.go", "return f.verdict.Verdict == VerdictBreached && !f.rail.DryRun", "return f.verdict.Verdict == VerdictBreached"},
	{"count the time of a jump", "machine.go", "m.elapsed = min(Duration(m.now.Sub(s.SteppedAt)), plus(m.spec.Interval, m.spec.Interval))", "m.elapsed = Duration(m.now.Sub(s.SteppedAt))"},
	{"count back", "machine.go", "if !s.SteppedAt.IsZero() && m.now.After(s.SteppedAt) {", "if !s.SteppedAt.IsZero() {"},
	{"go on counting after a pause", "machine.go", "s.Unbroken, s.StepRan, s.Blind,", "_, s.StepRan, s.Blind,"},
	{"go on dwelling after a pause", "machine.go", "s.Unbroken, s.StepRan, s.Blind,", "s.Unbroken, _, s.Blind,"},
	{"keep approvals over a pause", "machine.go", "	s.PromoteApproval = nil\n", ""},
	{"keep the old lease", "machine.go", "Epoch: s.Lease.Epoch + 1", "Epoch: max(s.Lease.Epoch, 1)"},
	{"take weight away last", "machine.go", "		m.actions = append(m.actions, set, Action{Kind: ActionRemoveCandidate})", "		m.actions = append(m.actions, Action{Kind: ActionRemoveCandidate}, set)"},
	{"leave weight while paused", "state.go", "	if s.Phase != PhaseRunning {\n		return\n	}\n	switch", "	if !s.Phase.Holds() {\n		return\n	}\n	switch"},
	{"promote without the minimum run", "step.go", "if s.Unbroken < s.MinimumRun {", "if s.Ran < s.MinimumRun {"},
	{"refute before the minimum run", "step.go", "if s.Unbroken >= s.MinimumRun {", "if s.Ran >= 0 {"},
	{"shrink the minimum run", "step.go", "s.MinimumRun = max(s.MinimumRun, f.LongestRange, f.LongestFor)", "s.MinimumRun = max(m.spec.MinimumRun(), f.LongestRange, f.LongestFor)"},
	{"forget the longest for", "defaults.go", "run = max(run, s.Fidelity.LongestRange, s.Fidelity.LongestFor)", "run = max(run, s.Fidelity.LongestRange)"},
	{"promote without a look at the last weight", "step.go", "s.StepRan, s.Looked, s.Held = 0, false, nil", "s.StepRan, s.Held = 0, nil"},
	{"rise without dwelling", "step.go", "|| !dwelt ||", "|| dwelt && false ||"},
	{"rise though something is breached", "reason.go", "return c == ReasonGuardrail || c == ReasonGuardrailNoData || c == ReasonNoLook", "return c == ReasonGuardrailNoData || c == ReasonNoLook"},
	{"let everything yield to a person", "reason.go", "return c == ReasonSteps ||", "return c == ReasonMinimumRun || c == ReasonSteps ||"},
	{"need no approval", "step.go", "if spec.Approval.Promote && s.PromoteApproval == nil {", "if spec.Approval.Promote && s.PromoteApproval == nil && len(list) > 0 {"},
	{"keep approvals of what is not there any more", "step.go", "			s.PromoteApproval = nil // what", "			_ = s.PromoteApproval // what"},
	{"judge too few queries", "judge.go", "float64(all.Judged()) < float64(all.Total)*least", "float64(all.Judged()) < float64(all.Total)*least/2"},
	{"forget critical alerts", "judge.go", "if i < 0 || !v.Critical[i].Verdict.judged() {", "if i >= 0 && !v.Critical[i].Verdict.judged() {"},
	{"take no data on both for judged", "observation.go", "return v == QueryIdentical ||", "return v == QueryNoData || v == QueryIdentical ||"},
	{"overlook differences that are only counted", "judge.go", "case all.Differs > 0:", "case all.Differs > 99:"},
	{"need no sample ratio", "judge.go", "o.SampleRatio == nil || o.SampleRatio.Verdict != VerdictOK", "o.SampleRatio != nil && o.SampleRatio.Verdict == VerdictBreached"},
	{"compare arms that cannot be compared", "step.go", "ratio != nil && ratio.Verdict == VerdictBreached:", "ratio != nil && ratio.Verdict == VerdictNoData:"},
	{"be silent for ever", "step.go", "silent > 0 && silent > m.state.MinimumRun", "silent > 0 && silent > m.spec.MaxDuration"},
	{"tolerate one failure more", "judge.go", "if failures <= g.FailureLimit &&", "if failures <= g.FailureLimit+1 &&"},
	{"believe the clock before the router", "step.go", "if o.Router.Epoch == l.Epoch && (", "if m.now.Before(l.RenewedAt) && o.Router.Epoch == l.Epoch && ("},
	{"believe the router of an older lease", "step.go", "if o.Router.Epoch == l.Epoch && (", "if ("},
	{"renew late", "step.go", "m.now.Sub(l.RenewedAt) >= LeaseRenewal ||", "m.now.Sub(l.RenewedAt) > LeaseRenewal ||"},
	{"renew never after the clock was set back", "step.go", ">= LeaseRenewal || m.now.Before(l.RenewedAt)", ">= LeaseRenewal"},
	{"run blind", "step.go", "case s.Blind > m.patience():", "case s.Blind > m.spec.MaxDuration:"},
	{"never end a pause", "step.go", "if m.state.Paused >= m.spec.MaxPause {", "if m.state.Ran >= m.spec.MaxPause {"},
	{"run for ever", "step.go", "m.state.Ran >= m.spec.MaxDuration {", "m.state.Unbroken >= 10*m.spec.MaxDuration {"},
	{"begin beside another", "step.go", "	case taken:\n", "	case taken && late:\n"},
	{"begin too late", "step.go", "case late:\n", "case late && taken:\n"},
	{"begin too early", "step.go", "case m.now.Before(schedule.NotBefore):", "case m.now.Before(schedule.NotBefore) && taken:"},
	{"resume beside another", "command.go", "	if other, taken := conflict(m.spec, c.Active); taken {", "	if other, taken := conflict(m.spec, nil); taken {"},
	{"run what changed", "command.go", `m.state.SpecHash != "" && m.state.SpecHash != written.Hash()`, `m.state.SpecHash == ""`},
	{"change what was given", "state.go", "	s.Tracks = maps.Clone(s.Tracks)\n", "	_ = maps.Clone(s.Tracks)\n"},
	{"promote half after a restart", "action.go", "return []Action{{Kind: ActionPromoteRules}, {Kind: ActionRemoveCandidate}, set}", "return []Action{{Kind: ActionRemoveCandidate}, set}"},
}

// TestMutantsAreKilled applies each mutant and runs the suite, which must fail.
// That takes a compilation each, so it is done at night (PHOENIX_LONG); always it
// is checked that the mutants are still about what is there.
func TestMutantsAreKilled(t *testing.T) {
	for _, m := range mutants {
		text, err := os.ReadFile(m.file)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), m.from), "%s: %q in %s", m.name, m.from, m.file)
		if long {
			t.Run(m.name, func(t *testing.T) { m.kill(t, string(text)) })
		}
	}
}

func (m *mutant) kill(t *testing.T, text string) {
	t.Helper()
	path, err := filepath.Abs(m.file)
	require.NoError(t, err)
	changed := filepath.Join(t.TempDir(), m.file)
	require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(text, m.from, m.to, 1)), 0o600))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	require.NoError(t, err)
	list := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(list, overlay, 0o600))
	run := exec.CommandContext(t.Context(), "go", "test", "-failfast", "-vet=off", "-overlay="+list, "-rapid.nofailfile", "-rapid.shrinktime=1s",
		"-run=TestScripts|TestLives|TestDefaults", ".")
	run.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PHOENIX_LONG=") })
	out, err := run.CombinedOutput()
	require.Error(t, err, "the mutant lives")
	require.Contains(t, string(out), "--- FAIL", "it must fail, not break: %s", out)
}
