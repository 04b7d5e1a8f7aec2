package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/phoenix-platform/phoenix/examples/consolidate-kubernetes/playlist"
)

type sender struct {
	endpoint string
	convert  *converter
	pause    time.Duration
	out      io.Writer
}

// send sends the steps one after the other. A pass has one start time, before
// its first point: the server that is recorded began then, with all counters at
// zero.
func (s *sender) send(ctx context.Context, steps []playlist.Step) error {
	tick := time.NewTicker(s.pause)
	defer tick.Stop()
	var start time.Time
	for i, step := range steps {
		if i == 0 || step.Pass != steps[i-1].Pass {
			start = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		md, err := s.convert.metrics(step.Round, start, time.Now())
		if err != nil {
			return err
		}
		if err := s.post(ctx, md); err != nil {
			return fmt.Errorf("send %s: %w", step.Round.Name, err)
		}
		fmt.Fprintln(s.out, step.Played())
	}
	return nil
}

func (s *sender) post(ctx context.Context, md pmetric.Metrics) error {
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint+"/v1/metrics", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	const enough = 64 << 10
	said, err := io.ReadAll(io.LimitReader(response.Body, enough))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, said)
	}
	answer := pmetricotlp.NewExportResponse()
	if err := answer.UnmarshalProto(said); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if partial := answer.PartialSuccess(); partial.RejectedDataPoints() > 0 {
		return fmt.Errorf("%d points were rejected: %s", partial.RejectedDataPoints(), partial.ErrorMessage())
	}
	return nil
}
