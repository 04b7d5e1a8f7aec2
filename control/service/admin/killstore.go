package admin

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Run stores what was turned, until ctx ends.
func (k *KillSwitch) Run(ctx context.Context) {
	failing := false
	for {
		err := k.save(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			k.core.Logger.Error("The kill switch could not be stored; it is tried again until the store takes it", zap.Error(err))
		}
		failing = err != nil
		var again <-chan time.Time
		if failing {
			again = time.After(storeAgain)
		}
		select {
		case <-ctx.Done():
			k.ending()
			return
		case <-k.wake:
		case <-again:
		}
	}
}

// ending tells what will be forgotten.
func (k *KillSwitch) ending() {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := k.publisher.Status().Kill.Kept
	for _, t := range k.unstored {
		k.core.Logger.Error("The kill switch was turned and the store never took it: the audit log has no entry",
			append(fields(t), zap.Bool("kept_by_file", kept))...)
	}
}

// writing is a turn as it was when its transaction began.
type writing struct {
	*turn
	cancelled bool
}

// save stores all that waits, in one transaction, and publishes it.
func (k *KillSwitch) save(ctx context.Context) error {
	for {
		k.mu.Lock()
		batch := make([]writing, 0, len(k.unstored))
		for _, t := range k.unstored {
			batch = append(batch, writing{turn: t, cancelled: t.cancelled})
		}
		k.mu.Unlock()
		if len(batch) == 0 {
			return nil
		}
		if err := k.write(ctx, batch); err != nil {
			return err
		}
		k.stored(ctx, batch)
	}
}

func (k *KillSwitch) write(ctx context.Context, batch []writing) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	err := k.core.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		now := k.core.Now()
		for _, w := range batch {
			if err := w.write(ctx, tx, now); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrUncertain) {
		for _, w := range batch {
			w.uncertain = true
		}
	}
	return err
}

// stored lets go of what the store has.
func (k *KillSwitch) stored(ctx context.Context, batch []writing) {
	var held *publish.Held
	k.mu.Lock()
	k.unstored = slices.DeleteFunc(k.unstored, func(t *turn) bool {
		return slices.ContainsFunc(batch, func(w writing) bool { return w.turn == t })
	})
	k.mu.Unlock()
	for _, w := range batch {
		w.taken.Store(true)
		if w.held != nil {
			held = w.held
		}
	}
	var err error
	if held != nil {
		err = k.publisher.Stored(ctx, held)
	} else {
		err = k.publisher.Refresh(ctx)
	}
	if err != nil && ctx.Err() == nil { // the publisher tries again by itself
		k.core.Logger.Warn("The kill switch was stored, but could not be read again yet", zap.Error(err))
	}
	for _, w := range batch {
		close(w.done)
	}
}

// write does what the store is to have. A commit that was not confirmed may have
// done it already.
func (w writing) write(ctx context.Context, tx store.Tx, now time.Time) error {
	if w.uncertain {
		recorded, err := w.recorded(ctx, tx)
		if err != nil || recorded {
			return err
		}
	}
	entry := w.entry
	if now.Sub(w.update.At) >= storedLate {
		entry = with(entry, "at", w.update.At.Format(time.RFC3339))
	}
	switch {
	case w.update.On && !w.cancelled:
		_, err := tx.SetKillSwitch(ctx, w.update, entry)
		return err
	case !w.update.On:
		present, err := tx.GetKillSwitch(ctx)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(w.undoes, func(t *turn) bool { return t.is(present) }) {
			_, err = tx.SetKillSwitch(ctx, w.update, entry)
			return err
		}
	}
	if w.audited {
		return nil
	}
	_, err := tx.AppendAudit(ctx, with(entry, "in_process", "true")) // the store never had it
	return err
}

// with is an entry with one more detail.
func with(entry store.Entry, key, value string) store.Entry {
	detail := map[string]string{key: value}
	maps.Copy(detail, entry.Detail)
	entry.Detail = detail
	return entry
}

// is says whether this is what the store has.
func (t *turn) is(k store.KillSwitch) bool {
	return k.On && k.At.Equal(t.update.At) && k.By == t.entry.Principal && k.Reason == t.update.Reason
}

// recorded says whether the audit log has it.
func (t *turn) recorded(ctx context.Context, tx store.Tx) (bool, error) {
	page, err := tx.ListAudit(ctx, store.AuditQuery{
		From: t.update.At, Principal: t.entry.Principal, Action: t.entry.Action, Resource: t.entry.Resource,
		PageRequest: store.PageRequest{Size: store.MaxPageSize},
	})
	return slices.ContainsFunc(page.Items, func(r store.AuditRecord) bool {
		return r.RequestID == t.entry.RequestID && r.Detail["reason"] == t.entry.Detail["reason"]
	}), err
}
