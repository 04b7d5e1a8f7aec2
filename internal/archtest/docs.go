package archtest

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Doc is one Markdown document.
type Doc struct {
	Path string // relative to the root, with slashes
	Text string
}

// LoadDocs reads the Markdown documents below root.
func LoadDocs(root string) ([]Doc, error) {
	names, err := files(root, ".md")
	if err != nil {
		return nil, err
	}
	var docs []Doc
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		docs = append(docs, Doc{Path: name, Text: string(text)})
	}
	return docs, nil
}

var (
	codePattern   = regexp.MustCompile("(?s)```.*?```|`[^`\n]+`")
	makePattern   = regexp.MustCompile(`(?m)(?:^|[\s;&|(` + "`" + `])make((?:[ \t]+[A-Za-z][\w.=:/-]*)+)`)
	linkPattern   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	targetPattern = regexp.MustCompile(`(?m)^([a-zA-Z0-9_-]+):(?:[^=]|$)`)
)

// MakeTargets returns the targets that a Makefile defines.
func MakeTargets(makefile string) []string {
	var targets []string
	for _, m := range targetPattern.FindAllStringSubmatch(makefile, -1) {
		targets = append(targets, m[1])
	}
	return targets
}

// CheckTargets returns a sentence for each `make target` in the code of a document that the Makefile does not define.
func CheckTargets(d Doc, targets []string) []string {
	var found []string
	for _, code := range codePattern.FindAllString(d.Text, -1) {
		for _, m := range makePattern.FindAllStringSubmatch(code, -1) {
			for word := range strings.FieldsSeq(m[1]) {
				if strings.ContainsAny(word, "=./:") { // a variable, or the prose behind the command
					break
				}
				if !slices.Contains(targets, word) {
					found = append(found, fmt.Sprintf("%s: make %s: the Makefile has no such target", d.Path, word))
				}
			}
		}
	}
	return found
}

// CheckLinks returns a sentence for each relative link that leads nowhere.
func CheckLinks(root string, d Doc) []string {
	var found []string
	for _, m := range linkPattern.FindAllStringSubmatch(codePattern.ReplaceAllString(d.Text, ""), -1) {
		u, err := url.Parse(m[1])
		if err != nil {
			found = append(found, fmt.Sprintf("%s: link %q: %v", d.Path, m[1], err))
			continue
		}
		if u.Scheme != "" || u.Host != "" || u.Path == "" {
			continue
		}
		target := filepath.Join(root, filepath.FromSlash(d.Path), "..", filepath.FromSlash(u.Path))
		if _, err := os.Stat(target); err != nil {
			found = append(found, fmt.Sprintf("%s: the link to %s leads nowhere", d.Path, m[1]))
		}
	}
	return found
}
