package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// stateVersion is that of the form in which states are stored.
const stateVersion = 1

type storedState struct {
	Version int   `json:"version"`
	State   State `json:"state"`
}

var errState = errors.New("it is no state that an experiment can be in")

// EncodeState returns the form in which a state is stored.
func EncodeState(s State) ([]byte, error) {
	text, err := json.Marshal(storedState{Version: stateVersion, State: s})
	if err != nil {
		return nil, fmt.Errorf("encode the state of an experiment: %w", err)
	}
	return text, nil
}

// DecodeState reads what EncodeState wrote. It refuses states of newer versions,
// and what no experiment can be in.
func DecodeState(data []byte) (State, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return State{}, fmt.Errorf("read the state of an experiment: %w", err)
	}
	if version.Version != stateVersion {
		return State{}, fmt.Errorf("read the state of an experiment: its version is %d, and this program reads %d", version.Version, stateVersion)
	}
	var stored storedState
	if err := decodeStrict(data, &stored); err != nil {
		return State{}, fmt.Errorf("read the state of an experiment: %w", err)
	}
	if err := stored.State.check(); err != nil {
		return State{}, fmt.Errorf("read the state of an experiment: %w", err)
	}
	return stored.State, nil
}

func (s State) check() error {
	spans := []Duration{s.Ran, s.Unbroken, s.StepRan, s.Blind, s.Paused, s.MinimumRun}
	for _, t := range s.Tracks {
		spans = append(spans, t.Silent, Duration(t.Failures))
	}
	if s.Fidelity != nil {
		spans = append(spans, s.Fidelity.LongestRange, s.Fidelity.LongestFor)
	}
	for _, a := range []*Arm{s.Baseline, s.Candidate} {
		if a != nil {
			spans = append(spans, a.Latency)
		}
	}
	switch {
	case !slices.Contains(Phases, s.Phase):
		return fmt.Errorf("%w: there is no phase %q", errState, s.Phase)
	case s.Weights != weights(s.Weights.Candidate):
		return fmt.Errorf("%w: the weights are %d and %d", errState, s.Weights.Baseline, s.Weights.Candidate)
	case s.Phase != PhaseRunning && (s.Weights.Candidate > 0 || s.Mirror):
		return fmt.Errorf("%w: the candidate has weight while %s", errState, s.Phase)
	case slices.Min(spans) < 0:
		return fmt.Errorf("%w: a time span is negative or unreadable", errState)
	case s.Step < 0 || s.Step >= maxSteps:
		return fmt.Errorf("%w: there is no step %d", errState, s.Step)
	case len(s.Reasons) > maxReasons || len(s.Held) > maxReasons || len(s.Tracks) > maxGuardrails || len(s.History.Looks) > maxLooks:
		return fmt.Errorf("%w: it is too large", errState)
	}
	return nil
}
