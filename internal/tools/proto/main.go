// Command proto generates the Go code and the OpenAPI description of the API from its proto files. It needs no protoc: the
// files that ours import (google/api, google/protobuf) come from Go modules, as descriptors.
//
//	proto -plugins DIR -in control/api/proto -go control/api/phoenixv1 -openapi control/api/openapi
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	_ "google.golang.org/genproto/googleapis/api/annotations" // google/api/annotations.proto
	_ "google.golang.org/genproto/googleapis/api/httpbody"    // google/api/httpbody.proto
)

func main() {
	var (
		plugins = flag.String("plugins", "", "directory with protoc-gen-go and protoc-gen-go-grpc")
		in      = flag.String("in", "", "root of the proto files")
		goOut   = flag.String("go", "", "directory for the Go code")
		apiOut  = flag.String("openapi", "", "directory for the OpenAPI description")
	)
	flag.Parse()
	if err := run(context.Background(), *plugins, *in, *goOut, *apiOut); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, plugins, in, goOut, apiOut string) error {
	request, err := compile(ctx, in)
	if err != nil {
		return err
	}
	for _, p := range []struct{ name, parameter, out string }{
		{"protoc-gen-go", "paths=source_relative", goOut},
		{"protoc-gen-go-grpc", "paths=source_relative", goOut},
	} {
		request.Parameter = new(p.parameter)
		if err := generate(ctx, filepath.Join(plugins, p.name), request, p.out); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return writeOpenAPI(ctx, request, apiOut)
}

// compile reads all proto files below root and returns the request that every plugin gets.
func compile(ctx context.Context, root string) (*pluginpb.CodeGeneratorRequest, error) {
	names, err := protoFiles(root)
	if err != nil {
		return nil, err
	}
	registered := protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		d, err := protoregistry.GlobalFiles.FindFileByPath(path)
		if err != nil {
			return protocompile.SearchResult{}, err
		}
		return protocompile.SearchResult{Proto: protodesc.ToFileDescriptorProto(d)}, nil
	})
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: []string{root}}, registered,
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", root, err)
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names}
	seen := map[string]bool{}
	for _, f := range files {
		appendFile(request, f, seen)
	}
	// Options of other packages are bytes to the compiler until the request is read with their types linked in.
	raw, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	linked := &pluginpb.CodeGeneratorRequest{}
	return linked, proto.Unmarshal(raw, linked)
}

func protoFiles(root string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".proto") {
			rel, errRel := filepath.Rel(root, path)
			names, err = append(names, filepath.ToSlash(rel)), errRel
		}
		return err
	})
	if err == nil && len(names) == 0 {
		err = errors.New("no proto files below " + root)
	}
	slices.Sort(names)
	return names, err
}

// appendFile adds a file after all that it imports, as plugins expect it.
func appendFile(request *pluginpb.CodeGeneratorRequest, f protoreflect.FileDescriptor, seen map[string]bool) {
	if seen[f.Path()] {
		return
	}
	seen[f.Path()] = true
	imports := f.Imports()
	for i := range imports.Len() {
		appendFile(request, imports.Get(i).FileDescriptor, seen)
	}
	var d *descriptorpb.FileDescriptorProto
	if result, ok := f.(interface {
		FileDescriptorProto() *descriptorpb.FileDescriptorProto
	}); ok {
		d = result.FileDescriptorProto()
	} else {
		d = protodesc.ToFileDescriptorProto(f)
	}
	request.ProtoFile = append(request.ProtoFile, d)
}

// generate runs one plugin and writes its files, without the directories of the proto package.
func generate(ctx context.Context, plugin string, request *pluginpb.CodeGeneratorRequest, out string) error {
	raw, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, plugin)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(raw), os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		return err
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(answer, response); err != nil {
		return err
	}
	if response.GetError() != "" {
		return errors.New(response.GetError())
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // sources are for everybody to read
		return err
	}
	for _, f := range response.GetFile() {
		name := filepath.Join(out, filepath.Base(f.GetName()))
		if err := os.WriteFile(name, []byte(f.GetContent()), 0o644); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return nil
}
