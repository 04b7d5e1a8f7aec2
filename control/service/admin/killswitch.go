package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/access"
	"github.com/phoenix-platform/phoenix/control/api/call"
	"github.com/phoenix-platform/phoenix/control/bus"
	"github.com/phoenix-platform/phoenix/control/publish"
	"github.com/phoenix-platform/phoenix/control/service"
	"github.com/phoenix-platform/phoenix/control/store"
)

// Bounds of KillSwitch.
const (
	// storedWithin is how long an answer waits for the store, keptWithin how long
	// after that for the file: together half of the second that is promised.
	storedWithin, keptWithin = 400 * time.Millisecond, 100 * time.Millisecond
	// storeAgain is how often the store is asked to take what it does not have,
	// storeTime how long that may take.
	storeAgain, storeTime = 250 * time.Millisecond, 5 * time.Second
	// storedLate is from when on the audit log gets the time at which the switch
	// was turned beside that at which it was stored.
	storedLate = time.Second
	// maxUnstored bounds what waits for the store.
	maxUnstored = 64
)

// KillSwitch turns all policies off and on again. It engages in this process
// first and is stored after that, so that it does not depend on the store: what
// the store does not take waits for it, in order. Run stores it.
type KillSwitch struct {
	core      *service.Core
	publisher Publisher
	wake      chan struct{}

	mu sync.Mutex
	// held is the last hold, unstored is what waits for the store.
	held     *publish.Held
	unstored []*turn
}

// turn is one turning of the switch that the store is to have.
type turn struct {
	update store.KillSwitchUpdate
	entry  store.Entry
	held   *publish.Held // of one that engages
	// cancelled is set when one that engages was released before it was known to
	// be stored. It is guarded by the mutex.
	cancelled bool
	// undoes are those that one that releases cancelled; audited says that the
	// audit log has it already.
	undoes  []*turn
	audited bool
	// uncertain is set when a commit of it was not confirmed. Only Run has it.
	uncertain bool
	// taken is set when the store has it, done is closed when all was published.
	taken atomic.Bool
	done  chan struct{}
}

func newKillSwitch(core *service.Core, publisher Publisher) *KillSwitch {
	return &KillSwitch{core: core, publisher: publisher, wake: make(chan struct{}, 1)}
}

// turn makes one of what the caller wants, if it can be stored.
func (k *KillSwitch) turn(ctx context.Context, v access.Verb, on bool, reason string) (*turn, error) {
	at := k.core.Now().UTC().Truncate(time.Microsecond)
	t := &turn{
		update: store.KillSwitchUpdate{On: on, Reason: reason, At: at},
		entry:  k.core.Entry(ctx, access.Action(access.KillSwitch, v)), done: make(chan struct{}),
	}
	t.entry.Outcome, t.entry.Resource = store.OutcomeDone, store.KillSwitchResource
	if reason != "" {
		t.entry.Detail = map[string]string{"reason": reason}
	}
	return t, service.Fault(cmp.Or(t.update.Check(), t.entry.Check()))
}

// Engage turns all policies off. It does not fail once the reason is accepted.
func (k *KillSwitch) Engage(ctx context.Context, reason string) (publish.KillState, error) {
	t, err := k.turn(ctx, access.Engage, true, reason)
	if err != nil {
		return publish.KillState{}, err
	}
	k.mu.Lock()
	before := k.publisher.Status().Kill.Source
	t.held = k.publisher.Hold(publish.Hold{Reason: reason, At: t.update.At, By: t.entry.Principal})
	k.held = t.held
	k.add(ctx, t)
	k.mu.Unlock()
	if before != publish.KilledByAPI && before != publish.KilledByBoth {
		k.tell(ctx, t)
	}
	k.await(ctx, t)
	return k.publisher.Status().Kill, nil
}

// Release turns them on again, as far as the API turned them off. What the store
// is not known to have needs no store.
func (k *KillSwitch) Release(ctx context.Context, reason string) (publish.KillState, error) {
	t, err := k.turn(ctx, access.Release, false, reason)
	if err != nil {
		return publish.KillState{}, err
	}
	k.mu.Lock()
	held, waiting := k.held, k.engaging()
	if len(waiting) > 0 && !k.publisher.Status().Kill.Stored {
		k.cancel(ctx, t, waiting)
		k.publisher.Unhold(held)
		k.mu.Unlock()
		k.tell(ctx, t)
		k.await(ctx, t)
		k.keep(ctx) // the file is gone when it is answered
		return k.publisher.Status().Kill, nil
	}
	k.mu.Unlock()
	return k.releaseStored(ctx, t, held, waiting)
}

