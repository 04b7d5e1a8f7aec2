package admin_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/phoenix-platform/phoenix/control/store"
)

// line is what connects a control plane with a real store: it may be cut, may
// hang, and may break after a commit.
type line struct {
	store.Store
	mu  sync.Mutex
	cut error
	// hangs is closed when the line works again.
	hangs chan struct{}
	// deaf writes and does not hear that it was written.
	deaf bool
}

// set changes how the line is.
func (l *line) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// pass says whether something comes through.
func (l *line) pass() error {
	l.mu.Lock()
	hangs, cut := l.hangs, l.cut
	l.mu.Unlock()
	if hangs != nil {
		<-hangs // whatever becomes of the context, as in a system call
	}
	return cut
}

func (l *line) Write(ctx context.Context, change func(context.Context, store.Tx) error) error {
	if err := l.pass(); err != nil {
		return err
	}
	err := l.Store.Write(ctx, change)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.deaf {
		l.deaf, l.cut = false, store.ErrUnavailable
		return fmt.Errorf("commit: %w: %w", store.ErrUncertain, store.ErrUnavailable)
	}
	return err
}

func (l *line) PolicyVersion(ctx context.Context) (uint64, error) {
	if err := l.pass(); err != nil {
		return 0, err
	}
	return l.Store.PolicyVersion(ctx)
}

func (l *line) GetAPIKey(ctx context.Context, id string) (store.APIKey, error) {
	if err := l.pass(); err != nil {
		return store.APIKey{}, err
	}
	return l.Store.GetAPIKey(ctx, id)
}
