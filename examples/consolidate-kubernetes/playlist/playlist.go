// Package playlist says which recorded rounds the example plays in which order,
// and reads what was played.
package playlist

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

// Folders are where the rounds are, seen from the repository's root: the first
// are those of the example that measures the same server.
const Folders = "examples/kube-apiserver/rounds,examples/consolidate-kubernetes/rounds"

// Again is how many rounds are played in the second pass.
const Again = 4

// Step is one round in the order of play.
type Step struct {
	// Round is what the server exposes.
	Round capture.Round
	// Pass counts from 1 how often the server has begun. Where a pass begins its
	// counters fall, as they do when a process starts again.
	Pass int
}

// Played is a step that was played.
type Played struct {
	// Name is the round's.
	Name string
	Pass int
}

// Played returns what is written down of the step.
func (s Step) Played() Played { return Played{Name: s.Round.Name, Pass: s.Pass} }

// String is what ParseLog reads.
func (p Played) String() string { return fmt.Sprintf("%s%s, pass %d", mark, p.Name, p.Pass) }

const mark = "Played "

// Read returns all rounds of the folders, which are separated by commas, in the
// order of their names, and then the first of them once more, as the second
// pass.
func Read(folders string, again int) ([]Step, error) {
	var rounds []capture.Round
	for folder := range strings.SplitSeq(folders, ",") {
		more, err := capture.Read(os.DirFS(folder))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", folder, err)
		}
		rounds = append(rounds, more...)
	}
	slices.SortFunc(rounds, func(a, b capture.Round) int { return cmp.Compare(a.Name, b.Name) })
	for i := range rounds[1:] {
		if rounds[i].Name == rounds[i+1].Name {
			return nil, fmt.Errorf("round %s is in two folders", rounds[i].Name)
		}
	}
	if again < 0 || again > len(rounds) {
		return nil, fmt.Errorf("again: must be between 0 and the %d rounds, got %d", len(rounds), again)
	}
	steps := make([]Step, 0, len(rounds)+again)
	for _, r := range rounds {
		steps = append(steps, Step{Round: r, Pass: 1})
	}
	for _, r := range rounds[:again] {
		steps = append(steps, Step{Round: r, Pass: 2})
	}
	return steps, nil
}

var errLog = errors.New("want " + mark + "NAME, pass N")

// ParseLog returns what a log says was played, other lines left out. A step
// that was played several times in a row is one.
func ParseLog(log io.Reader) ([]Played, error) {
	var all []Played
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		text, found := strings.CutPrefix(lines.Text(), mark)
		if !found {
			continue
		}
		name, number, found := strings.Cut(text, ", pass ")
		pass, err := strconv.Atoi(number)
		if !found || err != nil {
			return nil, fmt.Errorf("%w, got %q", errLog, lines.Text())
		}
		if p := (Played{Name: name, Pass: pass}); len(all) == 0 || all[len(all)-1] != p {
			all = append(all, p)
		}
	}
	return all, lines.Err()
}
