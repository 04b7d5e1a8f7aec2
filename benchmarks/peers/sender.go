package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// sender sends requests over a fixed number of connections.
type sender struct {
	url         string
	connections int
	client      http.Client
}

func newSender(url string, connections int) *sender {
	return &sender{url: url, connections: connections, client: http.Client{Transport: &http.Transport{
		MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, DisableCompression: true, WriteBufferSize: 64 << 10,
	}}}
}

// send sends the bodies in order, one a connection at a time, and returns when
// all are answered. The first answer that is not a plain yes ends it.
func (s *sender) send(ctx context.Context, bodies [][]byte) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range s.connections {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return
				}
				if err := s.post(ctx, bodies[i]); err != nil {
					cancel(fmt.Errorf("request %d: %w", i, err))
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (s *sender) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("answered %s: %.200q", response.Status, text)
	}
	answer := pmetricotlp.NewExportResponse()
	if err := answer.UnmarshalProto(text); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if n := answer.PartialSuccess().RejectedDataPoints(); n > 0 {
		return fmt.Errorf("%d points refused: %s", n, answer.PartialSuccess().ErrorMessage())
	}
	return nil
}

func (s *sender) close() { s.client.CloseIdleConnections() }
