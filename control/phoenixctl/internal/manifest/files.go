package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// StandardInput is the name of a file that stands for it.
const StandardInput = "-"

// maxFiles bounds what is read from directories.
const maxFiles = 10_000

// Source says what to read.
type Source struct {
	// Names are files, directories, or StandardInput. Of a directory all .yaml,
	// .yml and .json files are read, by name.
	Names []string
	// Recursive reads directories below directories, too.
	Recursive bool
	// Stdin is standard input.
	Stdin io.Reader
}

var (
	errNothing   = errors.New("holds no document")
	errTooMany   = fmt.Errorf("more than %d files", maxFiles)
	errTwiceRead = errors.New("standard input can be read once only")
)

// Read returns the documents of all files. A Mistakes holds those of all files.
func Read(s Source) ([]Document, error) {
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	var (
		documents []Document
		mistakes  Mistakes
	)
	for _, file := range files {
		found, err := s.parse(file)
		wrong, ok := errors.AsType[Mistakes](err)
		if ok {
			mistakes = append(mistakes, wrong...)
		} else if err != nil {
			return nil, err
		}
		documents = append(documents, found...)
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	if len(documents) == 0 {
		return nil, fmt.Errorf("%s: %w", strings.ReplaceAll(strings.Join(s.Names, ", "), StandardInput, "standard input"), errNothing)
	}
	return documents, nil
}

func (s Source) parse(file string) ([]Document, error) {
	if file == StandardInput {
		return Parse("standard input", s.Stdin)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Parse(file, f)
}

func (s Source) files() ([]string, error) {
	var files []string
	for _, name := range s.Names {
		if name == StandardInput {
			if slices.Contains(files, name) {
				return nil, errTwiceRead
			}
			files = append(files, name)
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, name)
			continue
		}
		within, err := s.directory(name)
		if err != nil {
			return nil, err
		}
		files = append(files, within...)
	}
	if len(files) > maxFiles {
		return nil, errTooMany
	}
	return files, nil
}

func (s Source) directory(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && !s.Recursive:
			return fs.SkipDir
		case entry.IsDir():
			return nil
		case len(files) > maxFiles:
			return fs.SkipAll
		}
		if slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(path))) {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: %w", root, errNothing)
	}
	return files, nil
}
