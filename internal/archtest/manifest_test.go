package archtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestManifestNamesWhatTheTreeHolds(t *testing.T) {
	m, err := LoadManifest(filepath.Join(root, "builder-config.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, m.Entries)
	tree, err := TreeComponents(root)
	require.NoError(t, err)
	for _, found := range CheckManifest(m, tree) {
		t.Error(found)
	}
}

func TestManifestAgreesWithGoMod(t *testing.T) {
	m, err := LoadManifest(filepath.Join(root, "builder-config.yaml"))
	require.NoError(t, err)
	required, err := Required(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	for _, found := range CheckVersions(m, required) {
		t.Error(found)
	}
}

func TestManifestAndBinaryHaveOneVersion(t *testing.T) {
	m, err := LoadManifest(filepath.Join(root, "builder-config.yaml"))
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "distributions", "phoenix-collector", "version.go"))
	require.NoError(t, err)
	assert.Contains(t, string(text), `var version = "`+m.Version+`"`)
}

const smallManifest = `
dist: {version: 1.2.3}
receivers:
  - gomod: example.com/receiver v0.1.0
processors:
  - gomod: github.com/phoenix-platform/phoenix v0.0.0
    import: github.com/phoenix-platform/phoenix/processor/oneprocessor
    path: .
`

func TestCheckManifest(t *testing.T) {
	m, err := parseManifest([]byte(smallManifest))
	require.NoError(t, err)
	assert.Equal(t, "1.2.3", m.Version)
	assert.Empty(t, CheckManifest(m, []string{"processor/oneprocessor"}))
	assert.Equal(t, []string{
		"connector/twoconnector has a factory and is not in builder-config.yaml: add it and run make generate",
		"builder-config.yaml names processor/oneprocessor, which has no factory.go",
	}, CheckManifest(m, []string{"connector/twoconnector"}))
}

func TestCheckVersions(t *testing.T) {
	m, err := parseManifest([]byte(smallManifest))
	require.NoError(t, err)
	assert.Empty(t, CheckVersions(m, map[string]string{"example.com/receiver": "v0.1.0"}))
	assert.Equal(t, []string{`builder-config.yaml wants example.com/receiver v0.1.0, go.mod has "v0.2.0"`},
		CheckVersions(m, map[string]string{"example.com/receiver": "v0.2.0"}))
	assert.Len(t, CheckVersions(m, nil), 1)
}

func TestParseManifestRefuses(t *testing.T) {
	_, err := parseManifest([]byte("receivers:\n  - gomod: example.com/receiver\n"))
	require.ErrorContains(t, err, `gomod "example.com/receiver" has no version`)
	_, err = parseManifest([]byte("receivers: 1\n"))
	require.ErrorContains(t, err, "read manifest")
}

func TestRequired(t *testing.T) {
	file := filepath.Join(t.TempDir(), "go.mod")
	text := "module m\n\ngo 1.26.0\n\nrequire a v1.0.0\n\nrequire (\n\tb v2.0.0\n\tc v0.0.1 // indirect\n)\n\nreplace d => ./d\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	required, err := Required(file)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "v1.0.0", "b": "v2.0.0", "c": "v0.0.1"}, required)
}

func TestTreeComponents(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"processor/one/factory.go", "connector/two/factory.go", "processor/empty/doc.go", "control/three/factory.go"} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, nil, 0o600))
	}
	tree, err := TreeComponents(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{"processor/one", "connector/two"}, tree)
}
