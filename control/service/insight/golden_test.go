package insight_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

var update = flag.Bool("update", false, "write the golden files")

// shown is a message as the REST door shows it, but for zero values.
func shown(tb testing.TB, m proto.Message) string {
	tb.Helper()
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	require.NoError(tb, err)
	var out bytes.Buffer // protojson puts blanks at random
	require.NoError(tb, json.Compact(&out, raw))
	compact := bytes.Clone(out.Bytes())
	out.Reset()
	require.NoError(tb, json.Indent(&out, compact, "", "  "))
	return out.String() + "\n"
}

func requireGolden(tb testing.TB, name, got string) {
	tb.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(tb, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(tb, err)
	require.Equal(tb, string(want), got)
}
