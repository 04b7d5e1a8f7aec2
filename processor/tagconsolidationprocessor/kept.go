package tagconsolidationprocessor

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
)

// keptKey is where the rules of control are in the storage, beside the state.
const keptKey = "policy"

// keptFormat is the first byte of what is stored there; 8 bytes of checksum of
// the rest follow, then a policy.Snapshot in JSON with the rules of the
// processor's role.
const keptFormat = 1

// kept is the last snapshot that was taken over, as far as it is not stored yet.
// It is what a process begins with if control does not know its rules yet, or
// never answers: points of a rule that was in force must not pass then, because
// the sum of the rest would be wrong, and outputs must not end.
type kept struct {
	mu      sync.Mutex
	unsaved *policy.Snapshot
}

var (
	errKeptDamaged = errors.New("the checksum of the rules is wrong")
	errKeptFormat  = errors.New("the rules are in a format that this version does not know")
)

// keep stores the rules of a snapshot, if there is a storage.
func (c *consolidator) keep(ctx context.Context, s *policy.Snapshot) {
	if c.state.client == nil {
		return
	}
	c.kept.mu.Lock()
	defer c.kept.mu.Unlock()
	c.kept.unsaved = s
	c.save(ctx)
}

// keepAgain tries again what failed.
func (c *consolidator) keepAgain(ctx context.Context) {
	c.kept.mu.Lock()
	defer c.kept.mu.Unlock()
	if c.kept.unsaved != nil {
		c.save(ctx)
	}
}

// save stores the unsaved rules. The lock is held.
func (c *consolidator) save(ctx context.Context) {
	record, err := encodeKept(&policy.Snapshot{Version: c.kept.unsaved.Version, Rules: c.hot(c.kept.unsaved)})
	if err == nil {
		err = c.keepNames(ctx, c.kept.unsaved)
	}
	if err == nil {
		err = c.state.client.Set(ctx, keptKey, record)
	}
	if err != nil {
		c.stateFailed(ctx, "store the rules of control; it is tried again with the next checkpoint", err)
		return
	}
	c.kept.unsaved = nil
}

// recall takes over the rules of control that were in force when the last
// process ended.
func (c *consolidator) recall(ctx context.Context) {
	if c.state.client == nil {
		return
	}
	record, err := c.state.client.Get(ctx, keptKey)
	if err == nil && record == nil {
		return
	}
	if c.source == nil { // rules are static now, and stay so if control comes back later
		if err := c.state.client.Delete(ctx, keptKey); err != nil {
			c.stateFailed(ctx, "delete the rules of control that the last process had", err)
		}
		return
	}
	var s *policy.Snapshot
	if err == nil {
		s, err = decodeKept(record)
	}
	if err == nil {
		err = c.Apply(s)
		c.departing.promoted = nil // it says nothing of other roles
	}
	if err != nil {
		c.state.unsure = true
		c.refused.Store(&[]string{"the rules that control had sent to the last process: " + err.Error()})
		c.stateFailed(ctx, "use the rules of control that the last process had", err)
		return
	}
	c.log.Info("Control does not know its rules yet; those that it had sent last are in force",
		zap.Uint64("version", s.Version), zap.Int("rules", len(s.Rules)))
}

func encodeKept(s *policy.Snapshot) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the rules: %w", err)
	}
	record := append(make([]byte, 0, len(text)+9), keptFormat)
	record = binary.LittleEndian.AppendUint64(record, xxhash.Sum64(text))
	return append(record, text...), nil
}

func decodeKept(record []byte) (*policy.Snapshot, error) {
	if len(record) < 9 || record[0] != keptFormat {
		return nil, errKeptFormat
	}
	text := record[9:]
	if binary.LittleEndian.Uint64(record[1:9]) != xxhash.Sum64(text) {
		return nil, errKeptDamaged
	}
	s := &policy.Snapshot{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a part of a rule would be another rule
	if err := decoder.Decode(s); err != nil {
		return nil, fmt.Errorf("decode the rules: %w", err)
	}
	return policy.NewSnapshot(s.Version, s.Rules)
}
