package archtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDocsNameTargetsThatExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	targets := MakeTargets(string(makefile))
	require.Contains(t, targets, "build")
	docs, err := LoadDocs(root)
	require.NoError(t, err)
	require.NotEmpty(t, docs)
	for _, d := range docs {
		for _, found := range CheckTargets(d, targets) {
			t.Error(found)
		}
	}
}

func TestDocsLinksLeadSomewhere(t *testing.T) {
	docs, err := LoadDocs(root)
	require.NoError(t, err)
	for _, d := range docs {
		for _, found := range CheckLinks(root, d) {
			t.Error(found)
		}
	}
}

func TestCheckTargets(t *testing.T) {
	targets := MakeTargets("export A := 1\nB = 2\n.PHONY: build\nbuild: a b ## Build\n\tgo build\ntest-race: export C = 1\ntest-race:\n")
	assert.Equal(t, []string{"build", "test-race", "test-race"}, targets)

	f := func(text string, want ...string) {
		t.Helper()
		assert.Equal(t, want, CheckTargets(Doc{Path: "README.md", Text: text}, targets))
	}
	f("Say `make build test-race` and make progress.")
	f("`make build VERSION=1 anything`")
	f("Say `make fly`.", "README.md: make fly: the Makefile has no such target")
	f("```sh\ncd phoenix\nmake fly\n```", "README.md: make fly: the Makefile has no such target")
	f("```sh\ngit clone x && make -j2 build\n```")
	f("`cmake fly`")
}

func TestCheckLinks(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "docs"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "LICENSE"), nil, 0o600))
	f := func(text string, want ...string) {
		t.Helper()
		assert.Equal(t, want, CheckLinks(dir, Doc{Path: "docs/guide.md", Text: text}))
	}
	f("[licence](../LICENSE), [docs](../docs/#top), [here](#here), [site](https://example.com/x), `[code](nowhere)`")
	f("[licence](LICENSE)", "docs/guide.md: the link to LICENSE leads nowhere")
}
