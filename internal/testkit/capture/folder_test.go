package capture_test

import (
	"bytes"
	"compress/gzip"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

func packed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestReadSortsRoundsAndSkipsOtherFiles(t *testing.T) {
	rounds, err := capture.Read(fstest.MapFS{
		"010.prom.gz": {Data: packed(t, "up 3\n")},
		"002.prom.gz": {Data: packed(t, "up 2\n")},
		"001.prom.gz": {Data: packed(t, "up 1\n")},
		"README.md":   {Data: []byte("not a round")},
	})
	require.NoError(t, err)
	assert.Equal(t, []capture.Round{
		{Name: "001.prom.gz", Text: []byte("up 1\n")},
		{Name: "002.prom.gz", Text: []byte("up 2\n")},
		{Name: "010.prom.gz", Text: []byte("up 3\n")},
	}, rounds)
}

func TestReadRefuses(t *testing.T) {
	whole := packed(t, "up 1\n")
	for name, tc := range map[string]struct {
		folder fstest.MapFS
		want   string
	}{
		"an empty folder":  {fstest.MapFS{}, "no file matches *.prom.gz"},
		"what is not gzip": {fstest.MapFS{"1.prom.gz": {Data: []byte("up 1")}}, `read round "1.prom.gz": `},
		"a truncated file": {fstest.MapFS{"1.prom.gz": {Data: whole[:len(whole)-3]}}, `read round "1.prom.gz": unexpected EOF`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := capture.Read(tc.folder)
			require.ErrorContains(t, err, tc.want)
		})
	}
}
