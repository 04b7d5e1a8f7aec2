package playlist_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/examples/consolidate-kubernetes/playlist"
)

func folder(t *testing.T, names ...string) string {
	t.Helper()
	path := t.TempDir()
	for _, name := range names {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write([]byte("up 1\n"))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.NoError(t, os.WriteFile(filepath.Join(path, name+".prom.gz"), packed.Bytes(), 0o600))
	}
	return path
}

func played(steps []playlist.Step) []playlist.Played {
	var all []playlist.Played
	for _, s := range steps {
		all = append(all, s.Played())
	}
	return all
}

func TestReadJoinsFoldersAndBeginsAgain(t *testing.T) {
	steps, err := playlist.Read(folder(t, "2", "1")+","+folder(t, "3"), 2)
	require.NoError(t, err)
	assert.Equal(t, []playlist.Played{
		{Name: "1.prom.gz", Pass: 1},
		{Name: "2.prom.gz", Pass: 1},
		{Name: "3.prom.gz", Pass: 1},
		{Name: "1.prom.gz", Pass: 2},
		{Name: "2.prom.gz", Pass: 2},
	}, played(steps))
	assert.Equal(t, "up 1\n", string(steps[4].Round.Text))
}

func TestReadRefuses(t *testing.T) {
	one := folder(t, "1")
	for name, tc := range map[string]struct {
		folders string
		again   int
		want    string
	}{
		"a round twice":       {one + "," + folder(t, "1"), 0, "round 1.prom.gz is in two folders"},
		"an empty folder":     {one + "," + folder(t), 0, "list rounds: no file matches"},
		"more than there are": {one, 2, "again: must be between 0 and the 1 rounds, got 2"},
		"less than none":      {one, -1, "again: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := playlist.Read(tc.folders, tc.again)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestALogIsReadAsItWasWritten(t *testing.T) {
	a, b := playlist.Played{Name: "a.prom.gz", Pass: 1}, playlist.Played{Name: "a.prom.gz", Pass: 2}
	log := strings.Join([]string{"Serving 2 rounds", a.String(), a.String(), "Waiting", a.String(), b.String(), a.String()}, "\n")
	got, err := playlist.ParseLog(strings.NewReader(log))
	require.NoError(t, err)
	assert.Equal(t, []playlist.Played{a, b, a}, got)
}

func TestABrokenLogIsRefused(t *testing.T) {
	for _, line := range []string{"Played a.prom.gz", "Played a.prom.gz, pass x"} {
		_, err := playlist.ParseLog(strings.NewReader(line))
		require.ErrorContains(t, err, line)
	}
}
