package tagconsolidationprocessor

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/phoenix-platform/phoenix/control/policy"
	"github.com/phoenix-platform/phoenix/internal/checkpoint"
)

// power is what a machine runs on. When it is gone nothing that the process
// does has an effect any more, though the process does not know.
type power struct {
	limited bool
	left    int // operations, if it is limited
	out     bool
}

// use takes one operation's worth, and says whether it was there.
func (p *power) use() bool {
	if p.limited && p.left == 0 {
		p.out = true
	}
	if p.out {
		return false
	}
	p.left--
	return true
}

// disk is a storage extension that outlives processes.
type disk struct {
	component.StartFunc
	component.ShutdownFunc
	mu    sync.Mutex
	kept  map[string][]byte
	power *power // of the machine
}

var _ storage.Extension = (*disk)(nil)

// newDisk returns a disk with the state of a process that did nothing. So the
// secret is always the same one, and with it the order of outputs.
func newDisk(t require.TestingT) *disk {
	d := &disk{kept: map[string][]byte{}, power: &power{}}
	client, err := d.GetClient(context.Background(), component.KindProcessor, diskID, "")
	require.NoError(t, err)
	store := checkpoint.Open(client)
	_, err = store.Load(context.Background())
	require.NoError(t, err)
	_, err = store.Begin(checkpoint.Identity{Writer: "w1"}, nil, 1).Commit(context.Background())
	require.NoError(t, err)
	return d
}

// GetClient returns the client of one process, on the power that is there now.
func (d *disk) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return &diskClient{disk: d, power: d.power}, nil
}

type diskClient struct {
	disk  *disk
	power *power
}

// Get reads what is there.
func (c *diskClient) Get(_ context.Context, key string) ([]byte, error) {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	return slices.Clone(c.disk.kept[key]), nil
}

// Set writes, while there is power.
func (c *diskClient) Set(_ context.Context, key string, value []byte) error {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	if c.power.use() {
		c.disk.kept[key] = bytes.Clone(value)
	}
	return nil
}

// Delete deletes, while there is power.
func (c *diskClient) Delete(_ context.Context, key string) error {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	if c.power.use() {
		delete(c.disk.kept, key)
	}
	return nil
}

// Batch does one after the other.
func (c *diskClient) Batch(ctx context.Context, operations ...*storage.Operation) error {
	for _, o := range operations {
		switch o.Type {
		case storage.Get:
			o.Value, _ = c.Get(ctx, o.Key)
		case storage.Set:
			_ = c.Set(ctx, o.Key, o.Value)
		case storage.Delete:
			_ = c.Delete(ctx, o.Key)
		}
	}
	return nil
}

// Close has nothing to release.
func (*diskClient) Close(context.Context) error { return nil }

// control is a control plane: an extension that has the policy in force.
type control struct {
	component.StartFunc
	component.ShutdownFunc
	snapshot *policy.Snapshot
}

var _ policy.Source = (*control)(nil)

// Policy returns the snapshot in force.
func (c *control) Policy() *policy.Snapshot { return c.snapshot }

// machine is the host of processes: it keeps the extensions over restarts.
type machine map[component.ID]component.Component

// GetExtensions returns them.
func (m machine) GetExtensions() map[component.ID]component.Component { return m }

var (
	diskID    = component.MustNewID("disk")
	controlID = component.MustNewID("control")
)

var errFull = errors.New("no space left on device")

// failingClient cannot write.
type failingClient struct{ storage.Client }

// Set fails.
func (failingClient) Set(context.Context, string, []byte) error { return errFull }
