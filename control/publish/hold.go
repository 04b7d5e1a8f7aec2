package publish

import (
	"context"
	"time"
)

// Hold says why this process has all policies off, whether the store knows of it
// or not.
type Hold struct {
	Reason string
	At     time.Time
	By     string
}

// Held is a hold that was taken.
type Held struct {
	Hold
	// What follows is guarded by the publisher's mu. stored is set when the store
	// has it, settled when every look at the store sees that, keep when a file is
	// to make it survive.
	stored, settled, keep bool
}

// Hold turns all policies off at once, whatever the store says and however it
// is. It takes the place of the hold before.
func (p *Publisher) Hold(why Hold) *Held {
	h := &Held{Hold: why}
	p.mu.Lock()
	p.held = h
	status, fresh := p.publish(true)
	p.mu.Unlock()
	p.tell(fresh, status)
	return h
}

// Unhold ends a hold at once, unless another took its place. Policies come back
// if neither store nor file turns them off.
func (p *Publisher) Unhold(h *Held) {
	p.mu.Lock()
	if h == nil || p.held != h {
		p.mu.Unlock()
		return
	}
	status, fresh := p.unhold()
	p.mu.Unlock()
	p.tell(fresh, status)
}

// unhold ends the hold. Before the store was read there is nothing to go back to.
// The caller has mu.
func (p *Publisher) unhold() (Status, bool) {
	p.held = nil
	return p.publish(p.content.known)
}

// Stored says that the store has a hold. It ends when the store was read again:
// from then on the store says what is so.
func (p *Publisher) Stored(ctx context.Context, h *Held) error {
	p.mu.Lock()
	h.stored = true
	p.publish(false)
	p.mu.Unlock()
	// Whoever has turn now may have read what the store had before.
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release()
	p.mu.Lock()
	h.settled = true
	p.mu.Unlock()
	return p.refresh(ctx)
}

// settle ends a hold that the store knows of. The caller has turn and has read
// the store.
func (p *Publisher) settle() {
	p.mu.Lock()
	if p.held == nil || !p.held.settled {
		p.mu.Unlock()
		return
	}
	status, fresh := p.unhold()
	p.mu.Unlock()
	p.tell(fresh, status)
}

// Keep makes the file of the kill switch, if there is none, so that a hold that
// the store does not know of survives a restart. Run does it, and removes the
// file again when the hold has ended or is stored; Keep waits for that until ctx
// ends.
func (p *Publisher) Keep(ctx context.Context) {
	p.mu.Lock()
	if p.held != nil {
		p.held.keep = true
	}
	p.mu.Unlock()
	looked := make(chan struct{})
	select {
	case p.look <- looked:
	case <-ctx.Done(): // the next look does it
		return
	}
	select {
	case <-looked:
	case <-ctx.Done():
	}
}
