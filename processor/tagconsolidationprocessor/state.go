package tagconsolidationprocessor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/internal/checkpoint"
	"github.com/phoenix-platform/phoenix/internal/consolidation"
	"github.com/phoenix-platform/phoenix/internal/relabel"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// state is what outlives the process, if there is a storage extension.
type state struct {
	client   storage.Client    // nil: none
	store    *checkpoint.Store // nil: none
	identity checkpoint.Identity
	bytes    atomic.Int64 // of the last checkpoint
	// orphans are rules of the restored state that are not in force any more:
	// their outputs end at the first edge, unless somebody is awaited who takes them
	// over. Guarded by consolidator.change once data flows.
	orphans []consolidation.RuleID
	// known are the rules of the restored state, decisions what was decided there.
	known     map[consolidation.RuleID]bool
	decisions []decisions
	// unsure says that rules of control may have been in force that are not known,
	// so that nobody can say who is an orphan; began is when the process did.
	unsure bool
	began  uint64
}

// journal is that of one flush; nil without storage.
type journal struct{ j *checkpoint.Journal }

func (s *state) journal(edge uint64) journal {
	if s.store == nil {
		return journal{}
	}
	return journal{s.store.Journal(edge)}
}

// Add notes what an output shows.
func (j journal) Add(m *consolidation.Emission) {
	if j.j != nil {
		j.j.Add(m)
	}
}

// AddBase notes the base line of a new input.
func (j journal) AddBase(b *consolidation.Base) {
	if j.j != nil {
		j.j.AddBase(b)
	}
}

// Write makes what was added durable.
func (j journal) Write(ctx context.Context) error {
	if j.j == nil {
		return nil
	}
	_, err := j.j.Write(ctx)
	return err
}

// End says that the flush is complete.
func (j journal) End(ctx context.Context) error {
	if j.j == nil {
		return nil
	}
	return j.j.End(ctx)
}

// openStorage finds the storage extension.
func (c *consolidator) openStorage(ctx context.Context, host component.Host) error {
	c.state.began = nanos(c.clock())
	if c.config.Storage == nil {
		return nil
	}
	extension, there := host.GetExtensions()[*c.config.Storage]
	if !there {
		return fmt.Errorf("storage: there is no extension %s; add it to service.extensions", c.config.Storage)
	}
	provider, ok := extension.(storage.Extension)
	if !ok {
		return fmt.Errorf("storage: the extension %s is no storage extension; file_storage is one", c.config.Storage)
	}
	client, err := provider.GetClient(ctx, component.KindProcessor, c.id, "")
	if err != nil {
		return fmt.Errorf("storage: open %s: %w", c.config.Storage, err)
	}
	c.state.client, c.state.store = client, checkpoint.Open(client)
	return nil
}

// openState takes up what is in the storage.
func (c *consolidator) openState(ctx context.Context) error {
	if c.state.store == nil {
		c.state.identity = checkpoint.Identity{Secret: series.NewSecret()}
		return c.nameWriter(false)
	}
	if err := c.restore(ctx); err != nil {
		return err
	}
	return c.nameWriter(true)
}

// restore takes up the state of an earlier process. State that cannot be read
// is set aside, and all begins anew: outputs get a new start time.
func (c *consolidator) restore(ctx context.Context) error {
	c.state.identity.Secret = series.NewSecret()
	loaded, err := c.state.store.Load(ctx)
	if err != nil {
		if !errors.Is(err, checkpoint.ErrDamaged) && !errors.Is(err, checkpoint.ErrForeign) && !errors.Is(err, checkpoint.ErrNewerVersion) {
			return fmt.Errorf("storage: read the state in %s: %w", c.config.Storage, err)
		}
		c.stateFailed(ctx, "use the state that was found. It is set aside and all outputs begin anew", err)
	}
	if loaded == nil {
		return nil
	}
	if loaded.Damage != nil {
		c.stateFailed(ctx, "use the end of the journal; what comes before it is used", loaded.Damage)
	}
	now := nanos(c.clock())
	c.state.known = map[consolidation.RuleID]bool{}
	counts, err := loaded.Restore(c.engine, c.table, now)
	if err != nil {
		// The engine holds a part of it and must not be used.
		c.engine = c.newEngine()
		c.stateFailed(ctx, "use the state that was found. All outputs begin anew", err)
		return nil
	}
	c.state.identity = loaded.Identity
	c.edge = counts.Edge
	for _, id := range counts.Rules {
		c.state.known[id] = true
		if c.rules.Load().enforced(id) == nil {
			c.state.orphans = append(c.state.orphans, id)
		}
	}
	c.restoreDecisions(ctx, loaded.Extra, now)
	c.log.Info("State restored", zap.Int("inputs", counts.Inputs), zap.Int("outputs", counts.Outputs), zap.Int("refused", counts.Refused),
		zap.Int("shown_since_checkpoint", counts.Shown), zap.Int("new_since_checkpoint", counts.Bases), zap.Int("unknown", counts.Unknown),
		zap.Int("interrupted", counts.Interrupted))
	return nil
}

