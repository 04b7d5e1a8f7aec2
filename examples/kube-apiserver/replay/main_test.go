package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRunServesUntilTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--listen", "127.0.0.1:0", "--rounds", "../rounds", "--interval", "0"}, write, io.Discard)
		_ = write.CloseWithError(io.EOF)
		done <- err
	}()
	lines := bufio.NewScanner(read)
	require.True(t, lines.Scan())
	assert.Regexp(t, `^Serving 4 rounds of ../rounds at http://127\.0\.0\.1:\d+/metrics, a new one every scrape until the last$`, lines.Text())
	url := regexp.MustCompile(`http://\S+/metrics`).FindString(lines.Text())

	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	answered := make(chan int, 1)
	go func() {
		response, err := client.Get(url)
		if err != nil {
			answered <- 0
			return
		}
		defer response.Body.Close()
		n, _ := io.Copy(io.Discard, response.Body)
		answered <- int(n)
	}()
	require.True(t, lines.Scan(), "the scrape is announced")
	assert.Equal(t, "Scrape 1: round 006.prom.gz", lines.Text())
	assert.Greater(t, <-answered, 1_000_000)

	cancel()
	require.NoError(t, <-done)
}

func TestRunRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"an unknown flag":     {[]string{"--nope"}, "flag provided but not defined"},
		"an argument":         {[]string{"rounds"}, `unexpected argument "rounds"`},
		"an empty folder":     {[]string{"--rounds", "."}, "read .: list rounds: no file matches"},
		"a negative interval": {[]string{"--rounds", "../rounds", "--interval", "-1s"}, "interval: "},
		"a bad address":       {[]string{"--rounds", "../rounds", "--listen", "127.0.0.1:99999"}, "invalid port"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), tc.args, io.Discard, io.Discard)
			require.ErrorContains(t, err, tc.want)
		})
	}
}
