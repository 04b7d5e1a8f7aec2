package experiment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxSpecBytes bounds the text of a specification, rule files and dashboards
// included.
const maxSpecBytes = 4 << 20

var (
	errSpecLong  = fmt.Errorf("must not be longer than %d bytes", maxSpecBytes)
	errFollowing = errors.New("something follows it")
)

// DecodeSpec reads a specification from JSON. Unknown keys are refused. The
// mistakes of Validate come as a policy.Errors.
func DecodeSpec(data []byte) (Spec, error) {
	if len(data) > maxSpecBytes {
		return Spec{}, fmt.Errorf("read experiment: %w", errSpecLong)
	}
	var s Spec
	if err := decodeStrict(data, &s); err != nil {
		return Spec{}, fmt.Errorf("read experiment: %w", err)
	}
	if err := s.Validate(); err != nil {
		return Spec{}, err
	}
	return s, nil
}

func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errFollowing
	}
	return nil
}
