package adaptivesamplerprocessor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/series"
)

// stateFailed counts and logs what the storage does not do. It is never a reason
// not to work.
func (t *telemetry) stateFailed(ctx context.Context, log *zap.Logger, what string, err error) {
	t.builder.ProcessorAdaptiveSamplerStorageErrors.Add(ctx, 1, metric.WithAttributes(t.signal))
	log.Warn("Could not "+what, zap.Error(err))
}

// recallSecret takes the secret of the last process, or a fresh one.
func (h *hub) recallSecret(ctx context.Context, fresh series.Secret) {
	h.secret = fresh
	if h.state == nil {
		return
	}
	h.secret = h.storedSecret(ctx, fresh)
	h.state.secret = fingerprint(h.secret)
}

// storedSecret returns the secret in the storage. If there is none that can be
// read, it stores a fresh one.
func (h *hub) storedSecret(ctx context.Context, fresh series.Secret) series.Secret {
	record, err := h.state.client.Get(ctx, secretKey)
	if err == nil && record != nil {
		var content []byte
		if content, err = openRecord(record); err == nil {
			var secret series.Secret
			if secret, err = series.ParseSecret(string(content)); err == nil {
				return secret
			}
		}
	}
	if err != nil {
		h.state.anew = true
		h.tel.stateFailed(ctx, h.log, "use the state that was found: its secret is not readable. All begins anew", err)
	}
	text, err := fresh.MarshalText()
	if err == nil {
		err = h.state.client.Set(ctx, secretKey, sealRecord(text))
	}
	if err != nil {
		h.tel.stateFailed(ctx, h.log, "store the secret of hashes; the next start begins anew", err)
	}
	return fresh
}

func fingerprint(secret series.Secret) uint64 {
	text, err := secret.MarshalText()
	if err != nil {
		return 0 // it has 16 bytes: it cannot fail
	}
	return xxhash.Sum64(text)
}

// restore lets a part take up its state. What cannot be used costs what was
// learned, never the start.
func (h *hub) restore(ctx context.Context, w *worker) {
	if h.state == nil {
		return
	}
	slots := h.state.of(w.signal)
	found, err := slots.load(ctx)
	if found {
		err = w.part.restore(func(key string) ([]byte, error) { return slots.read(ctx, key) })
	}
	if errors.Is(err, errForeign) && h.state.anew {
		return // that was said
	}
	if err != nil {
		w.core.tel.stateFailed(ctx, w.core.log, "use the state that was found; what cannot be read of it begins anew", err)
	}
}

// save writes the state of a part. An error leaves the last one as it was.
func (h *hub) save(ctx context.Context, w *worker, final bool) error {
	if h.state == nil {
		return nil
	}
	began := h.now()
	err := h.state.of(w.signal).save(ctx, func(write func(key string, value []byte) error) error {
		return w.part.save(final, write)
	})
	if err != nil {
		w.core.tel.stateFailed(ctx, w.core.log, "write the state; the last one stays", err)
		return fmt.Errorf("storage: write to %s: %w", h.cfg.Storage, err)
	}
	w.core.tel.builder.ProcessorAdaptiveSamplerCheckpointDuration.Record(ctx, h.now().Sub(began).Seconds(), metric.WithAttributes(w.core.tel.signal))
	return nil
}

// keptRules are rules of control as they are stored.
type keptRules struct {
	Version  uint64                `json:"version"`
	Sampling []policy.SamplingRule `json:"sampling"`
}

// keep stores the rules of a snapshot: a process begins with them if control does
// not know its rules yet, or never answers. The lock of rules is held.
func (h *hub) keep(ctx context.Context, s *policy.Snapshot) {
	if h.state == nil {
		return
	}
	h.rules.unsaved = nil
	text, err := json.Marshal(keptRules{s.Version, s.Sampling})
	if err == nil {
		err = h.state.client.Set(ctx, policyKey, sealRecord(text))
	}
	if err != nil {
		h.rules.unsaved, h.rules.retry = s, h.now().Add(h.cfg.Checkpoint)
		h.tel.stateFailed(ctx, h.log, "store the rules of control; it is tried again after the time between checkpoints", err)
	}
}

// keepAgain tries again what failed. The lock of rules is held.
func (h *hub) keepAgain(ctx context.Context) {
	if s := h.rules.unsaved; s != nil && !h.now().Before(h.rules.retry) {
		h.keep(ctx, s)
	}
}

// recallRules puts in force the rules of control that were in force when the last
// process ended.
func (h *hub) recallRules(ctx context.Context) {
	if h.state == nil {
		return
	}
	record, err := h.state.client.Get(ctx, policyKey)
	if err == nil && record == nil {
		return
	}
	if h.rules.source == nil { // rules are static now, and stay so if control comes back later
		if err := h.state.client.Delete(ctx, policyKey); err != nil {
			h.tel.stateFailed(ctx, h.log, "delete the rules of control that the last process had", err)
		}
		return
	}
	var k keptRules
	if err == nil {
		err = decodeRecord(record, &k)
	}
	if err != nil {
		h.tel.stateFailed(ctx, h.log, "use the rules of control that the last process had", err)
		return
	}
	h.use(&policy.Snapshot{Version: k.Version, Sampling: k.Sampling})
	h.rules.version.Store(k.Version)
	h.log.Info("Control does not know its rules yet; those that it had sent last are in force",
		zap.Uint64("version", k.Version), zap.Int("rules", len(k.Sampling)))
}
