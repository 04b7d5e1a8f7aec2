package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

const modulePath = "github.com/phoenix-platform/phoenix"

// Graph says which packages a package imports, tests apart.
type Graph map[string][]string

// LoadGraph asks the go command for every package of the module at dir and for all that they need.
func LoadGraph(dir string) (Graph, error) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Imports", "./...")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w: %s", dir, err, stderr.String())
	}
	g := make(Graph)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return g, nil
		}
		if err != nil {
			return nil, fmt.Errorf("go list in %s: %w", dir, err)
		}
		g[p.ImportPath] = p.Imports
	}
}

// Own returns the packages of this module, as paths relative to its root ("." is the root package), sorted.
func (g Graph) Own() []string {
	var own []string
	for pkg := range g {
		if rel, ok := relative(pkg); ok {
			own = append(own, rel)
		}
	}
	slices.Sort(own)
	return own
}

// Reach returns for each package that from needs, directly or not, the package through which it was found first.
func (g Graph) Reach(from string) map[string]string {
	via := map[string]string{}
	queue := []string{from}
	for len(queue) > 0 {
		pkg := queue[0]
		queue = queue[1:]
		for _, dep := range g[pkg] {
			if _, seen := via[dep]; !seen && dep != from {
				via[dep] = pkg
				queue = append(queue, dep)
			}
		}
	}
	return via
}

// chain renders the way from a package to what it reaches: a → b → c.
func chain(via map[string]string, from, to string) string {
	steps := []string{short(to)}
	for at := to; at != from; {
		at = via[at]
		steps = append(steps, short(at))
	}
	slices.Reverse(steps)
	return strings.Join(steps, " → ")
}

// relative turns the import path of a package of this module into "./dir".
func relative(pkg string) (string, bool) {
	if pkg == modulePath {
		return ".", true
	}
	rest, ok := strings.CutPrefix(pkg, modulePath+"/")
	return "./" + rest, ok
}

// short is how a package is written in rules and messages: own packages as ./dir, others by import path.
func short(pkg string) string {
	if rel, ok := relative(pkg); ok {
		return rel
	}
	return pkg
}

// full is the opposite of short.
func full(pkg string) string {
	if rest, ok := strings.CutPrefix(pkg, "./"); ok {
		return modulePath + "/" + rest
	}
	return pkg
}

// isStandard says whether an import path is of the standard library: its first element has no dot.
func isStandard(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(first, ".")
}

// matches says whether a package, written short, is one of the patterns: "std", a path with all below it, in which an
// element may be *, or "./...end", which is every package of this module whose path ends so.
func matches(pkg string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if p == "std" {
			return isStandard(pkg)
		}
		if start, end, ok := strings.Cut(p, "..."); ok {
			return strings.HasPrefix(pkg, start) && strings.HasSuffix(pkg, end)
		}
		_, ok := under(pkg, p)
		return ok
	})
}

// under says whether pkg is at or below the pattern, and returns the part of pkg that the pattern covers.
func under(pkg, pattern string) (string, bool) {
	have, want := strings.Split(pkg, "/"), strings.Split(pattern, "/")
	if len(have) < len(want) {
		return "", false
	}
	for i, element := range want {
		if element != "*" && element != have[i] {
			return "", false
		}
	}
	return strings.Join(have[:len(want)], "/"), true
}
