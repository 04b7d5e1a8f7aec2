package archive

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/phoenix-platform/phoenix/control/store"
)

// Read gives each record of a backup to use, in order, and then checks the
// checksum: what use has done counts only if Read returns nil. The error of use
// is returned as it is, and that of r, too. But if use finds the content wrong
// (store.ErrCorrupt, store.ErrChainBroken) the rest is still read: a wrong
// checksum says more about why.
func Read(r io.Reader, use func(Record) error) error {
	source := &source{r: r}
	err := read(source, use)
	if source.err != nil {
		return fmt.Errorf("read the backup: %w", source.err)
	}
	return err
}

func read(source io.Reader, use func(Record) error) error {
	packed, err := gzip.NewReader(source)
	if err != nil {
		return damaged(0, "it does not begin as a backup: "+err.Error())
	}
	l := lines{in: bufio.NewReaderSize(packed, 1<<16), sum: sha256.New()}
	if err := l.header(); err != nil {
		return err
	}
	var wrong error
	for {
		line, err := l.next()
		if err != nil {
			return err
		}
		r, end, err := parse(line)
		switch {
		case err != nil:
			return damaged(l.n, err.Error())
		case end == nil:
			l.sum.Write(line)
			if wrong == nil {
				wrong = use(r)
			}
			if wrong != nil && !errors.Is(wrong, store.ErrCorrupt) && !errors.Is(wrong, store.ErrChainBroken) {
				return wrong
			}
		case end.Records != l.n-2: // the header and this one
			return damaged(l.n, fmt.Sprintf("it ends after %d records instead of %d", l.n-2, end.Records))
		case end.SHA256 != store.Digest(l.sum.Sum(nil)):
			return damaged(l.n, "the checksum is wrong")
		default:
			return cmp.Or(l.end(), wrong)
		}
	}
}

// source remembers why reading stopped.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// lines reads lines of bounded length.
type lines struct {
	in  *bufio.Reader
	sum hash.Hash
	n   int
	buf []byte
}

// next returns a line with its end. It is valid until the following call.
func (l *lines) next() ([]byte, error) {
	l.n++
	l.buf = l.buf[:0]
	for {
		piece, err := l.in.ReadSlice('\n')
		l.buf = append(l.buf, piece...)
		switch {
		case len(l.buf) > maxLine:
			return nil, damaged(l.n, "it is too long")
		case err == nil:
			return l.buf, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, damaged(l.n, "the backup is cut off: "+err.Error())
		}
	}
}

func (l *lines) header() error {
	line, err := l.next()
	if err != nil {
		return err
	}
	l.sum.Write(line)
	var h header
	// A later version may say more here.
	if err := json.Unmarshal(line, &h); err != nil {
		return damaged(l.n, err.Error())
	}
	switch {
	case h.Version < 1:
		return damaged(l.n, "it is not a backup of a Phoenix store")
	case h.Version > Version:
		return fmt.Errorf("the backup is of format %d, this program reads up to %d: %w; restore it with the program that wrote it or a newer one",
			h.Version, Version, store.ErrNewerSchema)
	}
	return nil
}

// end refuses what follows the end, and reads up to the checksum of gzip.
func (l *lines) end() error {
	if _, err := l.in.ReadByte(); !errors.Is(err, io.EOF) {
		return damaged(l.n, "something follows the end")
	}
	return nil
}

var errRecord = errors.New("it is not exactly one record")

// parse reads a line, which is a record or the end.
func parse(line []byte) (Record, *trailer, error) {
	var either struct {
		Record
		End *trailer `json:"end"`
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&either); err != nil {
		return Record{}, nil, err
	}
	set := either.set()
	if either.End != nil {
		set++
	}
	if _, err := decoder.Token(); set != 1 || !errors.Is(err, io.EOF) {
		return Record{}, nil, errRecord
	}
	if h := either.History; h != nil && len(h.Fine)+len(h.Coarse) > MaxPoints {
		return Record{}, nil, fmt.Errorf("it has more than %d points", MaxPoints)
	}
	return either.Record, either.End, nil
}

func damaged(line int, reason string) error {
	return fmt.Errorf("%w backup, line %d: %s", store.ErrCorrupt, line, reason)
}
