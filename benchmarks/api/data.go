package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

const (
	seriesAMetric   = 20 // pods, two routes each
	metricsARequest = 100
)

func metricName(i int) string { return fmt.Sprintf("service_%02d_requests_%04d_total", i%20, i) }

// requests encodes what reports n metrics of seriesAMetric series once.
func requests(n int) ([][]byte, error) {
	var bodies [][]byte
	now := pcommon.NewTimestampFromTime(time.Now())
	for first := 0; first < n; first += metricsARequest {
		m := pmetric.NewMetrics()
		resource := m.ResourceMetrics().AppendEmpty()
		resource.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%02d", first/metricsARequest%20))
		scope := resource.ScopeMetrics().AppendEmpty()
		for i := first; i < min(first+metricsARequest, n); i++ {
			metric := scope.Metrics().AppendEmpty()
			metric.SetName(metricName(i))
			sum := metric.SetEmptySum()
			sum.SetIsMonotonic(true)
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			for s := range seriesAMetric {
				p := sum.DataPoints().AppendEmpty()
				p.SetTimestamp(now)
				p.SetStartTimestamp(now - 60e9)
				p.SetIntValue(int64(i + s))
				p.Attributes().PutStr("pod", fmt.Sprintf("pod-%02d", s/2))
				p.Attributes().PutStr("route", fmt.Sprintf("/route/%d", s%2))
				p.Attributes().PutStr("code", "200")
			}
		}
		body, err := pmetricotlp.NewExportRequestFromMetrics(m).MarshalProto()
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

func (c *collector) send(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.otlp+"/v1/metrics", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("send: %s: %.200q", response.Status, text)
	}
	return nil
}

// sendAll sends each body once, and returns how long that took.
func (c *collector) sendAll(ctx context.Context, bodies [][]byte) (time.Duration, error) {
	begin := time.Now()
	for _, body := range bodies {
		if err := c.send(ctx, body); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

// sendEvery sends the bodies over and over, one each interval, until ctx ends.
func (c *collector) sendEvery(ctx context.Context, bodies [][]byte, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := c.send(ctx, bodies[i%len(bodies)]); err != nil && ctx.Err() == nil {
			return err
		}
	}
}
