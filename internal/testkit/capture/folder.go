package capture

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
)

// RoundPattern is what the files of a capture's folder are called.
const RoundPattern = "*.prom.gz"

// Round is one scrape: everything that one target exposed at one time.
type Round struct {
	// Name is the file's base name, such as "006.prom.gz".
	Name string
	// Text is the exposition text, uncompressed.
	Text []byte
}

// Read returns the rounds of a folder in the order of their names. A folder
// without rounds is an error.
func Read(folder fs.FS) ([]Round, error) {
	names, err := fs.Glob(folder, RoundPattern)
	if err != nil {
		return nil, fmt.Errorf("list rounds: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("list rounds: no file matches %s", RoundPattern)
	}
	slices.Sort(names)
	rounds := make([]Round, 0, len(names))
	for _, name := range names {
		text, err := readRound(folder, name)
		if err != nil {
			return nil, fmt.Errorf("read round %q: %w", name, err)
		}
		rounds = append(rounds, Round{Name: filepath.Base(name), Text: text})
	}
	return rounds, nil
}

func readRound(folder fs.FS, name string) ([]byte, error) {
	packed, err := fs.ReadFile(folder, name)
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r) // a truncated file is an error here
}
