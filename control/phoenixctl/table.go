package main

import (
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// column is one column of a table.
type column struct {
	title string
	// number aligns the cells to the right.
	number bool
}

// table prints rows under their titles. Every cell is made printable.
type table struct {
	columns []column
	rows    [][]string
}

func (t *table) add(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = printable(cell)
	}
	t.rows = append(t.rows, row)
}

// print writes the table. Numbers are padded here because text/tabwriter
// aligns either all columns to the right or none.
func (t *table) print(w io.Writer) error {
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	lines := append([][]string{titles}, t.rows...)
	for i, c := range t.columns {
		if c.number {
			alignRight(lines, i)
		}
	}
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, line := range lines {
		if _, err := io.WriteString(out, strings.Join(line, "\t")+"\n"); err != nil {
			return err
		}
	}
	return out.Flush()
}

func alignRight(lines [][]string, i int) {
	width := 0
	for _, line := range lines {
		width = max(width, utf8.RuneCountInString(line[i]))
	}
	for _, line := range lines {
		line[i] = strings.Repeat(" ", width-utf8.RuneCountInString(line[i])) + line[i]
	}
}
