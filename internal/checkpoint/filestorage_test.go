package checkpoint_test

import (
	"strconv"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// openFile is what a processor does to get its storage.
func openFile(t *testing.T, directory string) storage.Client {
	t.Helper()
	factory := filestorage.NewFactory()
	config := factory.CreateDefaultConfig().(*filestorage.Config)
	config.Directory = directory
	extension, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	require.NoError(t, extension.Start(t.Context(), componenttest.NewNopHost()))
	client, err := extension.(storage.Extension).GetClient(t.Context(), component.KindProcessor, component.MustNewID("tag_consolidation"), "")
	require.NoError(t, err)
	return client
}

// TestKilledOverFileStorage is TestKilledAfterEveryOperation over the storage that people use; the file is closed and opened
// between one process and the next.
func TestKilledOverFileStorage(t *testing.T) {
	play := func(t *testing.T, left int, torn bool) int {
		directory := t.TempDir()
		kv := &memory{left: left, torn: torn, file: openFile(t, directory)}
		d := newDrama(t.Context(), t, kv, everyKind())
		d.reopen = func() {
			require.NoError(t, kv.file.Close(t.Context()))
			kv.file = openFile(t, directory)
		}
		d.play()
		operations := kv.operations
		d.end(left != 0 && (left != 1 || torn))
		require.NoError(t, kv.file.Close(t.Context()))
		return operations
	}
	total := play(t, -1, false)
	for n := 0; n < total; n += 3 {
		t.Run(strconv.Itoa(n), func(t *testing.T) { play(t, n, n%2 == 1) })
	}
}
