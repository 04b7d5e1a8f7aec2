package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// readRemoteWrite reads a prometheus.WriteRequest of version 1 (see
// https://prometheus.io/docs/specs/prw/remote_write_spec/) and calls note for
// every sample. Of the messages it knows the fields that say what was measured:
//
//	WriteRequest { repeated TimeSeries timeseries = 1 }
//	TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2 }
//	Label        { string name = 1; string value = 2 }
//	Sample       { double value = 1; int64 timestamp = 2 }
func readRemoteWrite(body []byte, note func(series string, r reading)) error {
	return eachField(body, func(number protowire.Number, value []byte, _ uint64) error {
		if number != 1 {
			return nil // metadata
		}
		return readTimeSeries(value, note)
	})
}

func readTimeSeries(body []byte, note func(series string, r reading)) error {
	var labels []string
	var samples []reading
	err := eachField(body, func(number protowire.Number, value []byte, _ uint64) error {
		switch number {
		case 1:
			label, err := readLabel(value)
			labels = append(labels, label)
			return err
		case 2:
			sample, err := readSample(value)
			samples = append(samples, sample)
			return err
		default:
			return nil
		}
	})
	if err != nil {
		return err
	}
	slices.Sort(labels)
	series := strings.Join(labels, "\t")
	for _, s := range samples {
		note(series, s)
	}
	return nil
}

func readLabel(body []byte) (string, error) {
	var parts [2]string
	err := eachField(body, func(number protowire.Number, value []byte, _ uint64) error {
		if number == 1 || number == 2 {
			parts[number-1] = string(value)
		}
		return nil
	})
	return parts[0] + "=" + parts[1], err
}

func readSample(body []byte) (reading, error) {
	var r reading
	err := eachField(body, func(number protowire.Number, _ []byte, scalar uint64) error {
		switch number {
		case 1:
			r.value = math.Float64frombits(scalar)
		case 2:
			r.time = int64(scalar) //nolint:gosec // G115: an int64 on the wire is its two's complement
		default: // of a later version
		}
		return nil
	})
	return r, err
}

// eachField calls f for the fields of a message: with the bytes of those that
// have a length, with the bits of the others.
func eachField(body []byte, f func(number protowire.Number, value []byte, scalar uint64) error) error {
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return protowire.ParseError(n)
		}
		body = body[n:]
		var value []byte
		var scalar uint64
		switch kind {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(body)
		case protowire.VarintType:
			scalar, n = protowire.ConsumeVarint(body)
		case protowire.Fixed64Type:
			scalar, n = protowire.ConsumeFixed64(body)
		default:
			return fmt.Errorf("field %d has wire type %d", number, kind)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		body = body[n:]
		if err := f(number, value, scalar); err != nil {
			return err
		}
	}
	return nil
}
