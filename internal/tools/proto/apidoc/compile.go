package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/genproto/googleapis/api/annotations"
	_ "google.golang.org/genproto/googleapis/api/httpbody" // google/api/httpbody.proto
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// compile reads all proto files below root, with their comments.
func compile(ctx context.Context, root string) (linker.Files, error) {
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".proto") {
			rel, errRel := filepath.Rel(root, path)
			names, err = append(names, filepath.ToSlash(rel)), errRel
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	linked := protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		d, err := protoregistry.GlobalFiles.FindFileByPath(path)
		if err != nil {
			return protocompile.SearchResult{}, err
		}
		return protocompile.SearchResult{Proto: protodesc.ToFileDescriptorProto(d)}, nil
	})
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: []string{root}}, linked,
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", root, err)
	}
	return files, nil
}

// route is where an RPC is to be found over REST.
type route struct {
	Method, Path string
	// Body is the field that the body has, * for all that are not in the path, or empty.
	Body string
}

// routeOf reads the option google.api.http.
func routeOf(m protoreflect.MethodDescriptor) (route, error) {
	// The compiler has the options as bytes of an unknown extension until they are read with its type linked in.
	raw, err := proto.Marshal(m.Options())
	if err != nil {
		return route{}, err
	}
	options := &descriptorpb.MethodOptions{}
	if err := proto.Unmarshal(raw, options); err != nil {
		return route{}, err
	}
	rule, ok := proto.GetExtension(options, annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return route{}, fmt.Errorf("%s has no google.api.http", m.FullName())
	}
	r := route{Body: rule.GetBody()}
	switch {
	case rule.GetGet() != "":
		r.Method, r.Path = "GET", rule.GetGet()
	case rule.GetPost() != "":
		r.Method, r.Path = "POST", rule.GetPost()
	case rule.GetPut() != "":
		r.Method, r.Path = "PUT", rule.GetPut()
	case rule.GetDelete() != "":
		r.Method, r.Path = "DELETE", rule.GetDelete()
	default:
		return route{}, fmt.Errorf("%s has a verb that apidoc does not know", m.FullName())
	}
	return r, nil
}

// comment is what stands above a declaration, and behind it.
func comment(d protoreflect.Descriptor) string {
	at := d.ParentFile().SourceLocations().ByDescriptor(d)
	return strings.Join(strings.Fields(at.LeadingComments+" "+at.TrailingComments), " ")
}
