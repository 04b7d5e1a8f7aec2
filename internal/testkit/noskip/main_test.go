package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write the reports in testdata again; read the difference before you commit it")

// Each testdata/<case>.json is what a real `go test -json` wrote (times and directories shortened), <case>.txt what
// noskip makes of it. The last line of the report is the verdict.
func TestReport(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			in, err := os.ReadFile(file)
			require.NoError(t, err)
			var out bytes.Buffer
			sum, err := read(bytes.NewReader(in), &out)
			require.NoError(t, err)
			if sum.print(&out) {
				out.WriteString("=> good\n")
			} else {
				out.WriteString("=> bad\n")
			}

			golden := strings.TrimSuffix(file, ".json") + ".txt"
			if *rewrite {
				require.NoError(t, os.WriteFile(golden, out.Bytes(), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), out.String())
		})
	}
}

func TestReadTellsWhenItsInputBreaks(t *testing.T) {
	cause := errors.New("pipe broke")
	_, err := read(iotest.ErrReader(cause), new(bytes.Buffer))
	require.ErrorIs(t, err, cause)
}

func TestLinesMayBeLong(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	in := `{"Action":"output","Package":"p","Test":"T","Output":"` + long + `"}` + "\n" +
		`{"Action":"fail","Package":"p","Test":"T"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n"
	var out bytes.Buffer
	sum, err := read(strings.NewReader(in), &out)
	require.NoError(t, err)
	assert.Equal(t, []string{"p.T"}, sum.failed)
	assert.Contains(t, out.String(), long)
}
