package manifest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
)

func parse(t *testing.T, text string) []Document {
	t.Helper()
	documents, err := Parse("f.yaml", strings.NewReader(text))
	require.NoError(t, err)
	return documents
}

func requireMessage(t *testing.T, want string, got proto.Message) {
	t.Helper()
	expected := got.ProtoReflect().New().Interface()
	require.NoError(t, protojson.Unmarshal([]byte(want), expected))
	assert.True(t, proto.Equal(expected, got), protojson.Format(got))
}

func TestAPolicyIsReadAsItsConfigurationIsWritten(t *testing.T) {
	p := &phoenixv1.Policy{}
	require.NoError(t, parse(t, `
# a comment
name: 007
spec:
  description: |
    two
    lines
  priority: -3
  rules:
    - match: &all
        metric: '*'
        types: [sum]
        resource: [{attribute: code, value: 200}, {attribute: gone, present: false}, {attribute: on, value: true}]
      attributes:
        drop: [pod]
        keep: []
        map: [{attribute: size, ranges: [{from: 0, to: 1e3, as: small}, {from: 1_000, as: 2026-03-11}]}]
        hash_buckets: [{attribute: user, buckets: 0x10}]
      limit: {max_series: 4294967295, fold: auto}
      scope: ~
    - match: *all
      limit: {max_series: 10, fold: [a, b]}
      experiment: {id: x, scope: {service.name: 1}}
`)[0].Into(p))
	requireMessage(t, `{
		"name": "007",
		"spec": {
			"description": "two\nlines\n", "priority": -3,
			"rules": [{
				"match": {"metric": "*", "types": ["sum"], "resource": [
					{"attribute": "code", "value": "200"}, {"attribute": "gone", "present": false}, {"attribute": "on", "value": "true"}]},
				"attributes": {"drop": ["pod"], "keep": [],
					"map": [{"attribute": "size", "ranges": [{"from": 0, "to": 1000, "as": "small"}, {"from": 1000, "as": "2026-03-11"}]}],
					"hash_buckets": [{"attribute": "user", "buckets": 16}]},
				"limit": {"max_series": 4294967295, "fold": "auto"}
			}, {
				"match": {"metric": "*", "types": ["sum"], "resource": [
					{"attribute": "code", "value": "200"}, {"attribute": "gone", "present": false}, {"attribute": "on", "value": "true"}]},
				"limit": {"max_series": 10, "fold": ["a", "b"]},
				"experiment": {"id": "x", "scope": {"service.name": "1"}}
			}]
		}
	}`, p)
}

func TestPricesNeedNoQuotes(t *testing.T) {
	m := &phoenixv1.PriceModel{}
	require.NoError(t, parse(t, `{"name": "n", "effective": 2026-03-11, "components": [
		{"kind": "fee", "price": 0.30, "per": 1e3, "aggregations": {"histogram": 5}, "tiers": [{"up_to": 10, "price": 19}]}],
		"updated_at": "2026-03-11T12:00:00Z"}`)[0].Into(m))
	requireMessage(t, `{"name": "n", "effective": "2026-03-11", "components": [
		{"kind": "fee", "price": "0.30", "per": 1000, "aggregations": {"histogram": 5}, "tiers": [{"up_to": 10, "price": "19"}]}],
		"updated_at": "2026-03-11T12:00:00Z"}`, m)
}

func TestMistakesHaveLines(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		documents, err := Parse("f.yaml", strings.NewReader(text))
		for _, d := range documents {
			err = errors.Join(err, d.Into(&phoenixv1.Policy{}))
		}
		require.Error(t, err, text)
		assert.Equal(t, strings.Join(want, "\n"), err.Error())
	}
	f("name: a\nspec:\n  rules:\n    - match: {metrics: up}\n      labels:\n        drop: [pod]\n      gauge: [sum]\n      limit: {max_series: 1.5}\n",
		"f.yaml:4: spec.rules[0].match.metrics: is not known here; known are metric, types, resource, point",
		"f.yaml:5: spec.rules[0].labels: is not known here; known are name, match, attributes, limit, buckets, scope, gauge, summary, role, experiment",
		`f.yaml:7: spec.rules[0].gauge: must be text, got a list`,
		`f.yaml:8: spec.rules[0].limit.max_series: must be a whole number, got "1.5"`)
	f("name: a\n---\nname: b\nname: c\n", "f.yaml:4: name: is there twice; the first time in line 3")
	f("- name: a\n", "f.yaml:1: must be a mapping of namespace, name, spec, state, revision, etag, spec_sha256, previewed_since, created_at, created_by, updated_at, updated_by, status, got a list")
	f("spec:\n  rules: {}\n  priority: high\n", "f.yaml:2: spec.rules: must be a list, got a mapping", `f.yaml:3: spec.priority: must be a whole number, got "high"`)
	f("spec:\n  priority: 3000000000\n", "f.yaml:2: spec.priority: must be from -2147483648 to 2147483647, got 3000000000")
	f("spec:\n  rules:\n  -\n  - match: {resource: [{present: yes please}]}\n    buckets: {keep_bounds: [.inf, x]}\n    experiment: {scope: [a]}\n",
		"f.yaml:3: spec.rules[0]: must be a mapping of name, match, attributes, limit, buckets, scope, gauge, summary, role, experiment, got nothing",
		`f.yaml:4: spec.rules[1].match.resource[0].present: must be true or false, got "yes please"`,
		"f.yaml:5: spec.rules[1].buckets.keep_bounds[0]: must be finite, got .inf",
		`f.yaml:5: spec.rules[1].buckets.keep_bounds[1]: must be a number, got "x"`,
		"f.yaml:6: spec.rules[1].experiment.scope: must be a mapping, got a list")
	f("a: &a {name: x}\n<<: *a\n? [1]\n: 2\n",
		"f.yaml:1: a: is not known here; known are namespace, name, spec, state, revision, etag, spec_sha256, previewed_since, created_at, created_by, updated_at, updated_by, status",
		"f.yaml:2: merge keys (<<) are not read; write the fields out, or use an alias for a whole value",
		"f.yaml:3: a key must be text, got a list")
	f("name: a\n  b: c\n", "f.yaml:2: not YAML: mapping values are not allowed in this context")
	f("name: a\n---\nname: [\n", "f.yaml:3: not YAML: did not find expected node content")
	f("created_at: soon\n", `f.yaml:1: created_at: must be a time such as 2026-03-11T12:00:00Z, got "soon"`)
}

