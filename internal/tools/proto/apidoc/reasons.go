package main

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// reason is why a request is refused.
type reason struct {
	Name, HTTP, GRPC, Meaning string
}

// readReasons reads the constants of the package fault, their comments, and the table of their codes.
func readReasons(name string) ([]reason, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var all []reason
	codes := map[string]string{}
	byConstant := map[string]int{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "Reason" && len(n.Values) == 1 {
				text, _ := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
				status, meaning, _ := strings.Cut(strings.TrimSpace(n.Comment.Text()), ":")
				byConstant[n.Names[0].Name] = len(all)
				all = append(all, reason{Name: text, HTTP: status, Meaning: strings.TrimSpace(meaning)})
			}
		case *ast.KeyValueExpr:
			key, isName := n.Key.(*ast.Ident)
			pair, isPair := n.Value.(*ast.CompositeLit)
			if isName && isPair && len(pair.Elts) == 2 {
				if code, ok := pair.Elts[1].(*ast.SelectorExpr); ok {
					codes[key.Name] = wireCode(code.Sel.Name)
				}
			}
		}
		return true
	})
	for constant, i := range byConstant {
		all[i].GRPC = codes[constant]
	}
	if len(all) == 0 || len(codes) != len(all) {
		return nil, errors.New(name + ": the reasons and their codes are not where apidoc looks for them")
	}
	return all, nil
}

var humps = regexp.MustCompile(`([a-z])([A-Z])`)

// wireCode makes INVALID_ARGUMENT of InvalidArgument, as the gRPC specification writes it.
func wireCode(name string) string {
	return strings.ToUpper(humps.ReplaceAllString(name, "${1}_$2"))
}
