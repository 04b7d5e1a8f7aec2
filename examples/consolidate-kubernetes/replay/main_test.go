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

const bothFolders = "../../kube-apiserver/rounds,../rounds"

func TestRunServesUntilTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--listen", "127.0.0.1:0", "--rounds", bothFolders}, write, io.Discard)
		_ = write.CloseWithError(io.EOF)
		done <- err
	}()
	lines := bufio.NewScanner(read)
	require.True(t, lines.Scan())
	assert.Regexp(t, `^Serving 11 rounds at http://127\.0\.0\.1:\d+$`, lines.Text())
	url := regexp.MustCompile(`http://\S+`).FindString(lines.Text()) + "/metrics"

	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	go func() {
		if response, err := client.Get(url); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	}()
	require.True(t, lines.Scan(), "the scrape is announced")
	assert.Equal(t, "Played 006.prom.gz, pass 1", lines.Text())

	cancel()
	require.NoError(t, <-done)
}

func TestRunRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"an unknown flag":  {[]string{"--nope"}, "flag provided but not defined"},
		"an argument":      {[]string{"rounds"}, `unexpected argument "rounds"`},
		"an empty folder":  {[]string{"--rounds", "."}, "read .: list rounds: no file matches"},
		"no scrape at all": {[]string{"--rounds", bothFolders, "--scrapes", "0"}, "scrapes: "},
		"an unknown round": {[]string{"--rounds", bothFolders, "--hold", "009.prom.gz,999"}, `hold: there is no round "999"`},
		"a bad address":    {[]string{"--rounds", bothFolders, "--listen", "127.0.0.1:99999"}, "invalid port"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), tc.args, io.Discard, io.Discard)
			require.ErrorContains(t, err, tc.want)
		})
	}
}
