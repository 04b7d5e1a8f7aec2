package tagconsolidationprocessor

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const stored = dropPod + `storage: file_storage
checkpoint: 1m
`

// storageHost has the file storage extension of the distribution.
type storageHost struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h storageHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

func newStorageHost(t *testing.T, directory string) storageHost {
	t.Helper()
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config) //nolint:forcetypeassert // it is
	cfg.Directory = directory
	extension, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, extension.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, extension.Shutdown(context.WithoutCancel(t.Context()))) })
	return storageHost{
		Host:       componenttest.NewNopHost(),
		extensions: map[component.ID]component.Component{component.MustNewID("file_storage"): extension},
	}
}

// crash ends the process without a word: what is in the storage stays there.
func (r *rig) crash() {
	r.t.Helper()
	require.NoError(r.t, r.c.state.client.Close(r.t.Context()))
}

// restart starts another process over the storage of the first.
func (r *rig) restart() *rig {
	r.t.Helper()
	return newRigOf(r.t, r.c.config, r.host, r.now)
}

func storedRig(t *testing.T) *rig {
	t.Helper()
	cfg, err := loadConfig(t, stored)
	require.NoError(t, err)
	return newRigOf(t, cfg, newStorageHost(t, t.TempDir()), epoch)
}

// value is the one point that was emitted.
func value(t *testing.T, out []pmetric.Metrics) pmetric.NumberDataPoint {
	t.Helper()
	require.Len(t, out, 1)
	require.Equal(t, 1, out[0].DataPointCount())
	return out[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
}

func (r *rig) sendCounts(start time.Time, values map[string]int64) {
	r.t.Helper()
	r.now = r.now.Add(time.Second)
	r.send(counters(start, r.now, values))
}

func TestKilledBetweenFlushAndCheckpoint(t *testing.T) {
	r := storedRig(t)
	start := epoch.Add(time.Millisecond)
	r.sendCounts(start, map[string]int64{"a": 10, "b": 20})
	require.EqualValues(t, 30, value(t, r.turn()).IntValue())
	r.c.writeCheckpoint(t.Context())
	r.sendCounts(start, map[string]int64{"a": 15, "b": 25})
	first := value(t, r.turn())
	require.EqualValues(t, 40, first.IntValue())
	r.sendCounts(start, map[string]int64{"a": 17, "b": 30}) // acknowledged, in no checkpoint
	r.crash()

	r = r.restart()
	r.sendCounts(start, map[string]int64{"a": 18})
	behind := value(t, r.turn())
	require.EqualValues(t, 40, behind.IntValue(), "b has not come back: what was shown is the floor")
	require.Equal(t, first.StartTimestamp(), behind.StartTimestamp(), "the same stream")
	r.sendCounts(start, map[string]int64{"a": 19, "b": 33})
	require.EqualValues(t, 52, value(t, r.turn()).IntValue(), "caught up: 19 + 33")
}

func TestShutdownKeepsEverything(t *testing.T) {
	r := storedRig(t)
	start := epoch.Add(time.Millisecond)
	r.sendCounts(start, map[string]int64{"a": 10})
	require.EqualValues(t, 10, value(t, r.end()).IntValue(), "a last flush")
	secret, writer := r.c.state.identity.Secret, r.c.state.identity.Writer
	r = r.restart()
	require.Equal(t, secret, r.c.state.identity.Secret)
	require.Equal(t, writer, r.c.state.identity.Writer)
	r.sendCounts(start, map[string]int64{"a": 11, "new": 5})
	require.EqualValues(t, 16, value(t, r.turn()).IntValue())
}

func TestWriterIsKept(t *testing.T) {
	host := newStorageHost(t, t.TempDir())
	cfg, err := loadConfig(t, "storage: file_storage\n")
	require.NoError(t, err)
	r := newRigOf(t, cfg, host, epoch)
	writer := r.c.state.identity.Writer
	require.Len(t, writer, 16)
	r.crash() // at once
	require.Equal(t, writer, r.restart().c.state.identity.Writer)
}

func TestRuleThatIsGoneEndsItsOutputs(t *testing.T) {
	r := storedRig(t)
	start := epoch.Add(time.Millisecond)
	r.sendCounts(start, map[string]int64{"a": 10})
	r.turn()
	r.end()
	cfg, err := loadConfig(t, "interval: 10s\nwriter: none\nstorage: file_storage\n")
	require.NoError(t, err)
	r = newRigOf(t, cfg, r.host, r.now)
	require.True(t, value(t, r.turn()).Flags().NoRecordedValue())
	require.Empty(t, r.turn())
}

func TestDamagedStateIsSetAside(t *testing.T) {
	directory := t.TempDir()
	cfg, err := loadConfig(t, stored)
	require.NoError(t, err)
	host := newStorageHost(t, directory)
	r := newRigOf(t, cfg, host, epoch)
	r.sendCounts(epoch.Add(time.Second), map[string]int64{"a": 10})
	r.turn()
	require.NoError(t, r.c.state.client.Set(t.Context(), "head", []byte("something else")))
	r.crash()
	r = r.restart()
	r.sendCounts(r.now, map[string]int64{"a": 12})
	out := value(t, r.turn())
	require.EqualValues(t, 12, out.IntValue())
	require.Greater(t, out.StartTimestamp().AsTime(), epoch, "a new start: the outputs began anew")
	files, err := filepath.Glob(filepath.Join(directory, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	_, err = os.Stat(files[0])
	require.NoError(t, err)
}

func TestStorageThatIsMissing(t *testing.T) {
	r := storedRig(t)
	cfg := *r.c.config
	c, err := newConsolidator(nopSettings(), &cfg, r.sink)
	require.NoError(t, err)
	require.ErrorContains(t, c.begin(t.Context(), componenttest.NewNopHost()),
		"storage: there is no extension file_storage; add it to service.extensions")
}
