package adaptivesamplerprocessor

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// What is in the storage of one component id:
//
//	secret              the secret of hashes
//	policy              the rules of control that were in force last
//	<signal>/head       which records of the part for a signal are valid
//	<signal>/<slot>/<i> the records
//
// There are two slots. A save goes into the one that is not in use; one Set of the
// head then makes it valid; then the other is emptied from its end, so that what a
// crash leaves behind is without gaps, and found by the next start.
//
// secret, policy and head are records: a byte for the format, 8 bytes of checksum
// of the rest, the rest. The head has the checksums of the records in the slot.
const (
	secretKey    = "secret"
	policyKey    = "policy"
	recordFormat = 1
	recordHeader = 9
)

// What can be wrong with what is stored.
var (
	errDamaged = errors.New("damaged state: its checksum is wrong")
	errMissing = errors.New("damaged state: a record is missing")
	errNewer   = errors.New("state in a format that this version does not know")
	errForeign = errors.New("state of another installation: its secret is another one")
)

// stateStore is what is kept in the storage. A nil one keeps nothing.
type stateStore struct {
	client storage.Client
	secret uint64 // hash of the one that state depends on
	anew   bool   // the one before cannot be read

	mu    sync.Mutex
	slots map[string]*slots // by signal
}

// openState finds the storage extension; it returns nil if none is configured.
func openState(ctx context.Context, host component.Host, extension *component.ID, id component.ID) (*stateStore, error) {
	if extension == nil {
		return nil, nil
	}
	found, there := host.GetExtensions()[*extension]
	if !there {
		return nil, fmt.Errorf("storage: there is no extension %s; add it to service.extensions", extension)
	}
	provider, ok := found.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("storage: the extension %s is no storage extension; file_storage is one", extension)
	}
	client, err := provider.GetClient(ctx, component.KindProcessor, id, "")
	if err != nil {
		return nil, fmt.Errorf("storage: open %s: %w", extension, err)
	}
	return &stateStore{client: client, slots: map[string]*slots{}}, nil
}

func (s *stateStore) close(ctx context.Context) error {
	if s == nil {
		return nil
	}
	return s.client.Close(ctx)
}

// of returns the slots of a signal.
func (s *stateStore) of(signal string) *slots {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[signal] == nil {
		s.slots[signal] = &slots{client: s.client, signal: signal, secret: s.secret}
	}
	return s.slots[signal]
}

// bytes is what the last save of a signal takes.
func (s *stateStore) bytes(signal string) int64 { return s.of(signal).bytes.Load() }

// sealRecord makes a record.
func sealRecord(content []byte) []byte {
	record := append(make([]byte, 0, len(content)+recordHeader), recordFormat)
	record = binary.LittleEndian.AppendUint64(record, xxhash.Sum64(content))
	return append(record, content...)
}

// openRecord returns the content of a record.
func openRecord(record []byte) ([]byte, error) {
	switch {
	case len(record) < recordHeader:
		return nil, errDamaged
	case record[0] > recordFormat:
		return nil, errNewer
	case record[0] != recordFormat || binary.LittleEndian.Uint64(record[1:]) != xxhash.Sum64(record[recordHeader:]):
		return nil, errDamaged
	}
	return record[recordHeader:], nil
}

// decodeRecord reads the JSON of a record.
func decodeRecord(record []byte, into any) error {
	content, err := openRecord(record)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields() // a part of it would be something else
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", errNewer, err)
	}
	return nil
}
