package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	maxFileLines = 400
	maxFuncLines = 60 // of the body; its braces and signature do not count
)

// Source is one hand-written Go file that is not a test.
type Source struct {
	Path string // relative to the root, with slashes
	File *ast.File
	Set  *token.FileSet
}

// skipDir says which directories hold no source of ours: what was built, what others wrote, other modules, inputs of tests.
func skipDir(rel string, d fs.DirEntry) bool {
	name := d.Name()
	return rel != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
		slices.Contains([]string{"node_modules", "testdata"}, name) || slices.Contains([]string{"bin", "dist"}, rel))
}

// files lists the files below root that have the ending, relative to root.
func files(root, ending string) ([]string, error) {
	var list []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if d.IsDir() && skipDir(rel, d) {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, ending) {
			list = append(list, filepath.ToSlash(rel))
		}
		return nil
	})
	return list, err
}

// LoadSource parses the hand-written Go files below root that are not tests.
func LoadSource(root string) ([]Source, error) {
	names, err := files(root, ".go")
	if err != nil {
		return nil, err
	}
	var list []Source
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(root, filepath.FromSlash(name)), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		if !ast.IsGenerated(file) {
			list = append(list, Source{Path: name, File: file, Set: set})
		}
	}
	return list, nil
}

// CheckSize returns a sentence for a file and for each function that is too long.
func CheckSize(s Source) []string {
	var found []string
	if n := s.Set.File(s.File.FileStart).LineCount(); n > maxFileLines {
		found = append(found, fmt.Sprintf("%s has %d lines, more than %d: give its second idea a file of its own", s.Path, n, maxFileLines))
	}
	for _, decl := range s.File.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		if n := s.line(f.Body.Rbrace) - s.line(f.Body.Lbrace) - 1; n > maxFuncLines {
			found = append(found, fmt.Sprintf("%s:%d: %s has %d lines, more than %d: name its parts", s.Path, s.line(f.Pos()), f.Name.Name, n, maxFuncLines))
		}
	}
	return found
}

func (s Source) line(p token.Pos) int { return s.Set.Position(p).Line }

// Names that say nothing about what is inside.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "misc"}

// CheckName returns a sentence when the file, a directory above it or its package has a name that says nothing.
func CheckName(s Source) []string {
	elements := strings.Split(strings.TrimSuffix(s.Path, path.Ext(s.Path)), "/")
	elements = append(elements, s.File.Name.Name)
	for _, element := range elements {
		for word := range strings.SplitSeq(element, "_") {
			if slices.Contains(emptyNames, word) {
				return []string{fmt.Sprintf("%s: the name %q says nothing about what is inside", s.Path, word)}
			}
		}
	}
	return nil
}

// What a pure package may not call: see the wall "pure control".
var clocks = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
}

// CheckPure returns a sentence for each goroutine and each look at the clock in a file of a pure package.
func CheckPure(s Source) []string {
	if !matches("./"+path.Dir(s.Path), pureControl) {
		return nil
	}
	var found []string
	ast.Inspect(s.File, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, fmt.Sprintf("%s:%d: a pure package starts no goroutine", s.Path, s.line(n.Pos())))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && slices.Contains(clocks[x.Name], n.Sel.Name) {
				found = append(found, fmt.Sprintf("%s:%d: a pure package takes the time as a value, not from %s.%s", s.Path, s.line(n.Pos()), x.Name, n.Sel.Name))
			}
		}
		return true
	})
	return found
}
