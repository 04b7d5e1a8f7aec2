package manifest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/phoenix-platform/phoenix/control/api/phoenixv1"
	"github.com/phoenix-platform/phoenix/control/cost"
	"github.com/phoenix-platform/phoenix/control/policy"
)

var examples = filepath.Join("..", "..", "..", "..", "examples", "policies")

// Every example is what it says it is, without a control plane at hand.
func TestExamplesAreValid(t *testing.T) {
	documents, err := Read(Source{Names: []string{examples}})
	require.NoError(t, err)
	readme, err := os.ReadFile(filepath.Join(examples, "README.md"))
	require.NoError(t, err)
	names := map[string]bool{}
	for _, d := range documents {
		file := filepath.Base(d.File)
		assert.Contains(t, string(readme), "("+file+")", "the README must list every example")
		if d.Has("components") {
			model := &phoenixv1.PriceModel{}
			require.NoError(t, d.Into(model))
			text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(model)
			require.NoError(t, err)
			_, err = cost.DecodeModel(text)
			require.NoError(t, err, d.File)
			continue
		}
		p := &phoenixv1.Policy{}
		require.NoError(t, d.Into(p))
		assert.False(t, names[p.GetName()], "%s is there twice", p.GetName())
		names[p.GetName()] = true
		assert.NotEmpty(t, p.GetSpec().GetDescription(), p.GetName())
		require.NoError(t, policy.ValidateRules(rulesOf(t, p)), d.File)
	}
	assert.Len(t, filesOf(documents), strings.Count(string(readme), ".yaml)"))
}

func rulesOf(t *testing.T, p *phoenixv1.Policy) []policy.Rule {
	t.Helper()
	var rules []policy.Rule
	for _, r := range p.GetSpec().GetRules() {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(r)
		require.NoError(t, err)
		var one policy.Rule
		require.NoError(t, json.Unmarshal(text, &one))
		rules = append(rules, one)
	}
	return rules
}

func filesOf(documents []Document) map[string]bool {
	files := map[string]bool{}
	for _, d := range documents {
		files[d.File] = true
	}
	return files
}
