package main

import (
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func names(rows []row) string {
	var list []string
	for _, r := range rows {
		list = append(list, r.name)
	}
	return strings.Join(list, " ")
}

func TestChooseRows(t *testing.T) {
	rows, missing, err := chooseRows("", "collector", "vmagent")
	require.NoError(t, err)
	assert.Equal(t, "nop forward consolidation cardinality_consolidation metrics_transform batch_metrics_transform vmagent", names(rows))
	assert.Empty(t, missing)

	rows, missing, err = chooseRows("", "collector", "")
	require.NoError(t, err)
	assert.NotContains(t, names(rows), "vmagent")
	assert.Equal(t, []string{"vmagent is left out: PHOENIX_PEERS_VMAGENT does not name its binary"}, missing)

	rows, _, err = chooseRows("consolidation,nop", "collector", "")
	require.NoError(t, err)
	assert.Equal(t, "nop consolidation", names(rows))

	_, _, err = chooseRows("vmagent", "collector", "")
	require.ErrorContains(t, err, "PHOENIX_PEERS_VMAGENT must name the binary")
	_, _, err = chooseRows("", "", "")
	require.ErrorContains(t, err, "PHOENIX_PEERS_COLLECTOR must name the binary")
	_, _, err = chooseRows("nop,none", "collector", "")
	require.EqualError(t, err, `-rows: there is no row "none"`)
}

func TestEveryRowHasAConfigurationAndEveryConfigurationARow(t *testing.T) {
	entries, err := configs.ReadDir("configs")
	require.NoError(t, err)
	var files []string
	for _, e := range entries {
		files = append(files, strings.TrimSuffix(e.Name(), configEnding))
	}
	var rows []string
	for _, r := range allRows {
		rows = append(rows, r.name)
	}
	assert.ElementsMatch(t, rows, files)
}

func TestOptionsReportAllErrorsAtOnce(t *testing.T) {
	err := run(t.Context(), strings.Fields("-rounds 0 -warmup 0 -interval 1500ms -compression zstd -pods-per-request 7"), io.Discard, io.Discard)
	require.EqualError(t, err, "-rounds: must be positive\n-warmup: must be positive\n-interval: must be whole seconds, got 1.5s\n"+
		"-compression: must be gzip or none, got \"zstd\"\npods a request: must divide the pods of a service, 50, got 7")
}

func TestCommandNamesNoPaths(t *testing.T) {
	var o options
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	o.register(flags)
	assert.Equal(t, "make bench-peers", command(flags))
	require.NoError(t, flags.Parse(strings.Fields("-rounds 3 -out /x/y -profiles /z -rows nop")))
	assert.Equal(t, "make bench-peers BENCH_PEERS='-rounds 3 -rows nop'", command(flags))
}
