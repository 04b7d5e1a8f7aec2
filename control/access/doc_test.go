package access

import (
	"go/doc/comment"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.yaml.in/yaml/v3"
)

// TestExampleOfTheDocumentation reads the example of the package's
// documentation, asks each of its questions and compares the answers.
func TestExampleOfTheDocumentation(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	require.NoError(t, err)
	var blocks []string
	for _, b := range new(comment.Parser).Parse(file.Doc.Text()).Content {
		if code, ok := b.(*comment.Code); ok {
			blocks = append(blocks, code.Text)
		}
	}
	require.Len(t, blocks, 3)
	var raw map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(blocks[1]), &raw))
	cfg := DefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(raw).Unmarshal(&cfg))
	g, err := New(cfg)
	require.NoError(t, err)

	rows := strings.Split(strings.TrimSpace(blocks[2]), "\n")[1:]
	for _, row := range rows {
		cells := regexp.MustCompile(` {2,}`).Split(row, 4)
		require.Len(t, cells, 4, row)
		p := example(cells[0])
		resource, verb, _ := strings.Cut(cells[1], ".")
		namespace := strings.TrimPrefix(cells[2], "-")
		d := g.Authorize(p, Verb(verb), Resource(resource), namespace)
		told := d.Caller
		if d.Allowed() {
			told = "allowed"
			if verb == string(List) {
				told += ", sees " + seen(g.Visible(p, Verb(verb), Resource(resource)))
			}
		}
		assert.Equal(t, cells[3], told, row)
	}
	assert.Len(t, rows, 12)
}

// example reads a principal as the example writes it.
func example(text string) Principal {
	name, more, _ := strings.Cut(text, " ")
	kind, id, _ := strings.Cut(name, ":")
	p := Principal{Kind: Kind(kind), ID: id}
	more = strings.Trim(more, "()")
	if claim, value, found := strings.Cut(more, "="); found {
		p.Claims = map[string][]string{claim: {value}}
	} else if more != "" {
		p.Groups = []string{more}
	}
	if p.Kind == KindAPIKey {
		p.grants = holder("editor:shop", "viewer:*").grants
	}
	return p
}

func seen(n Namespaces) string {
	if n.All() {
		return "all"
	}
	return strings.Join(n.Filter(), " ")
}