func TestEndlessDocumentsEnd(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("spec:\n  rules:\n    - &a0 {name: x}\n")
	fmt.Fprintf(&bomb, "    - attributes:\n        drop: &b0 [%s]\n", strings.Repeat("a,", 5_000))
	for range 500 {
		bomb.WriteString("    - attributes: {drop: *b0}\n")
	}
	err := parse(t, bomb.String())[0].Into(&phoenixv1.Policy{})
	require.ErrorContains(t, err, "the document is too large or too deep")
	assert.Equal(t, 1, strings.Count(err.Error(), "\n")+1)

	deep := "spec: " + strings.Repeat("[", 500) + strings.Repeat("]", 500)
	require.Error(t, parse(t, deep)[0].Into(&phoenixv1.Policy{}))
	_, err = Parse("f.yaml", strings.NewReader("a: &a [*a]\n"))
	if err == nil {
		require.Error(t, parse(t, "name: &a [*a]\n")[0].Into(&phoenixv1.Policy{}))
	}

	_, err = Parse("f.yaml", io.LimitReader(zeros{}, MaxBytes+1))
	require.ErrorContains(t, err, "longer than 32 MiB")
	_, err = Parse("f.yaml", iotest.ErrReader(assert.AnError))
	require.ErrorIs(t, err, assert.AnError)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestLinesOfPaths(t *testing.T) {
	d := parse(t, "---\nname: a\n---\n# second\nname: b\nspec:\n  rules:\n    - match: &m\n        metric: up\n    - match: *m\n      attributes: {drop: [a,\n        b]}\n")[1]
	f := func(path string, want int) {
		t.Helper()
		assert.Equal(t, want, d.LineOf(path), path)
	}
	f("", 5)
	f("name", 5)
	f("spec.rules[0].match.metric", 9)
	f("spec.rules[1].match.metric", 9) // where the alias leads
	f("spec.rules[1].attributes.drop[1]", 12)
	f("spec.rules[1].attributes.top_k.k", 11)
	f("spec.rules[7].name", 7)
	f("namespace", 5)
	f("spec.rules.match", 7)
	assert.True(t, d.Has("spec"))
	assert.False(t, d.Has("components"))
}

func TestFilesAndDirectories(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write("b.yaml", "name: b\n---\n---\nname: c\n")
	write("a.json", `{"name": "a"}`)
	write("README.md", "# no policy")
	write("deeper/d.YML", "name: d")
	write("empty/x.txt", "")
	read := func(s Source) string {
		documents, err := Read(s)
		if err != nil {
			return strings.ReplaceAll(err.Error(), dir, "DIR")
		}
		var text []string
		for _, d := range documents {
			p := &phoenixv1.Policy{}
			require.NoError(t, d.Into(p))
			text = append(text, strings.ReplaceAll(d.File, dir, "DIR")+":"+p.GetName())
		}
		return strings.Join(text, " ")
	}
	f := func(want string, s Source) {
		t.Helper()
		assert.Equal(t, want, read(s))
	}
	f("DIR/a.json:a DIR/b.yaml:b DIR/b.yaml:c", Source{Names: []string{dir}})
	f("DIR/a.json:a DIR/b.yaml:b DIR/b.yaml:c DIR/deeper/d.YML:d", Source{Names: []string{dir}, Recursive: true})
	f("standard input:s DIR/a.json:a", Source{Names: []string{"-", dir + "/a.json"}, Stdin: strings.NewReader("name: s")})
	f("standard input can be read once only", Source{Names: []string{"-", "-"}, Stdin: strings.NewReader("name: s")})
	f("DIR/empty: holds no document", Source{Names: []string{dir + "/empty"}})
	f("standard input: holds no document", Source{Names: []string{"-"}, Stdin: strings.NewReader("# nothing\n---\n")})
	f("stat DIR/missing: no such file or directory", Source{Names: []string{dir + "/missing"}})
	write("bad.yaml", "a: [")
	write("worse.yaml", "\tb")
	f("DIR/bad.yaml:1: not YAML: did not find expected node content\n"+
		"DIR/worse.yaml:1: not YAML: found character that cannot start any token", Source{Names: []string{dir}})
}

func FuzzParse(f *testing.F) {
	f.Add("name: a\nspec: {rules: [{match: {metric: up}}]}\n---\n- &a [*a]\n")
	f.Add("<<: {a: b}\n? {}\n: ~\n")
	f.Fuzz(func(t *testing.T, text string) {
		documents, err := Parse("f", strings.NewReader(text))
		if err != nil {
			require.ErrorAs(t, err, new(Mistakes))
		}
		for _, d := range documents {
			for _, m := range []proto.Message{&phoenixv1.Policy{}, &phoenixv1.PriceModel{}} {
				if err := d.Into(m); err != nil {
					var mistakes Mistakes
					require.ErrorAs(t, err, &mistakes)
					for _, one := range mistakes {
						require.Positive(t, one.Line)
					}
				}
			}
			require.Positive(t, d.LineOf("spec.rules[0].match"))
		}
	})
}
