package main

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestNumbers(t *testing.T) {
	f := func(want, got string) {
		t.Helper()
		assert.Equal(t, want, got)
	}
	f("0", count(0))
	f("999", count(999))
	f("1,000", count(1_000))
	f("9,007,199,254,740,992", count(float64(1<<53)))
	f("~12,345", about(12_345, true))
	f("12,345", about(12_345, false))
	f("0", rate(0))
	f("0.3", rate(0.26))
	f("9.9", rate(9.94))
	f("10", rate(9.96))
	f("1,235", rate(1_234.6))
	f("-1,235", rate(-1_234.6))
	f("98.0%", percent(0.98))
	f("1 metric", counted(1, "metric"))
	f("2,000 metrics", counted(2_000, "metric"))
	f("10m", shortDuration(10*time.Minute))
	f("1h", shortDuration(time.Hour))
	f("1h0m5s", shortDuration(time.Hour+5*time.Second))
	f("20s", shortDuration(20*time.Second))
	f("1.5 MiB", size(1_572_864))
	midnight := time.Date(2026, time.March, 15, 0, 5, 0, 0, time.FixedZone("", 3600))
	f("2026-03-14 23:00:00 to 23:05:00 UTC", span(midnight.Add(-5*time.Minute), midnight))
	f("2026-03-14 23:05:00 to 2026-03-15 00:05:00 UTC", span(midnight, midnight.Add(time.Hour)))
}

func TestYAMLIsTheSameAsJSON(t *testing.T) {
	const answer = `{"z":1,"a":[],"o":{},"nil":null,"t":true,"f":1.5,"e":1e+21,"big":18446744073709551615,
		"strings":["true","null","1","1e3","","- x","a: b","~","\u0000\u001b\u007f\u0085\u2028\ufeff","é😀"," x ","multi\nline","2026-03-14"]}`
	var out bytes.Buffer
	require.NoError(t, printYAML(&out, json.RawMessage(answer)))
	var want, got map[string]any
	in := json.NewDecoder(bytes.NewReader([]byte(answer)))
	in.UseNumber()
	require.NoError(t, in.Decode(&want))
	require.NoError(t, yaml.Unmarshal(out.Bytes(), &got), out.String())
	assert.Equal(t, want["strings"], got["strings"])
	assert.Equal(t, uint64(math.MaxUint64), got["big"])
	assert.InEpsilon(t, 1e21, got["e"], 1e-12)
	assert.Nil(t, got["nil"])
	assert.Regexp(t, `^z: 1\na: \[\]\no: \{\}\nnil: null\n`, out.String(), "in the order of the API")
	require.Error(t, printYAML(&out, json.RawMessage(`{"a":`)))
	require.Error(t, printYAML(&out, json.RawMessage(`[1,`)))
	require.Error(t, printJSON(&out, json.RawMessage(`{"a":`)))
}