// nameWriter decides what tells this collector's outputs from another's.
func (c *consolidator) nameWriter(kept bool) error {
	w := c.config.Writer
	switch {
	case w.None:
		c.state.identity.Writer = ""
		return nil
	case w.ID != "":
		c.state.identity.Writer = w.ID
		return nil
	case kept && c.state.identity.Writer != "":
		return nil
	case kept:
		var id [8]byte
		if _, err := rand.Read(id[:]); err != nil {
			return fmt.Errorf("make a writer id: %w", err)
		}
		c.state.identity.Writer = hex.EncodeToString(id[:])
		return nil
	}
	name, err := os.Hostname()
	if err != nil || name == "" || name == "localhost" {
		c.log.Warn("There is neither storage nor a host name to tell this collector's outputs from another's by. Set storage, or writer.id to something that is its own, or `writer: none` if it is the only one",
			zap.Error(err))
		name = "unknown"
	}
	c.state.identity.Writer = name
	return nil
}

// decisions are what governors know, as it is stored.
type decisions struct {
	Rule   consolidation.RuleID  `json:"rule"`
	Metric string                `json:"metric"`
	State  relabel.GovernorState `json:"state"`
}

func (c *consolidator) decisions() ([]byte, error) {
	var list []decisions
	for _, r := range c.rules.Load().rules {
		if r.governors == nil || r.preview {
			continue
		}
		for metric, g := range r.governors.all() {
			list = append(list, decisions{Rule: r.id, Metric: metric, State: g.State()})
		}
	}
	if list == nil {
		return nil, nil
	}
	return json.Marshal(list)
}

// restoreDecisions takes up what governors knew. What cannot be read costs no
// data, only that heavy values have to be found again.
func (c *consolidator) restoreDecisions(ctx context.Context, text []byte, now uint64) {
	if len(text) == 0 {
		return
	}
	var list []decisions
	if err := json.Unmarshal(text, &list); err != nil {
		c.stateFailed(ctx, "read which values top_k kept and which attributes limits folded; they are found again", err)
		return
	}
	c.state.decisions = list
	for _, d := range list {
		if r := c.rules.Load().enforced(d.Rule); r != nil && r.governors != nil {
			r.governors.of(d.Metric).Restore(d.State, now)
		}
	}
}

// writeCheckpoint writes the whole state; an error is reported and leaves the
// state as it was.
func (c *consolidator) writeCheckpoint(ctx context.Context) {
	if c.state.store == nil {
		return
	}
	began := c.clock()
	c.keepAgain(ctx)
	if err := c.writeState(ctx); err != nil {
		c.stateFailed(ctx, "write the state; the last one stays", err)
	}
	c.telemetry.ProcessorTagConsolidationCheckpointDuration.Record(ctx, c.clock().Sub(began).Seconds())
}

func (c *consolidator) writeState(ctx context.Context) error {
	extra, err := c.decisions()
	if err != nil {
		return fmt.Errorf("encode the decisions of top_k and limits: %w", err)
	}
	w := c.state.store.Begin(c.state.identity, extra, nanos(c.clock()))
	for part := range c.engine.Snapshot() {
		if err := w.Part(ctx, part); err != nil {
			w.Abort(ctx)
			return fmt.Errorf("storage: write to %s: %w", c.config.Storage, err)
		}
	}
	bytes, err := w.Commit(ctx)
	if err != nil {
		w.Abort(ctx)
		return fmt.Errorf("storage: write to %s: %w", c.config.Storage, err)
	}
	c.state.bytes.Store(int64(bytes))
	return nil
}

// closeState writes the state for the last time.
func (c *consolidator) closeState(ctx context.Context) error {
	if c.state.store == nil {
		return nil
	}
	return errors.Join(c.writeState(ctx), c.state.client.Close(ctx))
}

func (c *consolidator) stateFailed(ctx context.Context, what string, err error) {
	c.telemetry.ProcessorTagConsolidationStateErrors.Add(ctx, 1)
	c.log.Error("Could not "+what, zap.Error(err))
}
