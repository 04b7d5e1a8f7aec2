package publish

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Spec is what the author of a policy writes. Its JSON is that of PolicySpec in
// the API.
type Spec struct {
	// Description is for readers.
	Description string `json:"description,omitempty"`
	// Priority: policies with a higher one are tried first.
	Priority int `json:"priority,omitempty"`
	// Rules are the rules in the order in which they are tried. None has a Mode:
	// the state of the policy says whether they act.
	Rules []policy.Rule `json:"rules"`
	// Sampling are the sampling rules in the order in which they are tried. None
	// has a Mode, as above.
	Sampling []policy.SamplingRule `json:"sampling,omitempty"`
}

// EncodeSpec returns the specification as it is stored. One specification has
// one form, so that its hash is stable.
func EncodeSpec(s Spec) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, fmt.Errorf("encode the specification of a policy: %w", err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// DecodeSpec reads what EncodeSpec, or a JSON encoder of PolicySpec, wrote.
// Unknown fields are refused: a rule must not act without a part of it that this
// version does not understand. The rules are not checked.
func DecodeSpec(text []byte) (Spec, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var s Spec
	if err := d.Decode(&s); err != nil {
		return Spec{}, fmt.Errorf("read the specification of a policy: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Spec{}, errors.New("read the specification of a policy: something follows it")
	}
	for i, r := range s.Rules {
		if r.Mode != "" {
			return Spec{}, fmt.Errorf("read the specification of a policy: rules[%d].mode: the state of the policy says it", i)
		}
	}
	for i, r := range s.Sampling {
		if r.Mode != "" {
			return Spec{}, fmt.Errorf("read the specification of a policy: sampling[%d].mode: the state of the policy says it", i)
		}
	}
	return s, nil
}

// RulesDigest is the hash of the rules of both kinds without description and
// priority. Rules with the same digest do the same. Without sampling rules it is
// what it was before there were any, for digests are stored.
func (s Spec) RulesDigest() store.Digest {
	var both any = s.Rules
	if len(s.Sampling) > 0 {
		both = struct {
			Rules    []policy.Rule         `json:"rules,omitempty"`
			Sampling []policy.SamplingRule `json:"sampling"`
		}{s.Rules, s.Sampling}
	}
	text, err := json.Marshal(both)
	if err != nil { // only numbers that no validation passes
		return store.Digest{}
	}
	return store.SumSHA256(text)
}

// EffectDigest is the hash of the rules and the priority. Enforced policies of
// one name with the same digest are the same in force.
func (s Spec) EffectDigest() store.Digest {
	rules := s.RulesDigest()
	return store.SumSHA256(fmt.Appendf(nil, "%d %s", s.Priority, rules))
}