// releaseStored turns off what the store has; waiting is what it did not have
// before.
func (k *KillSwitch) releaseStored(ctx context.Context, t *turn, held *publish.Held, waiting []*turn) (publish.KillState, error) {
	var before, after store.KillSwitch
	err := k.core.Change(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		if before, err = tx.GetKillSwitch(ctx); err != nil {
			return err
		}
		after, err = tx.SetKillSwitch(ctx, t.update, t.entry)
		return err
	})
	if err != nil {
		return publish.KillState{}, err
	}
	k.mu.Lock()
	if len(waiting) > 0 {
		t.audited = true
		k.cancel(ctx, t, waiting)
	}
	k.mu.Unlock()
	// Nobody who goes away now keeps the data path from being told.
	if err := k.publisher.Refresh(context.WithoutCancel(ctx)); err != nil {
		k.core.Logger.Warn("The kill switch was turned, but is not published yet; it will be as soon as the store answers", zap.Error(err))
	}
	k.publisher.Unhold(held) // last, so that what is stored again is not published in between
	if before.On || len(waiting) > 0 {
		k.tell(ctx, t)
	}
	return released(k.publisher.Status().Kill, after), nil
}

// released is what is in force after a release that was stored, also if it could
// not be read again.
func released(kill publish.KillState, stored store.KillSwitch) publish.KillState {
	switch {
	case kill.Unstored: // somebody engages it again
	case kill.Source == publish.KilledByFile:
	case kill.Source == publish.KilledByBoth:
		kill.Source = publish.KilledByFile
	default:
		kill = publish.KillState{Reason: stored.Reason, At: stored.At, By: stored.By}
	}
	return kill
}

// engaging are those that wait for the store and engage. The caller has the
// mutex.
func (k *KillSwitch) engaging() []*turn {
	var list []*turn
	for _, t := range k.unstored {
		if t.update.On && !t.cancelled {
			list = append(list, t)
		}
	}
	return list
}

// cancel makes a release take back what waits for the store. The caller has the
// mutex.
func (k *KillSwitch) cancel(ctx context.Context, release *turn, waiting []*turn) {
	for _, t := range waiting {
		t.cancelled = true
	}
	release.undoes = waiting
	k.add(ctx, release)
}

// add puts a turn behind those that wait for the store. If they are too many the
// oldest goes: what is in force is in the last ones. The caller has the mutex.
func (k *KillSwitch) add(ctx context.Context, t *turn) {
	if len(k.unstored) == maxUnstored {
		k.core.Logger.Error("The kill switch was turned too often to be audited", fields(k.unstored[0])...)
		k.unstored = slices.Delete(k.unstored, 0, 1)
		if k.core.NotAudited != nil {
			k.core.NotAudited(ctx)
		}
	}
	k.unstored = append(k.unstored, t)
	select {
	case k.wake <- struct{}{}:
	default: // it will
	}
}

// await waits until a turn is stored and published, but not long. That the
// caller goes away makes no difference: somebody wanted it.
func (k *KillSwitch) await(ctx context.Context, t *turn) {
	enough := time.NewTimer(storedWithin)
	defer enough.Stop()
	select {
	case <-t.done:
		return
	case <-enough.C:
	}
	if t.taken.Load() {
		return
	}
	k.core.Logger.Error("The kill switch was turned and the store did not take it yet; this collector goes by it, and stores it when the store answers",
		fields(t)...)
	k.keep(ctx)
}

func (k *KillSwitch) keep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keptWithin)
	defer cancel()
	k.publisher.Keep(ctx)
}

// fields say in a log what the audit log would.
func fields(t *turn) []zap.Field {
	return []zap.Field{
		zap.Bool("engaged", t.update.On), zap.String("reason", t.update.Reason), zap.Time("at", t.update.At),
		zap.String("principal", t.entry.Principal), zap.String("origin", t.entry.Origin), zap.String("request_id", t.entry.RequestID),
	}
}

func (k *KillSwitch) tell(ctx context.Context, t *turn) {
	event := bus.Event{
		Time: t.update.At, Type: "killswitch.released", Resource: store.KillSwitchResource, Message: "The kill switch was released",
		Principal: call.From(ctx).Principal.Name(), Detail: map[string]string{"reason": t.update.Reason},
	}
	if t.update.On {
		event.Type, event.Message = "killswitch.engaged", "The kill switch was engaged: all policies are off"
	}
	k.core.Events.Publish(event)
}

// warnings say what whoever reads the state should know.
func warnings(k publish.KillState) []string {
	if !k.Unstored {
		return nil
	}
	text := []string{"the store has not taken it yet: only this collector has all policies off; it is stored and audited when the store answers"}
	if k.Kept {
		text = append(text, "until then the kill switch file keeps it over a restart of this collector")
	} else {
		text = append(text, "until then a restart of this collector forgets it")
	}
	return []string{strings.Join(text, "; ")}
}
