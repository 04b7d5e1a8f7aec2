package keyrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
)

// What can be wrong with a state that is restored.
var (
	// ErrDamaged is not what was saved.
	ErrDamaged = errors.New("damaged state")
	// ErrNewerVersion is a format that this program does not know yet.
	ErrNewerVersion = errors.New("state of a newer version")
)

// version is that of the format.
const version = 1

// saved is the state of a table. Latencies are not in it: they are learned again.
type saved struct {
	Version int                  `json:"version"`
	Keys    []savedKey           `json:"keys"`
	Total   *savedPool           `json:"total,omitempty"`
	Groups  map[string]savedPool `json:"groups,omitempty"`
}

type savedKey struct {
	ID    string `json:"id"` // JSON numbers are doubles for some
	Group string `json:"group,omitempty"`
	Label string `json:"label,omitempty"`
	// Threshold is the one in force, so that sampling goes on as it was.
	Threshold uint64   `json:"threshold"`
	Average   averages `json:"average"`
	Own       float64  `json:"own"`
	In        float64  `json:"in"`
}

type savedPool struct {
	Level      float64 `json:"level"`
	KeepsWhole bool    `json:"keeps_whole,omitempty"`
	Besides    float64 `json:"besides"`
	Exceeded   bool    `json:"exceeded,omitempty"`
}

// Save returns what Restore takes: keys that were used of late, their rates and
// averages.
func (t *Table) Save() ([]byte, error) {
	t.adjusting.Lock()
	defer t.adjusting.Unlock()
	s := saved{Version: version, Keys: []savedKey{}, Groups: map[string]savedPool{}}
	for _, k := range t.all() {
		if k.id >= sharedID || k.average.Came == 0 {
			continue
		}
		s.Keys = append(s.Keys, savedKey{
			ID: strconv.FormatUint(k.id, 36), Group: k.group, Label: k.label, Threshold: k.threshold.Load(),
			Average: k.average, Own: k.ownRate, In: k.inRate,
		})
	}
	for _, p := range t.pools() {
		state := savedPool{Level: p.level, KeepsWhole: p.keepsWhole, Besides: p.besides, Exceeded: p.exceeded}
		if p.all {
			s.Total = &state
		} else {
			s.Groups[p.group] = state
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the rates of keys: %w", err)
	}
	return text, nil
}

// Restore takes up what Save returned, in a table that is new. Keys beyond the
// bound are left out. If it fails nothing was taken up.
func (t *Table) Restore(text []byte) error {
	var s saved
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	switch {
	case s.Version > version:
		return fmt.Errorf("%w: %d, known is %d", ErrNewerVersion, s.Version, version)
	case s.Version != version:
		return fmt.Errorf("%w: version %d", ErrDamaged, s.Version)
	}
	keys := make([]*Key, 0, len(s.Keys))
	for _, one := range s.Keys {
		k, err := one.key()
		if err != nil {
			return err
		}
		keys = append(keys, k)
	}
	pools := map[scope]savedPool{}
	if s.Total != nil {
		pools[scope{all: true}] = *s.Total
	}
	for group, p := range s.Groups {
		pools[scope{group: group}] = p
	}
	for of, p := range pools {
		if !(p.Level >= minLevel*0.99 && p.Level <= maxLevel*1.01) || !(p.Besides >= -1 && p.Besides <= 1) {
			return fmt.Errorf("%w: target of %s", ErrDamaged, of)
		}
	}
	t.takeUp(keys, pools)
	return nil
}

// key checks and makes a key.
func (s *savedKey) key() (*Key, error) {
	id, err := strconv.ParseUint(s.ID, 36, 64)
	if err != nil || id >= sharedID {
		return nil, fmt.Errorf("%w: key %q", ErrDamaged, s.ID)
	}
	th, err := sampling.UnsignedToThreshold(s.Threshold)
	good := err == nil && th.Probability() > 0 && s.Own >= 1 && s.In >= 1 && s.Own <= math.MaxInt32 && s.In <= math.MaxInt32
	for _, v := range []float64{s.Average.Came, s.Average.Represented} {
		good = good && v >= 0 && v <= 1e15
	}
	if !good {
		return nil, fmt.Errorf("%w: key %q", ErrDamaged, s.ID)
	}
	k := newKey(id, s.Group, s.Label, th.Probability())
	k.threshold.Store(s.Threshold)
	k.restored = true
	k.average, k.ownRate, k.inRate = s.Average, s.Own, s.In
	return k, nil
}

func (t *Table) takeUp(keys []*Key, pools map[scope]savedPool) {
	t.adjusting.Lock()
	defer t.adjusting.Unlock()
	t.arrival.Lock()
	for _, k := range keys {
		s := t.shard(k.id)
		if t.known.Load() >= int64(t.settings.MaxKeys) {
			break
		}
		s.mu.Lock()
		if s.keys[k.id] == nil {
			s.keys[k.id] = k
			t.known.Add(1)
			t.sketch(k)
		}
		s.mu.Unlock()
	}
	t.arrival.Unlock()
	t.arrange(t.all())
	for _, p := range t.pools() {
		if was, found := pools[p.scope]; found {
			p.level, p.keepsWhole, p.besides, p.exceeded = was.Level, was.KeepsWhole, was.Besides, was.Exceeded
		}
		p.keys = nil
	}
	t.open()
}
