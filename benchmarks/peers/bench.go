package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// bench runs the rows and holds what came of it.
type bench struct {
	options
	rows     []row
	missing  []string
	progress io.Writer
	results  map[string][]trial // by row, one a repetition
}

// runAll runs every row once a repetition, there and back in turns, so that
// what changes slowly on the machine does not favour a place in the order.
func (b *bench) runAll(ctx context.Context) error {
	for repetition := range b.repetitions {
		for i := range b.rows {
			r := b.rows[i]
			if repetition%2 == 1 {
				r = b.rows[len(b.rows)-1-i]
			}
			t, err := b.try(ctx, r)
			if err != nil {
				return fmt.Errorf("row %s: %w", r.name, err)
			}
			b.results[r.name] = append(b.results[r.name], t)
			fmt.Fprintf(b.progress, "%d/%d %-26s %.3f s/M\n", repetition+1, b.repetitions, r.name, t.perMillion())
		}
	}
	return nil
}

// losses returns an error for each row that promises exact sums and did not
// keep them.
func (b *bench) losses() error {
	var errs error
	for _, r := range b.rows {
		for i, t := range b.results[r.name] {
			if r.exact && t.kept != 1 {
				errs = errors.Join(errs, fmt.Errorf("row %s LOST data in repetition %d: the sums that arrived are %.6f of those sent", r.name, i+1, t.kept))
			}
		}
	}
	return errs
}

// has says whether a row was run.
func (b *bench) has(name string) bool { return len(b.results[name]) > 0 }

// each computes something of every repetition of a row.
func (b *bench) each(name string, f func(repetition int, t trial) float64) samples {
	s := make(samples, 0, b.repetitions)
	for i, t := range b.results[name] {
		s = append(s, f(i, t))
	}
	return s
}

// costs are the costs of a million points.
func (b *bench) costs(name string) samples {
	return b.each(name, func(_ int, t trial) float64 { return t.perMillion() })
}

// ratios are how many times as much a row costs as another, in the same
// repetition.
func (b *bench) ratios(name, to string) samples {
	return b.each(name, func(i int, t trial) float64 { return t.perMillion() / b.results[to][i].perMillion() })
}

// added is what a row costs more than only receiving.
func (b *bench) added(name string) samples {
	return b.each(name, func(i int, t trial) float64 { return t.perMillion() - b.results[rowNop][i].perMillion() })
}

// addedRatios are how many times as much a row adds as another.
func (b *bench) addedRatios(name, to string) samples {
	ours, theirs := b.added(name), b.added(to)
	return b.each(name, func(i int, _ trial) float64 { return ours[i] / theirs[i] })
}
