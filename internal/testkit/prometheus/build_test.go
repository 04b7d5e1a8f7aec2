package prometheus

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBuildsAtTheSameTimeLeaveOneWholeFile(t *testing.T) {
	target := filepath.Join(t.TempDir(), "key", "prometheus")
	var all, begun sync.WaitGroup
	const builders = 8
	begun.Add(builders)
	for range builders {
		all.Go(func() {
			assert.NoError(t, place(target, func(path string) error {
				begun.Done()
				begun.Wait() // nobody is done before all have begun
				return os.WriteFile(path, []byte("whole"), 0o755)
			}))
		})
	}
	all.Wait()
	content, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Equal(t, "whole", string(content))
	assertOnly(t, filepath.Dir(target), "prometheus")
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	target := filepath.Join(t.TempDir(), "key", "prometheus")
	broken := errors.New("no such module")
	err := place(target, func(path string) error {
		require.NoError(t, os.WriteFile(path, []byte("half"), 0o600))
		return broken
	})
	require.ErrorIs(t, err, broken)
	assertOnly(t, filepath.Dir(target))
}

func TestCacheKeyIsThatOfTheModule(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		key, err := cacheKey(t.Context(), dir)
		if name == "go.mod" {
			return "" // go.sum is still missing
		}
		require.NoError(t, err)
		return key
	}
	write("go.mod", "module x\n")
	first := write("go.sum", "a\n")
	assert.Len(t, first, 16)
	assert.NotEqual(t, first, write("go.sum", "b\n"))
	assert.Equal(t, first, write("go.sum", "a\n"))
	write("go.mod", "module y\n")
	assert.NotEqual(t, first, write("go.sum", "a\n"))
}

func TestBinaryTakesTheOneThatIsNamed(t *testing.T) {
	mine := filepath.Join(t.TempDir(), "prometheus")
	t.Setenv(BinaryVariable, mine)
	_, err := Binary(t.Context(), nil)
	require.ErrorContains(t, err, BinaryVariable+": ")

	require.NoError(t, os.WriteFile(mine, nil, 0o755))
	path, err := Binary(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, mine, path)
}

func TestModuleIsFoundInTheCheckoutOnly(t *testing.T) {
	dir, err := moduleDir(t.Context())
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(dir, "go.sum"))

	t.Chdir(t.TempDir())
	_, err = moduleDir(t.Context())
	require.ErrorContains(t, err, "inside of the checkout")
}

// assertOnly says what a directory holds.
func assertOnly(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	assert.Equal(t, want, names)
}
