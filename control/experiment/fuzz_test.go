package experiment

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzStep gives Step and Apply whatever JSON can make, checked by nobody.
func FuzzStep(f *testing.F) {
	spec := text(f, splitSpec())
	running := `{"phase":"Running","spec_hash":"h","weights":{"baseline":95,"candidate":5},"started_at":"2026-03-11T09:00:00Z","lease":{"epoch":1}}`
	f.Add(spec, running, `{"seq":1,"spec_hash":"h","baseline":{},"candidate":{},"criteria":[{"measure":"series","verdict":"met"}]}`, int64(1_773_219_600))
	f.Add(text(f, mirrorSpec()), running, `{"seq":1,"spec_hash":"h","fidelity":{"differences":[{"query":"a"}]}}`, int64(1_773_219_630))
	f.Add(spec, `{"phase":"?","step":-7,"ran":"-1s","tracks":{"latency":{"failures":-1}}}`, `{}`, int64(-1<<62))
	f.Add(`{"mode":"split","steps":[{"weight":-5}]}`, `{"phase":"Running","step":9}`, `{"router":{"breach":"b"}}`, int64(1<<62))
	f.Add(`{}`, `{"phase":"Scheduled"}`, `{"failure":"f"}`, int64(0))
	f.Add(`{}`, `{"phase":"Paused","paused":"2562047h47m16.854775807s"}`, `{"seq":1}`, int64(0))
	f.Fuzz(func(t *testing.T, specText, stateText, observation string, unix int64) {
		var spec Spec
		var s State
		var o Observation
		if json.Unmarshal([]byte(specText), &spec) != nil || json.Unmarshal([]byte(stateText), &s) != nil || json.Unmarshal([]byte(observation), &o) != nil {
			return
		}
		now := time.Unix(unix, 0)
		check := func(next State, before Phase) {
			if !before.Final() && before != PhaseDraft {
				require.Equal(t, 100, next.Weights.Baseline+next.Weights.Candidate)
				require.GreaterOrEqual(t, next.Weights.Candidate, 0)
			}
			if before == PhaseRunning && o.Router.Breach != "" {
				require.Equal(t, PhaseRolledBack, next.Phase)
				require.Equal(t, weights(0), next.Weights)
			}
			_ = Reconcile(spec, next)
			_ = NewReport(spec, next, now).Markdown()
		}
		for range 3 {
			next, _, _ := Step(spec, s, o, now)
			check(next, s.Phase)
			s, now, o.Seq = next, now.Add(time.Minute), o.Seq+1
		}
		o = Observation{}
		for _, kind := range append([]CommandKind{"?"}, CommandKinds...) {
			next, _, _, err := Apply(spec, s, Command{Kind: kind}, now)
			if err == nil {
				check(next, PhaseRunning)
			}
		}
	})
}

// FuzzDecodeState reads hostile states: what is read is stored as it was.
func FuzzDecodeState(f *testing.F) {
	stored, err := EncodeState(NewState(began))
	require.NoError(f, err)
	f.Add(stored)
	f.Add([]byte(`{"version":1,"state":{"phase":"Running","weights":{"baseline":0,"candidate":100},"tracks":{"a":{"silent":"1s"}},"history":{"total":1,"stride":1,"looks":[{"criteria":[{"name":"a","value":"NaN"}]}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeState(data)
		if err != nil {
			return
		}
		first, err := EncodeState(s)
		require.NoError(t, err)
		again, err := DecodeState(first)
		require.NoError(t, err)
		second, err := EncodeState(again)
		require.NoError(t, err)
		require.Equal(t, string(first), string(second))
	})
}

// FuzzDecodeSpec reads hostile specifications: one that is valid is so with its
// defaults, and its hash is that of what is stored.
func FuzzDecodeSpec(f *testing.F) {
	f.Add([]byte(text(f, splitSpec())))
	f.Add([]byte(text(f, mirrorSpec().WithDefaults())))
	f.Add([]byte(`{"id":"a","mode":"mirror","scope":{"a":"b"},"fidelity":{},"interval":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeSpec(data)
		if err != nil {
			return
		}
		require.Len(t, s.Hash(), 64)
		again, err := DecodeSpec([]byte(text(t, s)))
		require.NoError(t, err)
		require.Equal(t, s.Hash(), again.Hash())
		d := s.WithDefaults()
		require.NoError(t, d.Validate())
		require.Equal(t, s.Hash(), d.Hash())
	})
}
