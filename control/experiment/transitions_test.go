package experiment

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// transition is a change of phase and the first of its reasons.
type transition struct {
	from, to Phase
	why      ReasonCode
}

func (t transition) String() string { return fmt.Sprintf("%s --> %s: %s", t.from, t.to, t.why) }

// documented reads the transitions from the diagram of the README.
func documented(t require.TestingT) map[transition]bool {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, diagram, _ := strings.Cut(string(text), "```mermaid\n")
	diagram, _, found := strings.Cut(diagram, "```")
	require.True(t, found)
	list := map[transition]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ *(\w+) --> (\w+): (.*)$`).FindAllStringSubmatch(diagram, -1) {
		for why := range strings.SplitSeq(m[3], ", ") {
			list[transition{Phase(m[1]), Phase(m[2]), ReasonCode(why)}] = true
		}
	}
	return list
}

// seen is what scripts have in common: which transitions, refusals and commands
// they showed.
type seen struct {
	transitions map[transition]bool
	refusals    map[RefusalCode]bool
	commands    map[string]bool
}

func newSeen() *seen {
	return &seen{map[transition]bool{}, map[RefusalCode]bool{}, map[string]bool{}}
}

// check demands that the scripts show all that there is, and the diagram what
// they show.
func (s *seen) check(t *testing.T) {
	t.Helper()
	assert.Equal(t, sortedTexts(documented(t)), sortedTexts(s.transitions), "the diagram of the README, and what the scripts show")
	for _, code := range []RefusalCode{
		RefusedCommand, RefusedEnded, RefusedPhase, RefusedInvalid, RefusedChanged,
		RefusedConflict, RefusedTooLate, RefusedApproval, RefusedNotReady, RefusedNothing,
	} {
		assert.True(t, s.refusals[code], "a script shows the refusal %s", code)
	}
	for _, kind := range CommandKinds {
		for _, phase := range Phases {
			assert.True(t, s.commands[fmt.Sprintf("%s %s", kind, phase)], "a script has %s while %s", kind, phase)
		}
	}
}

func sortedTexts(list map[transition]bool) []string {
	var texts []string
	for one := range list {
		texts = append(texts, one.String())
	}
	slices.Sort(texts)
	return texts
}
