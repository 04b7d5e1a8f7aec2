package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 4241 4241 0 -1 4194560 1234 0 7 0 250 31 0 0 20 0 9 0 123456 1271808000 5433 18446744073709551615"
	for name, program := range map[string]string{"plain": "(collector)", "spaces and brackets": "(a ) S 1 (b)"} {
		t.Run(name, func(t *testing.T) {
			used, err := parseStat([]byte("4241 " + program + rest))
			require.NoError(t, err)
			assert.Equal(t, 2810*time.Millisecond, used)
		})
	}
}

func TestParseStatRefusesWhatItIsNot(t *testing.T) {
	for text, message := range map[string]string{
		"":            "no program name",
		"1 (a) S 1 2": "3 fields behind the name",
		"1 (a) S 1 2 3 4 5 6 7 8 9 10 eleven 12 13": "eleven",
	} {
		_, err := parseStat([]byte(text))
		assert.ErrorContains(t, err, message)
	}
}

func TestParsePeak(t *testing.T) {
	peak, err := parsePeak([]byte("Name:\tcollector\nVmPeak:\t 1241996 kB\nVmHWM:\t   66028 kB\nVmRSS:\t   60000 kB\n"))
	require.NoError(t, err)
	assert.Equal(t, int64(66028)<<10, peak)
	_, err = parsePeak([]byte("Name:\tcollector\n"))
	require.EqualError(t, err, "/proc/<pid>/status: no VmHWM")
	_, err = parsePeak([]byte("VmHWM:\t 12 pages\n"))
	require.ErrorContains(t, err, "12 pages")
}

func TestUsageOfThisProcess(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; { // work
	}
	after, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, after, before)
	peak, err := peakMemory(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, peak, int64(1<<20))
}
