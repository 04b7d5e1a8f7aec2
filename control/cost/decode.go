package cost

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// maxModelBytes bounds the text of a model.
const maxModelBytes = 1 << 20

var (
	errModelLong  = fmt.Errorf("must not be longer than %d bytes", maxModelBytes)
	errModelAfter = errors.New("something follows after the model")
)

// DecodeModel reads a model from JSON. Unknown keys are refused. The mistakes of
// Validate come as an Errors. A YAML library that knows encoding.TextUnmarshaler
// reads a Model directly; Validate it then.
func DecodeModel(data []byte) (Model, error) {
	if len(data) > maxModelBytes {
		return Model{}, fmt.Errorf("decode price model: %w", errModelLong)
	}
	var m Model
	if err := decodeStrict(data, &m); err != nil {
		return Model{}, fmt.Errorf("decode price model: %w", err)
	}
	if err := m.Validate(); err != nil {
		return Model{}, err
	}
	return m, nil
}

func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errModelAfter
	}
	return nil
}

//go:embed presets.json
var presetsJSON []byte

var readPresets = sync.OnceValues(func() ([]Model, error) {
	var list []Model
	err := decodeStrict(presetsJSON, &list)
	return list, err
})

// Presets are models with a vendor's list prices, as they were on the day
// Effective: take one, compare it with your contract, and edit it. A vendor is
// here only if a page of its own states the price and the day. The caller must
// not change what they refer to.
func Presets() ([]Model, error) {
	list, err := readPresets()
	if err != nil {
		return nil, fmt.Errorf("read presets: %w", err)
	}
	return append([]Model(nil), list...), nil
}
