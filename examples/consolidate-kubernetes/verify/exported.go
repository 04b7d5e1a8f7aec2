package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// exported is what the collector handed on.
type exported struct {
	outputs   map[string]*output
	resources map[string]bool
}

// output is one stream, for Prometheus.
type output struct {
	metric  string
	points  []point
	streams map[string]bool // what OTLP takes for one
}

// point is one point of an output.
type point struct {
	start, time pcommon.Timestamp
	stale       bool
	numbers     numbers
}

// latest returns the last point that has a value.
func (o *output) latest() *point {
	for _, p := range slices.Backward(o.points) {
		if !p.stale {
			return &p
		}
	}
	return nil
}

// increases returns what an output grew by from its beginning: its last value,
// and where it began anew those before, exact. Values count from the start
// time, so the first one is an increase, too.
func (o *output) increases() map[number]*big.Rat {
	grown := map[number]*big.Rat{}
	var last *point
	end := func() {
		for n, v := range last.numbers {
			part := new(big.Rat)
			if part.SetFloat64(v) == nil {
				continue // missing, then
			}
			if grown[n] == nil {
				grown[n] = new(big.Rat)
			}
			grown[n].Add(grown[n], part)
		}
	}
	for i := range o.points {
		p := &o.points[i]
		if p.stale {
			continue
		}
		if last != nil && last.start != p.start {
			end()
		}
		last = p
	}
	if last != nil {
		end()
	}
	return grown
}

// readExported reads files of the file exporter, in the order in which they
// were written.
func readExported(paths []string) (*exported, error) {
	e := &exported{outputs: map[string]*output{}, resources: map[string]bool{}}
	for i, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		// A collector that was killed may have left half a line.
		if err := e.read(text, i < len(paths)-1); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return e, nil
}

var errHalf = errors.New("the last line is not finished")

func (e *exported) read(text []byte, killed bool) error {
	if end := bytes.LastIndexByte(text, '\n') + 1; end < len(text) {
		if !killed {
			return errHalf
		}
		text = text[:end]
	}
	lines := bufio.NewReader(bytes.NewReader(text))
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		md, err := new(pmetric.JSONUnmarshaler).UnmarshalMetrics(line)
		if err == nil {
			err = e.add(md)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
}

func (e *exported) add(md pmetric.Metrics) error {
	for _, rm := range md.ResourceMetrics().All() {
		resource := fmt.Sprint(rm.Resource().Attributes().AsRaw())
		e.resources[resource] = true
		for _, sm := range rm.ScopeMetrics().All() {
			scope := sm.Scope().Name() + " " + sm.Scope().Version()
			for _, m := range sm.Metrics().All() {
				if err := e.addMetric(resource+scope, m); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (e *exported) addMetric(from string, m pmetric.Metric) error {
	enter := func(p interface {
		Attributes() pcommon.Map
		StartTimestamp() pcommon.Timestamp
		Timestamp() pcommon.Timestamp
		Flags() pmetric.DataPointFlags
	}, n numbers,
	) {
		labels := map[string]string{}
		for name, v := range p.Attributes().All() {
			if text := v.AsString(); text != "" {
				labels[name] = text
			}
		}
		k := key(m.Name(), labels)
		o := e.outputs[k]
		if o == nil {
			o = &output{metric: m.Name(), streams: map[string]bool{}}
			e.outputs[k] = o
		}
		o.streams[fmt.Sprint(from, m.Type(), m.Unit(), p.Attributes().AsRaw())] = true
		o.points = append(o.points, point{start: p.StartTimestamp(), time: p.Timestamp(), stale: p.Flags().NoRecordedValue(), numbers: n})
	}
	switch m.Type() {
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			enter(p, numberOf(p))
		}
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			enter(p, numberOf(p))
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			n, err := histogramOf(p)
			if err != nil {
				return fmt.Errorf("%s: %w", m.Name(), err)
			}
			enter(p, n)
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			enter(p, summaryOf(p))
		}
	default:
		return fmt.Errorf("%s is a %s", m.Name(), m.Type())
	}
	return nil
}

func numberOf(p pmetric.NumberDataPoint) numbers {
	v := p.DoubleValue()
	if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		v = float64(p.IntValue()) // below 2^53 here
	}
	return numbers{{kind: value}: v}
}

// histogramOf adds the buckets up as Prometheus has them.
func histogramOf(p pmetric.HistogramDataPoint) (numbers, error) {
	n := numbers{}
	n.add(p.Count(), p.Sum())
	if p.Flags().NoRecordedValue() {
		return n, nil
	}
	if p.BucketCounts().Len() != p.ExplicitBounds().Len()+1 {
		return nil, fmt.Errorf("%d buckets, %d bounds", p.BucketCounts().Len(), p.ExplicitBounds().Len())
	}
	var below uint64
	for i, c := range p.BucketCounts().All() {
		below += c
		at := math.Inf(1)
		if i < p.ExplicitBounds().Len() {
			at = p.ExplicitBounds().At(i)
		}
		n[number{bucket, at}] = float64(below)
	}
	if below != p.Count() {
		return nil, fmt.Errorf("buckets hold %d, count is %d", below, p.Count())
	}
	return n, nil
}

func summaryOf(p pmetric.SummaryDataPoint) numbers {
	n := numbers{}
	n.add(p.Count(), p.Sum())
	for _, q := range p.QuantileValues().All() {
		n[number{quantile, q.Quantile()}] = q.Value()
	}
	return n
}
