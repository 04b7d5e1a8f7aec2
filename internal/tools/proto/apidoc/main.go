// Command apidoc writes docs/api-reference.md from the proto files of the API, with their comments; from the table of who may
// do what, and from the reasons of refusals. The examples in the file stay as they are: `go test ./docs -rewrite` runs them
// and writes their answers.
//
//	apidoc -root ../../.. [-check]
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed reference.md.tmpl
var page string

const (
	reference       = "docs/api-reference.md"
	protoRoot       = "control/api/proto"
	permissionsFile = "control/access/testdata/permissions.txt"
	faultFile       = "control/api/fault/fault.go"
)

func main() {
	root := flag.String("root", ".", "root of the repository")
	check := flag.Bool("check", false, "write nothing, and fail if the file is not current")
	flag.Parse()
	if err := run(context.Background(), *root, *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root string, check bool) error {
	name := filepath.Join(root, reference)
	present, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := generate(ctx, root, readExamples(string(present)))
	if err != nil {
		return err
	}
	if check {
		if !bytes.Equal(text, present) {
			return fmt.Errorf("%s is not current", reference)
		}
		return nil
	}
	return os.WriteFile(name, text, 0o644) //nolint:gosec // documents are for everybody to read
}

// content is what the template gets.
type content struct {
	Services    []*serviceDoc
	Messages    []*messageDoc
	Reasons     []reason
	Permissions []permission
	// Examples are those that belong to no RPC.
	Examples map[string]string
}

func generate(ctx context.Context, root string, examples map[string]string) ([]byte, error) {
	var c content
	files, err := compile(ctx, filepath.Join(root, protoRoot))
	if err != nil {
		return nil, err
	}
	permissions, err := readPermissions(filepath.Join(root, permissionsFile))
	if err != nil {
		return nil, err
	}
	if c.Reasons, err = readReasons(filepath.Join(root, faultFile)); err != nil {
		return nil, err
	}
	d := documenter{examples: examples, permissions: permissions}
	if c.Services, err = d.services(files); err != nil {
		return nil, err
	}
	c.Messages, c.Permissions, c.Examples = d.messages(files), permissions, examples
	t, err := template.New("reference").Funcs(template.FuncMap{"anchor": anchor, "rpc": rpc}).Parse(page)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, c); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// anchor is what a heading is called in a link.
func anchor(heading string) string { return strings.ToLower(strings.ReplaceAll(heading, ".", "")) }

// rpc is the name of an RPC without its service.
func rpc(name string) string {
	_, name, _ = strings.Cut(name, ".")
	return name
}
