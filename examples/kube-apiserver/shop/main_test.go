package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	require.NoError(t, err)
	defer func() { assert.NoError(t, response.Body.Close()) }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(body)
}

func TestRunServesPodsAndTheirTargets(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"--listen", "127.0.0.1:0", "--pods", "3", "--pace", "1ms"}, write, io.Discard)
	}()
	line, err := bufio.NewReader(read).ReadString('\n')
	require.NoError(t, err)
	var targets []struct {
		Targets []string
		Labels  map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(get(t, regexp.MustCompile(`http://\S+`).FindString(line))), &targets))
	require.Len(t, targets, 3)
	assert.Equal(t, "cart-1", targets[1].Labels["pod"])

	url := "http://" + targets[1].Targets[0] + targets[1].Labels["__metrics_path__"]
	assert.Eventually(t, func() bool { // the counter of the commonest answer moves
		return regexp.MustCompile(`shop_http_requests_total\{code="200",route="/cart"\} [1-9]`).MatchString(get(t, url))
	}, 10*time.Second, 10*time.Millisecond)
	series := 0
	for line := range strings.Lines(get(t, url)) {
		if !strings.HasPrefix(line, "#") {
			series++
		}
	}
	assert.Equal(t, 9+3*8, series)
	cancel()
	require.NoError(t, <-done)
}

func TestRunRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown flag": {"--nope"}, "an argument": {"more"}, "no pods": {"--pods", "0"}, "no pace": {"--pace", "0"},
		"a bad address": {"--listen", "127.0.0.1:99999"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Error(t, run(t.Context(), args, io.Discard, io.Discard))
		})
	}
}
