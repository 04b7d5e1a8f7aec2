package main

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/phoenix-platform/phoenix/internal/testkit/capture"
)

// The types of metrics.
const (
	kindCounter   = "counter"
	kindGauge     = "gauge"
	kindHistogram = "histogram"
	kindSummary   = "summary"
)

// sample is one point: a stream and its numbers at one time.
type sample struct {
	metric, kind string
	labels       map[string]string // without those that are empty
	numbers      numbers
}

// numbers are the values of one point. Each is a series of its own in
// Prometheus.
type numbers map[number]float64

// number names one value of a point.
type number struct {
	kind numberKind
	at   float64 // upper bound of a bucket, or quantile
}

type numberKind string

const (
	value    numberKind = "value"
	count    numberKind = "count"
	sum      numberKind = "sum"
	bucket   numberKind = "bucket" // cumulative, as in the text
	quantile numberKind = "quantile"
)

func (n number) isInf() bool { return math.IsInf(n.at, 1) }

func (n number) String() string {
	if n.kind == bucket || n.kind == quantile {
		return fmt.Sprintf("%s %g", n.kind, n.at)
	}
	return string(n.kind)
}

// key is the identity of a stream for Prometheus, which does not know labels
// without a value.
func key(metric string, labels map[string]string) string {
	var b strings.Builder
	b.WriteString(metric)
	b.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(labels)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name + "=" + strconv.Quote(labels[name]))
	}
	b.WriteByte('}')
	return b.String()
}

// readRound returns all points of a round, by stream.
func readRound(r capture.Round) (map[string]*sample, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(r.Text))
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", r.Name, err)
	}
	samples := map[string]*sample{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			s := readSample(m)
			s.metric = name
			for _, l := range m.GetLabel() {
				if l.GetValue() != "" {
					s.labels[l.GetName()] = l.GetValue()
				}
			}
			k := key(name, s.labels)
			if samples[k] != nil {
				return nil, fmt.Errorf("%s: %s is there twice", r.Name, k)
			}
			samples[k] = s
		}
	}
	return samples, nil
}

func readSample(m *dto.Metric) *sample {
	s := &sample{kind: kindGauge, labels: map[string]string{}, numbers: numbers{}}
	switch {
	case m.GetCounter() != nil:
		s.kind, s.numbers[number{kind: value}] = kindCounter, m.GetCounter().GetValue()
	case m.GetHistogram() != nil:
		s.kind = kindHistogram
		h := m.GetHistogram()
		s.numbers.add(h.GetSampleCount(), h.GetSampleSum())
		s.numbers[number{bucket, math.Inf(1)}] = float64(h.GetSampleCount())
		for _, b := range h.GetBucket() {
			s.numbers[number{bucket, b.GetUpperBound()}] = float64(b.GetCumulativeCount())
		}
	case m.GetSummary() != nil:
		s.kind = kindSummary
		s.numbers.add(m.GetSummary().GetSampleCount(), m.GetSummary().GetSampleSum())
		for _, q := range m.GetSummary().GetQuantile() {
			s.numbers[number{quantile, q.GetQuantile()}] = q.GetValue()
		}
	case m.GetGauge() != nil:
		s.numbers[number{kind: value}] = m.GetGauge().GetValue()
	default:
		s.numbers[number{kind: value}] = m.GetUntyped().GetValue()
	}
	return s
}

func (n numbers) add(c uint64, s float64) {
	n[number{kind: count}], n[number{kind: sum}] = float64(c), s
}
