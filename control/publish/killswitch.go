package publish

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/phoenix-platform/phoenix/control/store"
)

// KillState says whether all policies are off.
type KillState struct {
	Engaged bool
	// Source is what engaged it: api, file or both; empty if it is released.
	Source string
	// Reason, At and By are why, when and by whom it was last turned; of the file
	// its first line, the time of its last change, and the word file.
	Reason string
	At     time.Time
	By     string
	// Stored says whether the store had it engaged when it was last read.
	Stored bool
	// Unstored says that this process has it engaged and that the store does not
	// know of it yet. A restart forgets that, unless it is Kept by the file.
	Unstored, Kept bool
}

// What may engage the kill switch.
const (
	KilledByAPI  = "api"
	KilledByFile = "file"
	KilledByBoth = "both"
)

// killState is the state of all that may engage it. The caller has mu.
func (p *Publisher) killState() KillState {
	api, file := p.content.kill, p.file
	if h := p.held; h != nil {
		api = store.KillSwitch{On: true, Reason: h.Reason, At: h.At, By: h.By}
	}
	k := KillState{Engaged: api.On || file.there, Reason: api.Reason, At: api.At, By: api.By}
	switch {
	case api.On && file.there:
		k.Source = KilledByBoth
		if file.reason != "" {
			k.Reason += "; " + KilledByFile + ": " + file.reason
		}
	case api.On:
		k.Source = KilledByAPI
	case file.there:
		k = KillState{Engaged: true, Source: KilledByFile, Reason: file.reason, At: file.at, By: KilledByFile}
	}
	k.Stored = p.content.kill.On
	k.Unstored = p.held != nil && !p.held.stored
	k.Kept = k.Unstored && p.own.there
	return k
}

// Run follows the store and the file until ctx ends.
func (p *Publisher) Run(ctx context.Context) {
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() { p.followFile(ctx) }) // apart: a store that hangs does not hold up the file
	tick := time.NewTicker(p.settings.Poll)
	defer tick.Stop()
	for {
		_ = p.Refresh(ctx) // it told whom it concerns, and is repeated
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.wake:
		}
	}
}

func (p *Publisher) followFile(ctx context.Context) {
	tick := time.NewTicker(p.settings.Poll)
	defer tick.Stop()
	var looking, keeping trouble
	for {
		looking.note(p.lookAtFile(), func(err error) {
			p.settings.Logger.Warn("The file of the kill switch cannot be looked at, its last state stays",
				zap.String("file", p.settings.KillFile), zap.Error(err))
		})
		keeping.note(p.keepFile(), func(err error) {
			p.settings.Logger.Error("The file of the kill switch is not as the API wants it: make or remove it by hand, or a restart is wrong about it",
				zap.String("file", p.settings.KillFile), zap.Error(err))
		})
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case looked := <-p.look:
			_ = p.keepFile() // the next turn tells
			close(looked)
		}
	}
}

// trouble remembers whether something failed, so that it is told once.
type trouble bool

func (t *trouble) note(err error, tell func(error)) {
	if err != nil && !bool(*t) {
		tell(err)
	}
	*t = err != nil
}
