package archive

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/phoenix-platform/phoenix/control/store"
)

// Writer writes a backup.
type Writer struct {
	packed  *gzip.Writer
	lines   *bufio.Writer
	sum     hash.Hash
	records int
}

// NewWriter begins a backup that was taken at a time.
func NewWriter(w io.Writer, now time.Time) (*Writer, error) {
	packed := gzip.NewWriter(w)
	a := &Writer{packed: packed, sum: sha256.New()}
	a.lines = bufio.NewWriterSize(io.MultiWriter(packed, a.sum), 1<<16)
	err := a.line(header{Version: Version, Created: now})
	return a, err
}

// Write adds a record.
func (a *Writer) Write(r Record) error {
	a.records++
	return a.line(r)
}

func (a *Writer) line(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode a record of the backup: %w", err)
	}
	if _, err := a.lines.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

// Close ends the backup. Without it no reader takes the backup for whole.
func (a *Writer) Close() error {
	if err := a.lines.Flush(); err != nil { // the sum is of all lines before
		return fmt.Errorf("write the backup: %w", err)
	}
	end := struct {
		End trailer `json:"end"`
	}{trailer{Records: a.records, SHA256: store.Digest(a.sum.Sum(nil))}}
	if err := a.line(end); err != nil {
		return err
	}
	if err := a.lines.Flush(); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if err := a.packed.Close(); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}
