package contexts

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFileIsReadAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "config.yaml")
	file, err := Load(path)
	require.NoError(t, err)
	assert.Equal(t, File{}, file)

	file.Set("prod", Context{Address: "https://phoenix.example", Credential: "phx_secret", CA: "/ca.pem", Namespace: "shop"})
	file.Set("dev", Context{Address: "unix:///run/p.sock", Cert: "/c", Key: "/k", InsecureSkipTLSVerify: true, InsecurePlaintext: true})
	file.Current = "prod"
	require.NoError(t, file.Save(path))
	got, err := Load(path)
	require.NoError(t, err)
	assert.Equal(t, file, got)
	assert.Equal(t, []string{"dev", "prod"}, got.Names())

	// Only the user reads it, and it is replaced as a whole
	for name, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), name)
	}
	delete(got.Contexts, "dev")
	require.NoError(t, os.Chmod(path, 0o400)) // a file that cannot be written to is still replaced
	require.NoError(t, got.Save(path))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file must stay")
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestSaveFollowsALink(t *testing.T) {
	dir := t.TempDir()
	link, target := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "dotfiles.yaml")
	require.NoError(t, File{Current: "a"}.Save(target))
	require.NoError(t, os.Symlink(target, link))
	require.NoError(t, File{Current: "b"}.Save(link))
	got, err := Load(target)
	require.NoError(t, err)
	assert.Equal(t, "b", got.Current)
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink)
}

func TestWhatOthersCanReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	file := File{Contexts: map[string]Context{"a": {Address: "x", Credential: "phx_secret"}}}
	require.NoError(t, file.Save(path))
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := Load(path)
		require.ErrorIs(t, err, ErrReadable)
		assert.Contains(t, err.Error(), "chmod 600 "+path)
		assert.NotContains(t, err.Error(), "phx_secret")
	}
	// Addresses are no secret
	file.Set("a", Context{Address: "x"})
	require.NoError(t, file.Save(path))
	require.NoError(t, os.Chmod(path, 0o644))
	_, err := Load(path)
	require.NoError(t, err)
}

func TestBadFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	f := func(text, want string) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Load(path)
		require.ErrorContains(t, err, want)
		assert.Contains(t, err.Error(), path)
	}
	f("contexts: {a: {url: x}}", "url")
	f("contexts: [", "did not find")
	_, err := Load(filepath.Dir(path))
	require.Error(t, err)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = Load(path)
	require.NoError(t, err, "an empty file holds no contexts")
	require.Error(t, File{}.Save(filepath.Join(path, "below", "a", "file")))
}

func TestPath(t *testing.T) {
	t.Setenv("PHOENIX_CONFIG", "/etc/phoenix.yaml")
	path, err := Path()
	require.NoError(t, err)
	assert.Equal(t, "/etc/phoenix.yaml", path)
	t.Setenv("PHOENIX_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", "/home/u/.config")
	t.Setenv("HOME", "/home/u")
	path, err = Path()
	require.NoError(t, err)
	assert.Equal(t, filepath.FromSlash("phoenix/config.yaml"), path[len(path)-len("phoenix/config.yaml"):])
}
